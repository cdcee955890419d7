"""Every error a user can cause, as one small tree.

Each says in one line what was expected, what was found and what to do, and is also the builtin
that a caller would expect (`ValueError`, `FileNotFoundError`, ...). The command line prints the
line without a traceback and exits with `exit_code`.

All of them pickle, with every attribute: a worker's error reaches the process that waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import Any

from edge_ser.install import pip_extra, pip_package
from edge_ser.printable import printable

# Variable of the environment that makes the command line give the traceback, too.
DEBUG_VARIABLE = "EDGE_SER_DEBUG"
# Exit code of a command that Ctrl-C ended: 128 + SIGINT, as shells say it.
INTERRUPTED = 130


class EdgeSerError(Exception):
    """Base of all errors that edge-ser raises on purpose.

    Args:
        subject: what the error is about: a file, an argument, a tensor. A path is kept as it is,
            anything else as text.
        expected: what would have been right.
        found: what was there instead.
        advice: what to do about it, an imperative without full stop.
    """

    exit_code = 2

    def __init__(self, subject: object, *, expected: str, found: str, advice: str = "") -> None:
        self.subject = subject if isinstance(subject, PurePath) else str(subject)
        self.expected, self.found, self.advice = expected, found, advice
        line = f"{subject}: expected {expected}, found {found}"
        line = f"{line}; {advice}" if advice else line
        # one line, whatever a file's name or a library's message holds
        super().__init__(printable(line))

    def __reduce__(self) -> tuple[Callable[..., EdgeSerError], tuple[Any, ...]]:
        # an exception's own way is to call its class with `args`, the line alone
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[EdgeSerError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> EdgeSerError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UsageError(EdgeSerError, ValueError):
    """An argument that no work can be done with."""


def near_name(word: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """The name that was most likely meant; "" where none is near, by the measure of `difflib`."""
    import difflib  # slow to import, and for errors alone

    known = {name.lower(): name for name in names}
    return next((known[n] for n in difflib.get_close_matches(word.lower(), known, 1, cutoff)), "")


def did_you_mean(word: str, names: Iterable[str], among: str = "", cutoff: float = 0.6) -> str:
    """The question for the name that was most likely meant, as advice; "" where none is near.

    Args:
        word: that was given.
        names: that there are.
        among: what stands before the name, such as the folder of a file.
        cutoff: how near it must be, up to 1.
    """
    near = near_name(word, names, cutoff)
    return f"did you mean {among}{near}?" if near else ""


def unknown_name(
    subject: str, word: object, names: Iterable[str], expected: str = "one of "
) -> UsageError:
    """What is said of a name that is none of those that there are.

    Args:
        subject: the option or argument.
        word: that was given.
        names: that there are, as they are listed.
        expected: words before the list.
    """
    listed = list(names)
    return UsageError(
        subject,
        expected=expected + ", ".join(listed),
        found=str(word),
        advice=did_you_mean(str(word), listed),
    )


class MissingPathError(EdgeSerError, FileNotFoundError):
    """A path that is not there."""


class LibraryError(EdgeSerError, ImportError):
    """A library that cannot be used: it does not load here, or is not installed."""


class MissingExtraError(LibraryError):
    """A feature whose optional dependencies are not installed.

    Args:
        feature: that needs it.
        module: the Python module that is missing.
        extra: of edge-ser that brings it; "" where the module is installed by its own name.
        advice: how to get it, where pip alone does not bring it.
    """

    def __init__(self, feature: str, module: str, extra: str, advice: str = "") -> None:
        from edge_ser.platforms import why_no_package  # what it asks is slow to import

        super().__init__(
            feature,
            expected=f"the Python module `{module}`",
            found="it is not installed",
            advice=advice
            or why_no_package(module)
            or f"run: {pip_extra(extra) if extra else pip_package(module)}",
        )


class DeviceError(EdgeSerError, RuntimeError):
    """A device that cannot run what it was asked to: no driver, or an engine of another GPU."""


class AudioError(EdgeSerError, ValueError):
    """Audio that cannot be read or must not be answered."""


class BundleError(EdgeSerError, ValueError):
    """A bundle that is incomplete, altered, or written for another version."""


class BundleChangedError(BundleError):
    """A bundle of which a file was changed or replaced since it was checked."""

    def __init__(self, subject: object) -> None:
        super().__init__(
            subject,
            expected="the bundle that was checked",
            found="another one in its place, or a changed file",
            advice="open it again when nothing writes to it",
        )


class SignatureError(BundleError):
    """A bundle that was not signed by whom it must be, or was altered since."""


class CheckpointError(EdgeSerError, ValueError):
    """A checkpoint that cannot be loaded in full and safely."""


class DataError(EdgeSerError, ValueError):
    """A label table or corpus that cannot be trained or calibrated on."""


class MeasurementError(EdgeSerError, RuntimeError):
    """Something that was to be measured and did not run."""


class ArchiveError(EdgeSerError, RuntimeError):
    """A job over an archive that was not finished; what was answered is kept."""


class GateError(EdgeSerError, RuntimeError):
    """A measured result outside its limit: the model works, but must not be shipped."""

    exit_code = 1


class PoorAudioWarning(UserWarning):
    """Audio that is answered, though it is too quiet, clipped or interrupted to be believed."""


class LongAudioWarning(UserWarning):
    """Audio that goes on after the last second that the model takes; the rest was not used."""


class DamagedAudioWarning(UserWarning):
    """Audio that ends in damage; what can be read before it was used."""
