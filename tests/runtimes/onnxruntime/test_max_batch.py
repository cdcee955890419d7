"""Rows that may not share a run: a bundle says how many may, and every session keeps to it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.integer_bundle import dynamic_bundle
from numpy.typing import NDArray

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.session import pad_batch
from edge_ser_runtimes.base import BaseSession
from edge_ser_runtimes.registry import open_session

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def dynamic() -> Path:
    return dynamic_bundle()


@pytest.fixture(scope="module")
def rows() -> list[Samples]:
    """Speech of different lengths, every other one almost too quiet to be heard."""
    bundle = Bundle.open(DEFAULT_BUNDLE)
    x = [
        bundle.manifest.preprocessing.normalize(x.astype(np.float32) / 32768)
        for x in bundle.golden().samples
    ]
    lengths = (9000, 21_001, 400, 16_000, 5003)
    levels = (0.05, 1.0, 0.05, 1.0, 0.05)
    longest = max(x, key=len)
    cuts = zip(lengths, levels, strict=True)
    return [(level * longest[i * 997 : i * 997 + n]) for i, (n, level) in enumerate(cuts)]


def test_a_row_of_a_batch_is_answered_as_alone(dynamic: Path, rows: list[Samples]) -> None:
    session = open_session(Bundle.open(dynamic), threads=1)
    alone = [session.run(*pad_batch([x])) for x in rows]
    for order in (slice(None), slice(None, None, -1)):
        together = session.run(*pad_batch(rows[order]))
        np.testing.assert_array_equal(together.vad, np.concatenate([o.vad for o in alone[order]]))
        logits = [o.region_logits for o in alone[order] if o.region_logits is not None]
        assert together.region_logits is not None
        np.testing.assert_array_equal(together.region_logits, np.concatenate(logits))
    assert np.ptp(np.concatenate([o.vad for o in alone]), axis=0).max() > 1e-2


def test_without_the_limit_a_neighbour_would_be_heard(dynamic: Path, rows: list[Samples]) -> None:
    bundle = Bundle.open(dynamic)
    free = open_session(Bundle(bundle.root, replace(bundle.manifest, max_batch=None)), threads=1)
    alone = np.concatenate([free.run(*pad_batch([x])).vad for x in rows])
    assert np.abs(free.run(*pad_batch(rows)).vad - alone).max() > 1e-3


def test_the_recogniser_keeps_to_it(dynamic: Path, utterances: list[Path]) -> None:
    ser = edge_ser.load(dynamic, threads=1)
    assert ser.manifest.max_batch == 1
    together = ser(list(utterances))
    for path, emotion in zip(utterances, together, strict=True):
        assert ser(path).arousal == emotion.arousal
        assert ser(path).region_probabilities == emotion.region_probabilities


class Telling(BaseSession):
    """Says of every row how many rows shared its run, how long they were, and what it is."""

    def __init__(self, most: int | None) -> None:
        bundle = Bundle.open(DEFAULT_BUNDLE)
        super().__init__(Bundle(bundle.root, replace(bundle.manifest, max_batch=most)))
        self.runs: list[tuple[int, int]] = []

    def _run(self, samples: Samples, lengths: NDArray[np.int64]) -> Outputs:
        self.runs.append((samples.shape[0], samples.shape[1]))
        assert (lengths <= samples.shape[1]).all()
        told = np.stack([samples[:, 0], lengths, samples.sum(1)], 1)
        return Outputs.of(told.astype(np.float32), None)


@pytest.fixture
def counted() -> Iterator[tuple[Samples, NDArray[np.int64]]]:
    lengths = np.array([500, 700, 400, 900, 650])
    samples = np.zeros((5, 1000), np.float32)
    for row, n in enumerate(lengths):
        samples[row, :n] = row
    yield samples, lengths


@pytest.mark.parametrize(
    ("most", "runs"),
    [
        (1, [(1, 500), (1, 700), (1, 400), (1, 900), (1, 650)]),
        (2, [(2, 700), (2, 900), (1, 650)]),
        (5, [(5, 900)]),
        (64, [(5, 900)]),
        (None, [(5, 900)]),
    ],
)
def test_runs_are_as_small_as_asked_for(
    most: int | None,
    runs: list[tuple[int, int]],
    counted: tuple[Samples, NDArray[np.int64]],
) -> None:
    session = Telling(most)
    outputs = session.run(*counted)
    assert session.runs == runs
    assert outputs.region_logits is None
    row, lengths = np.arange(5), counted[1]
    np.testing.assert_array_equal(outputs.vad, np.stack([row, lengths, row * lengths], 1))
