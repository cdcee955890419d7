"""How much arithmetic a model does, and how near it comes to what the machine can do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.bench.records import Work
from edge_ser.errors import EdgeSerError, MeasurementError
from edge_ser.measure.gemm_peak import gemm_peak
from edge_ser.measure.products import KINDS, Kind, Product, heaviest, products

# ONNX Runtime's names of what `peak` calls otherwise.
_NAMES = {"float": "fp32", "int8": "int8", "float16": "fp16"}
# The limit is timed for about so long; large models a few times only.
_PEAK_SECONDS = 2.0


class Products:
    """The matrix products of a graph, by length of the utterance.

    Args:
        graph: ONNX file.
        rate: Hz of its samples.
        as_float: count all of them as fp32: for another program that computes the same model so.
        cpu: whether the model runs on the processor, whose limit is measured.
        owner: what keeps the file in place as long as it lives, such as a bundle that was unpacked.
    """

    def __init__(
        self,
        graph: Path,
        rate: int,
        as_float: bool = False,
        cpu: bool = True,
        owner: object = None,
    ) -> None:
        self.graph, self.rate, self.as_float, self.cpu = graph, rate, as_float, cpu
        self.owner = owner
        self._found: dict[float, list[Product]] = {}

    def of(self, seconds: float) -> list[Product]:
        """The products of one utterance.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            MeasurementError: ONNX Runtime cannot run the graph.
        """
        if seconds not in self._found:
            n = int(seconds * self.rate)
            inputs: dict[str, NDArray[Any]] = {
                "samples": np.zeros((1, n), np.float32),
                "lengths": np.array([n], np.int64),
            }
            try:
                computed = products(self.graph, inputs)
            except EdgeSerError:
                raise
            except Exception as error:  # the binding's exception classes are not exported
                raise MeasurementError(
                    self.graph.name,
                    expected="a graph that ONNX Runtime runs",
                    found=str(error).splitlines()[0],
                ) from error
            if self.as_float:
                computed = [replace(p, kind="float") for p in computed]
            self._found[seconds] = computed
        return self._found[seconds]


class Peaks:
    """Limits of this machine, each measured once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Products, Kind, float, int], float] = {}

    def work(
        self, products: Products, seconds: float, batch: int, threads: int, took: float
    ) -> Work:
        """Arithmetic of a run, and its share of the limit.

        Args:
            products: of the model.
            seconds: length of an utterance.
            batch: utterances of the run.
            threads: of the run.
            took: seconds.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            MeasurementError: ONNX Runtime cannot run the graph.
        """
        counts: Counter[str] = Counter()
        for p in products.of(seconds):
            counts[_NAMES.get(p.kind, p.kind)] += 2 * batch * p.macs
        gop = {kind: n / 1e9 for kind, n in counts.items()}
        timed_kinds: tuple[Kind, ...] = tuple(k for k in KINDS if k in gop) if products.cpu else ()
        peaks = {kind: self._peak(products, kind, seconds, threads, took) for kind in timed_kinds}
        share = None
        if peaks and set(peaks) == set(gop):
            share = sum(gop[kind] / peaks[kind] for kind in peaks) / took
        return Work(gop, sum(gop.values()) / took, {str(k): v for k, v in peaks.items()}, share)

    def _peak(
        self, products: Products, kind: Kind, seconds: float, threads: int, took: float
    ) -> float:
        """Of the model's own shapes at this length."""
        key = (products, kind, seconds, threads)
        if key not in self._found:
            repetitions = max(3, min(20, int(_PEAK_SECONDS / took)))
            shapes = heaviest(products.of(seconds), kind)
            self._found[key] = gemm_peak(kind, threads, shapes, repetitions)
        return self._found[key]
