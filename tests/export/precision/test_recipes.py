"""Recipes in words, and which of two is taken."""

from typing import Any

import pytest

from edge_ser_export.graph.run import (
    Share,
)
from edge_ser_export.precision import int8 as quantize
from edge_ser_export.precision.int8 import (
    Trial,
)
from edge_ser_export.precision.recipes import Recipe
from edge_ser_export.proof.speed import Speed


def test_a_recipe_in_words() -> None:
    assert str(Recipe("dynamic")) == "dynamic"
    recipe = Recipe("static", scores=False, migrated=True, kept=("stem 1",))
    assert str(recipe) == "static, migrated, attention scores in float32, stem 1 in float32"
    assert (Recipe("dynamic").max_batch, recipe.max_batch) == (1, None)


@pytest.mark.parametrize(("dynamic", "static", "chosen"), [
    (1.50, 1.48, "static"), (1.60, 1.48, "dynamic"), (1.48, 1.50, "static"),
])  # fmt: skip
def test_of_two_within_the_noise_rows_that_may_share_a_run(
    dynamic: float, static: float, chosen: str
) -> None:
    share = Share(1.0, 1.0, 1, 5.0, {})
    judged: Any = None  # is not looked at
    some = {
        name: Trial(
            Recipe(name),
            1,
            judged,
            judged,
            (),
            share,
            Speed(5.0, 2.0, 1.0, speedup, speedup, speedup, 9, "faster"),
        )
        for name, speedup in (("dynamic", dynamic), ("static", static))
    }
    assert max(some, key=lambda name: quantize._worth(some[name])) == chosen
