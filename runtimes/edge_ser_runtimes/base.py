"""What every runtime checks before it computes."""

from __future__ import annotations

import ctypes
import logging
import os
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError, UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger(__name__)
_living: WeakSet[BaseSession] = WeakSet()


def _keep_inherited() -> None:
    """In a forked child: never destroy the sessions that it inherited, not even at its end.

    A destructor would wait for ever for threads that only the parent has. One reference too many
    lasts longer than the interpreter; the memory is the parent's, and is not copied by it.
    """
    for session in _living:
        session._inherited()
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_inherited)


class BaseSession(ABC):
    """A session over a bundle: `run` checks, `_run` computes.

    It belongs to the process that opened it, and is let go of by `close` or at the end of a `with`
    statement.

    Args:
        bundle: verified model.

    Attributes:
        computation: see `edge_ser.session.computation_of`.

    Raises:
        BundleError: the manifest names other inputs than samples and their lengths.
    """

    computation = "onnx"

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        p = bundle.manifest.preprocessing
        self._min, self._max = p.min_samples, p.max_samples
        specs = bundle.manifest.inputs
        if [t.dtype for t in specs] != ["float32", "int64"]:
            raise BundleError(
                bundle.root,
                expected="two inputs, float32 samples and int64 lengths",
                found=", ".join(f"{t.name} {t.dtype}" for t in specs) or "none",
            )
        self._input_types = {t.name: t.dtype for t in specs}
        self._output_names = [t.name for t in bundle.manifest.outputs]
        self._pid, self._closed = os.getpid(), False
        _living.add(self)
        self._most = bundle.manifest.max_batch  # rows of a run; a subclass may take fewer

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """Run normalised samples `[batch, n]` of the given lengths `[batch]`.

        Raises:
            UsageError: wrong type or shape, or a length outside the model's range; the session was
                closed, or opened by the process that this one was forked from.
            BundleError: the model gave something else than its manifest says.
        """
        self._check_open()
        if samples.dtype != np.float32 or samples.ndim != 2 or samples.shape[0] == 0:
            raise UsageError(
                "samples",
                expected="float32 [batch, n]",
                found=f"{samples.dtype} {list(samples.shape)}",
            )
        if lengths.dtype != np.int64 or lengths.shape != samples.shape[:1]:
            raise UsageError(
                "lengths",
                expected=f"int64 [{samples.shape[0]}]",
                found=f"{lengths.dtype} {list(lengths.shape)}",
            )
        shortest, longest = int(lengths.min()), int(lengths.max())
        if shortest < self._min or longest > min(self._max, samples.shape[1]):
            raise UsageError(
                "lengths",
                expected=f"{self._min} to {min(self._max, samples.shape[1])} samples",
                found=f"{shortest} to {longest}",
            )
        max_rows = self._most or lengths.size
        parts = [
            self._run(samples[first : first + max_rows, : lengths[first : first + max_rows].max()],
                      lengths[first : first + max_rows])
            for first in range(0, lengths.size, max_rows)
        ]  # fmt: skip
        outputs = parts[0]
        if len(parts) > 1:
            # here, as a first result should not wait for what judges answers
            from edge_ser.fidelity.compare import concatenate

            outputs = concatenate(parts)
        self._check(outputs, samples.shape[0])
        if _log.isEnabledFor(logging.DEBUG):
            seconds = lengths / self.bundle.manifest.preprocessing.sample_rate
            _log.debug("ran %d of %s s", lengths.size, seconds.round(3).tolist())
        return outputs

    def tensors(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """As `run`, of a bundle whose manifest calls tensors of any shape its outputs.

        Neither shapes nor numbers are checked, and rows are not parted.
        """
        self._check_open()
        return self._run(samples, lengths)

    def _check(self, outputs: Outputs, batch: int) -> None:
        widths = {o.name: o.shape[-1] for o in self.bundle.manifest.outputs}
        for name, array in outputs.arrays.items():
            width = widths[name]
            if array.shape != (batch, width):
                raise BundleError(
                    f"output {name}", expected=f"[{batch}, {width}]", found=f"{list(array.shape)}"
                )
            if not np.isfinite(array).all():
                raise BundleError(
                    f"output {name}",
                    expected="finite numbers",
                    found="NaN or infinity",
                    advice="use a bundle of higher precision",
                )

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("session", expected="an open one", found="one that was closed")
        if self._pid != os.getpid():  # the runtimes' threads are not here: it would wait for ever
            raise UsageError(
                "session",
                expected="one that this process opened",
                found="one of the process that it was forked from",
                advice="open it after the fork; what edge_ser.load gives does so by itself",
            )

    def close(self) -> None:
        """Give its memory and threads back; closing again does nothing."""
        was_closed, self._closed = self._closed, True
        if not was_closed and self._pid == os.getpid():
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _feed(
        self, samples: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> dict[str, NDArray[Any]]:
        """The arrays by the names of the graph's inputs."""
        return dict(zip(self._input_types, (samples, lengths), strict=True))

    def _expected_inputs(self) -> str:
        return ", ".join(f"{name} {kind}" for name, kind in self._input_types.items())

    def _release(self) -> None:  # noqa: B027 - what holds nothing has nothing to give back
        """Let go of what the runtime holds; once, in the process that opened it."""

    def _inherited(self) -> None:  # noqa: B027 - nothing, where nothing happens by itself
        """Told in a forked child, where what the runtime holds must be left alone."""

    @abstractmethod
    def _run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """Compute; inputs are checked and as short as the longest row."""
