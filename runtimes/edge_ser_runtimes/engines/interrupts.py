"""Ctrl-C while TensorRT is at work."""

from __future__ import annotations

import signal
import threading
from types import TracebackType
from typing import Any


class HeldInterrupts:
    """Holds Ctrl-C back until the end of a block, which then raises KeyboardInterrupt.

    TensorRT calls loggers and monitors that are written in Python; an interrupt that is raised in
    one of them is printed and lost. Where the process handles Ctrl-C in its own way, or this is
    not its main thread, nothing changes.

    Attributes:
        asked: whether Ctrl-C was pressed in the block.
    """

    def __init__(self) -> None:
        self.asked = False
        self._previous: Any = None

    def __enter__(self) -> HeldInterrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, *_: object) -> None:
        self.asked = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        if self.asked:
            raise KeyboardInterrupt from None
