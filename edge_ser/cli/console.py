"""What commands say on stderr: progress, warnings, errors. Results alone go to stdout."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from edge_ser.printable import printable
from edge_ser.progress import is_silent, watched


def steps(total: int | None, quiet: bool = False) -> Any:
    """Progress of `total` steps, or a count of them; call `step(bar, word)`."""
    layout = "{l_bar}{bar:24}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}] {postfix}"
    counted = "step {n_fmt} [{elapsed}] {postfix}"
    return watched(total=total, quiet=quiet, layout=counted if total is None else layout)


def step(bar: Any, word: str) -> None:
    """One step of a bar, with what is being done."""
    bar.set_postfix_str(word, refresh=False)
    bar.update()


def print_warning(message: object) -> None:
    """One line, unless `--quiet`; a bar that is being drawn makes room for it."""
    if not is_silent():
        _print(f"edge-ser: warning: {message}")


def print_error(message: object) -> None:
    """The same for what went wrong; never left out."""
    _print(f"edge-ser: error: {message}")


def print_note(message: object) -> None:
    """As a warning, for what is only good to know."""
    if not is_silent():
        _print(f"edge-ser: {message}")


def _print(text: str) -> None:
    line = printable(text)
    drawing = sys.modules.get("tqdm")
    if drawing is None:
        print(line, file=sys.stderr)
    else:
        drawing.tqdm.write(line, file=sys.stderr)


@contextlib.contextmanager
def told_warnings() -> Iterator[None]:
    """Print Python's warnings as messages of the command line, without a place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print_warning(message)
        yield


@contextlib.contextmanager
def told_log(verbose: bool) -> Iterator[None]:
    """Print what our modules log, a line each, if that is wanted."""
    if not verbose:
        yield
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(relativeCreated)6d ms  %(name)s: %(message)s"))
    loggers = [
        logging.getLogger(name) for name in ("edge_ser", "edge_ser_runtimes", "edge_ser_export")
    ]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
