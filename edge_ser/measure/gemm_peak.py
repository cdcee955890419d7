"""The machine's limit: matrix products alone, of the shapes that a model is made of.

A model's time says little without what the processor could do at best. Here the products that a
graph really executes are read from ONNX Runtime's profile, and the same products are timed alone:
constant weights, packed at loading, as in the graph. Achieved over peak is then the share of the
time that a perfect graph would need.

One multiply-accumulate counts as two operations.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import UsageError
from edge_ser.measure.matmul_model import matmul_model
from edge_ser.measure.products import KINDS, Kind, Shape, cpu_session


class Gemms:
    """Products alone, to be timed in turn with the systems that they limit.

    Args:
        kind: "fp32", or "int8": unsigned activations, signed weights, sums of 32 bits.
        threads: for one product.
        shapes: `(m, k, n)` of `[m, k] x [k, n]`, each with how often it counts.

    Raises:
        UsageError: unknown kind, no shapes, sizes or threads below 1.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, kind: Kind, threads: int, shapes: Mapping[Shape, int]) -> None:
        if kind not in KINDS:
            raise UsageError("kind", expected=f"one of {', '.join(KINDS)}", found=str(kind))
        if threads < 1:
            raise UsageError("threads", expected="at least 1", found=str(threads))
        if not shapes or min(min(*s, c) for s, c in shapes.items()) < 1:
            raise UsageError("shapes", expected="sizes and counts of at least 1", found=f"{shapes}")
        self.kind, self.shapes = kind, dict(shapes)
        self.operations = 2 * sum(math.prod(s) * c for s, c in shapes.items())
        rng = np.random.default_rng(0)
        self._sessions = []
        for m, k, n in shapes:
            a: NDArray[Any]
            if kind == "fp32":
                a = rng.standard_normal((m, k), np.float32)
                weights = rng.standard_normal((k, n), np.float32)
            else:
                a = rng.integers(0, 256, (m, k), np.uint8)
                # seven bits: without VNNI, sums of two products of eight would saturate
                weights = rng.integers(-64, 65, (k, n), np.int8)
            self._sessions.append((cpu_session(matmul_model(a, weights), threads), {"a": a}))

    def run(self) -> float:
        """Do every shape once; seconds for all of them, each as often as it counts."""
        total = 0.0
        for (session, inputs), count in zip(self._sessions, self.shapes.values(), strict=True):
            started = time.perf_counter()
            session.run(None, inputs)
            total += count * (time.perf_counter() - started)
        return total

    def run_all(self) -> None:
        """Do every shape as often as it counts, to be timed from outside."""
        for (session, inputs), count in zip(self._sessions, self.shapes.values(), strict=True):
            for _ in range(count):
                session.run(None, inputs)


def gemm_peak(
    kind: Kind,
    threads: int,
    shapes: Mapping[Shape, int],
    repetitions: int = 20,
) -> float:
    """Operations per second of products alone: the best of several runs, as a limit should be.

    Args:
        kind: of the arithmetic.
        threads: for one product.
        shapes: see `Gemms`; those of a model come from `heaviest(products(...), kind)`.
        repetitions: after one run that warms up.

    Returns:
        GOP/s: 1e9 operations per second, two for one multiply-accumulate.

    Raises:
        UsageError: see `Gemms`; also repetitions below 1.
        MissingExtraError: onnxruntime is not installed.
    """
    if repetitions < 1:
        raise UsageError("repetitions", expected="at least 1", found=str(repetitions))
    gemms = Gemms(kind, threads, shapes)
    gemms.run()
    return gemms.operations / min(gemms.run() for _ in range(repetitions)) / 1e9
