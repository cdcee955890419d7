"""What fuzzing starts from: each reader accepts some of its inputs, and refuses the others."""

import pytest
from fuzz.limits import run_one
from fuzz.targets import NAMES, load


@pytest.mark.parametrize("name", NAMES)
def test_seeds_reach_deep_and_break_nothing(name: str) -> None:
    target = load(name)
    accepted = [run_one(target, data) for data in target.seeds()]
    assert accepted and any(accepted)
    assert not any(run_one(target, data) for data in (b"", b"\0", b"\1", b"\0" + bytes(100)))
