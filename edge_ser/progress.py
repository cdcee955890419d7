"""How far a long piece of work is: a bar on a terminal, a line now and then elsewhere.

A log that stays empty for minutes looks like a program that hangs. Where stderr is no terminal, a
line is written every half minute, also while a single step takes longer than that.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import Any, TextIO

from edge_ser.libraries import import_library

# Between two lines, in seconds.
INTERVAL = 30.0
_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


def is_silent() -> bool:
    """Whether nothing but errors is wanted on stderr."""
    return _SILENT.get()


@contextlib.contextmanager
def silent(wanted: bool) -> Iterator[None]:
    """Say nothing but errors on stderr in this block, if that is wanted."""
    token = _SILENT.set(wanted or _SILENT.get())
    try:
        yield
    finally:
        _SILENT.reset(token)


def watched(
    items: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    name: str = "",
    unit: str = "step",
    quiet: bool = False,
    leave: bool = False,
    layout: str | None = None,
) -> Any:
    """What shows the progress of some work: tqdm's bar, or `Lines`, which answers to the same.

    Args:
        items: to go through; None: `update` is called instead.
        total: of them; None: their length, or not known.
        name: of the work, in a word.
        unit: what an item is.
        quiet: show nothing.
        leave: leave the bar on the terminal when the work ends.
        layout: of the bar, see tqdm's `bar_format`; None: tqdm's own.
    """
    hidden = quiet or is_silent() or sys.stderr is None
    if hidden or sys.stderr.isatty():
        tqdm = import_library("tqdm", "edge-ser").tqdm
        return tqdm(
            items, total=total, desc=name or None, unit=unit, leave=leave, disable=hidden,
            bar_format=layout, file=sys.stderr,
        )  # fmt: skip
    return Lines(items, total, name, unit)


class Lines:
    """Progress as lines of text, with what of tqdm's bars is used.

    Args:
        items: to go through; None: `update` is called instead.
        total: of them; None: their length, or not known.
        name: of the work, in a word.
        unit: what an item is.
        interval: seconds between two lines.
        stream: that is written to; None: stderr as it is now.
    """

    def __init__(
        self,
        items: Iterable[Any] | None = None,
        total: int | None = None,
        name: str = "",
        unit: str = "step",
        interval: float = INTERVAL,
        stream: TextIO | None = None,
    ) -> None:
        self._items, self._name, self._unit = items, name, unit
        self.total = len(items) if total is None and isinstance(items, Sized) else total
        self.n = 0.0
        self._word = ""
        self._stream = sys.stderr if stream is None else stream
        self._started = time.monotonic()
        self._ended = threading.Event()
        # of its own: a single step may be longer than the interval
        self._thread = threading.Thread(target=self._tell, args=(interval,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        with self:
            for item in self._items or ():
                yield item
                self.update()

    def update(self, count: float = 1) -> None:
        """So many more are done."""
        self.n += count

    def set_postfix_str(self, word: str, refresh: bool = False) -> None:
        """What is being done."""
        self._word = word

    def set_postfix(
        self, values: dict[str, Any] | None = None, refresh: bool = False, **more: Any
    ) -> None:
        """The same as figures by name."""
        self._word = ", ".join(f"{k} {v}" for k, v in ({**(values or {}), **more}).items())

    def clear(self) -> None:
        """Make room for a line: nothing to do here."""

    def close(self) -> None:
        """Write no more lines."""
        self._ended.set()
        self._thread.join()

    @property
    def line(self) -> str:
        """How far it is, in one line."""
        seconds = time.monotonic() - self._started
        of_all = "" if self.total is None else f" of {self.total}"
        words = [f"{self._unit} {self.n:g}{of_all}", f"{brief_time(seconds)} so far"]
        if self.total is not None and self.n > 0:
            seconds_left = seconds / self.n * max(0.0, self.total - self.n)
            words.append(f"about {brief_time(seconds_left)} left")
        head = f"edge-ser: {self._name}: " if self._name else "edge-ser: "
        return head + ", ".join(words) + (f": {self._word}" if self._word else "")

    def _tell(self, interval: float) -> None:
        while not self._ended.wait(interval):
            print(self.line, file=self._stream, flush=True)


def brief_time(seconds: float) -> str:
    """Some seconds in few characters: 40 s, 3 min 20 s, 2 h 5 min."""
    whole_seconds = round(seconds)
    if whole_seconds < 60:
        return f"{whole_seconds} s"
    if whole_seconds < 3600:
        return f"{whole_seconds // 60} min {whole_seconds % 60} s"
    return f"{whole_seconds // 3600} h {whole_seconds % 3600 // 60} min"
