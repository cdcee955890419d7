"""The kinds of heads: what each is called, holds and fills."""

import dataclasses

import numpy as np
import pytest

from edge_ser.emotion.decode import Emotion
from edge_ser.emotion.heads import HEADS, Head, HeadKind, describe_heads
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.compare import Fidelity
from edge_ser.fidelity.limits import Limits

RNG = np.random.default_rng(0)


OWN = ("angry", "happy", "neutral")


def some(kind: HeadKind, partition: Partition, count: int = 4) -> np.ndarray:
    names = OWN if kind.names is None else kind.names(partition)
    return RNG.uniform(0, 1, (count, len(names))).astype(np.float32)


@pytest.mark.parametrize("partition", [Partition(), Partition(45, 90, 0.2)])
@pytest.mark.parametrize("kind", HEADS.values(), ids=HEADS)
def test_every_kind_fills_the_fields_that_it_names(kind: HeadKind, partition: Partition) -> None:
    emotion_fields = {field.name for field in dataclasses.fields(Emotion)}
    figures = {field.name for field in dataclasses.fields(Fidelity)}
    arrays = {kind.output: some(kind, partition)}
    rows = kind.decoded(arrays, partition, 4, OWN)
    assert len(rows) == 4
    assert all(set(row) == set(kind.fields) <= emotion_fields for row in rows)
    assert all(value is not None for row in rows for value in row.values())
    compared = kind.compared(arrays, arrays, np.ones(4, bool))
    assert set(compared) == set(kind.figures) <= figures
    assert compared[kind.figures[0]] == 0


def test_kinds_share_no_output_and_no_field() -> None:
    for names in (
        [kind.output for kind in HEADS.values()],
        [field for kind in HEADS.values() for field in kind.fields],
        [figure for kind in HEADS.values() for figure in kind.figures],
    ):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("kind", HEADS.values(), ids=HEADS)
def test_a_head_that_a_model_has_not_says_nothing(kind: HeadKind) -> None:
    assert kind.decoded({}, Partition(), 2) == [dict.fromkeys(kind.fields)] * 2
    assert set(kind.compared({}, {}, np.ones(2, bool)).values()) == {None}


def test_categories_are_those_of_the_model() -> None:
    (head,) = describe_heads(["category_logits"], Partition(), OWN)
    assert head == Head("categories", "category_logits", OWN)
    logits = np.log(np.array([[0.5, 0.25, 0.25]], np.float32))
    (said,) = HEADS["categories"].decoded({head.output: logits}, Partition(), 1, head.names)
    assert said["category"] == "angry"
    assert dict(said["categories"]) == pytest.approx({"angry": 0.5, "happy": 0.25, "neutral": 0.25})
    assert said["entropy"] == pytest.approx(1.5, abs=1e-6)


@pytest.mark.parametrize(("row", "bits"), [([200.0, 0.0, 0.0], 0.0), ([1.0] * 3, np.log2(3))])
def test_entropy_is_between_sure_and_knowing_nothing(row: list[float], bits: float) -> None:
    logits = {"category_logits": np.array([row], np.float32)}
    (said,) = HEADS["categories"].decoded(logits, Partition(), 1, OWN)
    assert said["entropy"] == pytest.approx(bits, abs=1e-6)


def test_each_kind_is_judged_by_its_own_limit() -> None:
    limits = Limits(vad=0.25, region_logits=0.5)
    assert {name: kind.limit(limits) for name, kind in HEADS.items()} == {
        "dimensions": 0.25,
        "regions": 0.5,
        "categories": 0.25,  # probabilities are on 0..1, too
    }


def test_heads_of_a_model_by_its_outputs() -> None:
    dimensions = Head("dimensions", "vad", ("arousal", "dominance", "valence"))
    assert describe_heads(["vad"], Partition()) == (dimensions,)
    first, second = describe_heads(["region_logits", "dialect", "vad"], Partition(180, 90))
    assert first == dimensions
    assert (second.kind, second.names) == (
        "regions",
        ("az0 po0", "az180 po0", "az0 po90", "az180 po90"),
    )


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(
        UsageError, match="kind: expected one of dimensions, regions, categories, found odour"
    ):
        Head("odour", "smell", ("sweet",))
