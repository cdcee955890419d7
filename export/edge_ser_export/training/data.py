"""A labelled corpus: the table, the decoded audio, and batches."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_ser.audio import Preprocessing, from_int16, to_int16
from edge_ser.audio.files import decode_file
from edge_ser.emotion.scale import unit_from_scores
from edge_ser.label_table import LabelTable
from edge_ser.progress import watched
from edge_ser_export.training.decoded import decoded


def batch_count(rows: int, size: int) -> int:
    """Number of batches that `Corpus.batches` makes of so many rows."""
    return rows if size == 1 else max(1, -(-(rows - 1) // size))


class Corpus:
    """A label table with its audio decoded once, as int16 at 16 kHz, into one memory map.

    Decoding is most of an epoch's time for a small model; the map makes it a single cost.

    Args:
        table: the labels.
        audio: folder of the files.
        cache: folder for the map; reused when it was made from the same files, and shared by
            trainings at the same time.
        max_seconds: keep the first seconds of each file; 12 s are what the published models
            were given.

    Raises:
        AudioError: a file cannot be decoded.
    """

    def __init__(
        self,
        table: LabelTable,
        audio: Path,
        cache: Path,
        max_seconds: float = Preprocessing.max_seconds,
    ) -> None:
        self.table = table
        self.unit = unit_from_scores(table.scores)
        stats = [(audio / f).stat() for f in table.files]
        facts = [(f, s.st_size, s.st_mtime_ns) for f, s in zip(table.files, stats, strict=True)]
        key = hashlib.sha256(
            json.dumps([str(audio.resolve()), max_seconds, facts]).encode()
        ).hexdigest()[:16]
        ends, self.samples = decoded(cache, key, len(table.files), self._decode(audio, max_seconds))
        self.starts = np.concatenate([[0], ends[:-1]])
        self.lengths = ends - self.starts

    def _decode(self, audio: Path, max_seconds: float) -> Iterator[NDArray[np.int16]]:
        check = Preprocessing(max_seconds=max_seconds)  # mean 0, std 1: leaves samples alone
        for name in watched(self.table.files, name="decoding", unit="file", leave=True):
            # checked as for prediction: one row without a frame would make all weights NaN
            x = check.apply(decode_file(audio / name, check.sample_rate, max_seconds), name)
            yield to_int16(x)

    def statistics(self, rows: NDArray[np.int64]) -> tuple[float, float]:
        """Mean and standard deviation of all samples of `rows`, on [-1, 1]."""
        total, square, count = 0.0, 0.0, 0
        for row in rows:
            x = self.raw(row).astype(np.float64)
            total, square, count = total + x.sum(), square + (x * x).sum(), count + x.size
        mean = total / count
        return float(mean), float(np.sqrt(square / count - mean * mean))

    def fingerprint(self) -> str:
        """Hash of labels, splits, lengths and a few samples of every utterance.

        Where the files lie has no part in it, so that a run can be moved with its corpus.
        """
        table = self.table
        facts = [table.files, table.splits, table.scores.tolist(), self.lengths.tolist()]
        digest = hashlib.sha256(json.dumps(facts).encode())
        middles = self.starts + self.lengths // 2
        digest.update(self.samples[middles[:, None] + np.arange(-8, 8)].tobytes())
        return digest.hexdigest()

    def raw(self, row: int) -> NDArray[np.float32]:
        """Samples of one utterance, `[n]` in [-1, 1]."""
        start = self.starts[row]
        return from_int16(self.samples[start : start + self.lengths[row]])

    def batches(
        self,
        rows: NDArray[np.int64],
        size: int,
        preprocessing: Preprocessing,
        crop: int = 0,
        rng: np.random.Generator | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Batches of utterances of similar length.

        Args:
            rows: which utterances.
            size: rows per batch. One row left over joins the batch before it: CCC of a single
                row is undefined, and its gradient zero.
            preprocessing: normalises each utterance (or crop).
            crop: with `rng`, a random part of at most so many samples is taken; 0: all.
            rng: shuffles batches, and lengths a little; None: in order of length.

        Yields:
            rows `[b]`, normalised samples `[b, n]` padded with zeros, lengths `[b]`.
        """
        lengths = self.lengths[rows].astype(np.float64)
        if rng is not None:
            lengths = lengths * np.exp(rng.normal(0, 0.12, lengths.size))
        order = rows[np.argsort(lengths, kind="stable")]
        groups = np.split(order, size * np.arange(1, batch_count(order.size, size)))
        if rng is not None:
            rng.shuffle(groups)
        for group in groups:
            parts = []
            for row in group:
                x = self.raw(row)
                if rng is not None and 0 < crop < x.size:
                    start = int(rng.integers(0, x.size - crop + 1))
                    x = x[start : start + crop]
                parts.append(torch.from_numpy(preprocessing.normalize(x)))
            sizes = torch.tensor([p.numel() for p in parts])
            yield group, torch.nn.utils.rnn.pad_sequence(parts, batch_first=True), sizes
