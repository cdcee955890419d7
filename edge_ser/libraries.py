"""Libraries that a device needs, imported so that a failure says why, and what helps.

What is there and does not load is not missing: to install it again changes nothing on a Jetson
whose loader has no room left, or where a library of the system is wanted.
"""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import re
import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

from edge_ser.errors import DEBUG_VARIABLE, INTERRUPTED, LibraryError, MissingExtraError
from edge_ser.install import pip_again

# What the loaders of Linux, macOS and Windows say, and what helps.
_REMEDIES = (
    (r"(?P<file>\S+): cannot allocate memory in static TLS block", "run it with LD_PRELOAD={file}"),
    (
        r"sndfile library not found|cannot load library '?\S*sndfile|libsndfile\S*: cannot open",
        f"run: apt install libsndfile1, or {pip_again('soundfile')}",
    ),
    (
        r"PortAudio library not found",
        f"run: apt install libportaudio2, or {pip_again('sounddevice')}",
    ),
    (
        r"GLIBC(?:XX)?_(?P<version>[\d.]+)' not found",
        "this system is older than the library was made for: install an earlier version of it",
    ),
    (
        r"(?P<file>\S+): cannot open shared object file",
        "install the package of this system that has {file}, or run: {again}",
    ),
    (
        r"invalid ELF header|wrong ELF class|file too short|incompatible architecture|Exec format",
        "its files are damaged, or of another kind of processor; run: {again}",
    ),
    (
        r"DLL load failed",
        "install Microsoft's Visual C++ Redistributable, or run: {again}",
    ),
)  # fmt: skip

# Address space of numpy and what it loads, on two cores. No model runs in as little.
_IMPORTS_BYTES = 120 << 20
_NO_MEMORY = (
    f"memory: expected {_IMPORTS_BYTES >> 20} MB for the libraries, found less; free some, or "
    "raise the limit (ulimit -v)"
)


class _Reason(NamedTuple):
    """Why a library does not load.

    Attributes:
        words: of whoever noticed first, a line.
        remedy: an imperative.
    """

    words: str
    remedy: str


def import_library(module: str, feature: str, extra: str = "", advice: str = "") -> Any:
    """Import a library.

    Args:
        module: its name.
        feature: what needs it, for the error.
        extra: of edge-ser that brings it; "" where it comes by its own name.
        advice: how to get it, where pip alone does not bring it.

    Raises:
        MissingExtraError: it is not installed.
        LibraryError: it is, and does not load.
        KeyboardInterrupt: Ctrl-C, also where the library made another error of it.
    """
    with loading(feature, extra, module, advice):
        return importlib.import_module(module)


@contextlib.contextmanager
def loading(feature: str, extra: str = "", module: str = "", advice: str = "") -> Iterator[None]:
    """Turn what goes wrong while libraries are imported, and nothing else is done, into its error.

    Args:
        feature: see `import_library`.
        extra: see there.
        module: that is imported; "": whichever the failure names.
        advice: see there.

    Raises:
        MissingExtraError, LibraryError, KeyboardInterrupt: see `import_library`.
    """
    try:
        yield
    except (ImportError, OSError, RuntimeError, AttributeError, SystemError) as error:
        raise explain(error, feature, extra, module, advice) from error


def explain(
    error: BaseException, feature: str, extra: str = "", module: str = "", advice: str = ""
) -> BaseException:
    """What to raise instead of an error that came of an import: see `loading` for the arguments.

    Returns:
        a `LibraryError`; the error itself, where it is one or our own code is at fault; a
        KeyboardInterrupt, where that was the cause.
    """
    # Ctrl-C while a library's compiled code loads comes as an error of that library
    if any(isinstance(e, KeyboardInterrupt) for e in _chain(error)):
        return KeyboardInterrupt()
    absent = ""
    if isinstance(error, ImportError):
        named = (error.name or "").split(".")[0]
        if isinstance(error, LibraryError) or named.startswith("edge_ser"):
            return error
        absent = named if isinstance(error, ModuleNotFoundError) else ""
    if absent and absent == (module.partition(".")[0] or absent):
        return MissingExtraError(feature, absent, extra, advice)
    name = module or _module_of(error)
    reason = _reason(error, name)
    if absent:
        reason = reason._replace(words=f"it needs `{absent}`, which is not installed")
    return LibraryError(
        feature,
        expected=f"the Python module `{name}` to load",
        found=reason.words,
        advice=reason.remedy,
    )


def _chain(error: BaseException) -> list[BaseException]:
    """An error and what caused it, first the last one."""
    errors: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in errors:
        errors.append(following)
        following = following.__cause__ or following.__context__
    return errors


def _module_of(error: BaseException) -> str:
    """Name of the outermost package, other than ours, whose code failed."""
    trace = error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0]
        if name and not name.startswith(("edge_ser", "importlib", "_frozen", "contextlib", "__")):
            return name
        trace = trace.tb_next
    return getattr(error, "name", None) or "that it needs"


def _reason(error: BaseException, module: str) -> _Reason:
    again = pip_again(module.partition(".")[0])
    errors = _chain(error)
    for one in reversed(errors):  # the first cause that anybody knows a remedy for
        for pattern, remedy in _REMEDIES:
            match = re.search(pattern, str(one))
            if match:
                line = next(s for s in str(one).splitlines() if re.search(pattern, s))
                return _Reason(line.strip(), remedy.format(again=again, **match.groupdict()))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) != 1:  # numpy's page of advice: its cause is shorter
        first = str(errors[-1]).strip().splitlines()
        lines = first or [type(errors[-1]).__name__]
    return _Reason(lines[0], f"run: {again}")


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Around the imports that `edge_ser` itself begins with.

    The command line cannot tell what keeps it from being imported. So where Python was started for
    it, the one line and the exit code are given here.

    Raises:
        MissingExtraError, LibraryError, KeyboardInterrupt: see `import_library`.
        MemoryError: there is too little.
    """
    try:
        if _is_command():
            _check_memory()
        with loading("edge-ser"):
            yield
    except (LibraryError, KeyboardInterrupt, MemoryError) as error:
        if not _is_command() or os.environ.get(DEBUG_VARIABLE):
            raise
        interrupted = isinstance(error, KeyboardInterrupt)
        line = _NO_MEMORY if isinstance(error, MemoryError) else str(error)
        print(f"edge-ser: error: {'interrupted' if interrupted else line}", file=sys.stderr)
        raise SystemExit(INTERRUPTED if interrupted else LibraryError.exit_code) from None


def _check_memory() -> None:
    """Ask for what the imports take: where it is not there, OpenBLAS ends the process with code 1.

    Raises:
        MemoryError: the system does not give it.
    """
    try:
        mmap.mmap(-1, _IMPORTS_BYTES).close()
    except OSError as error:
        raise MemoryError from error


def _is_command() -> bool:
    """Whether Python runs `edge-ser` or `python -m edge_ser`, not a program that uses it."""
    started = sys.argv[0] if sys.argv else ""
    if started == "-m":  # while the package is imported, before its __main__
        words = sys.orig_argv
        return "edge_ser" in words[words.index("-m") + 1 :][:1]
    place = PurePath(started)
    return place.stem == "edge-ser" or place.parts[-2:] == ("edge_ser", "__main__.py")
