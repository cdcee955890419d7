"""What several commands share."""

from __future__ import annotations

import argparse
import atexit
import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from edge_ser.libraries import explain

if TYPE_CHECKING:
    from edge_ser.bundle.bundle import Bundle
    from edge_ser.session import Session


@contextlib.contextmanager
def needs(extra: str, command: str) -> Iterator[None]:
    """Turn an optional dependency that is missing or broken into what to do about it.

    Raises:
        MissingExtraError: a module outside this project is not installed.
        LibraryError: one is, and does not load.
    """
    try:
        yield
    except ImportError as error:
        raise explain(error, f"edge-ser {command}", extra) from error


def collect_rarely() -> None:
    """Spare a process that ends with its command the search for cycles among torch's objects.

    It would take half a second while torch is imported and a model is traced, and more than a
    second when the process ends.
    """
    gc.set_threshold(100_000, 50, 50)
    atexit.register(gc.freeze)


def add_corpus(parser: Any) -> None:
    """Arguments that say which labelled speech; `label_table.find_corpus` reads them."""
    parser.add_argument(
        "labels",
        type=Path,
        metavar="LABELS.csv",
        help="table with FileName, EmoAct, EmoDom, EmoVal, Split_Set; or the root of a corpus in "
        "MSP-Podcast's layout (Labels/labels_consensus.csv beside Audios/)",
    )
    parser.add_argument(
        "--audio", type=Path, metavar="DIR", help="folder of audio (default: the corpus's own)"
    )


def add_runtime_options(parser: Any) -> None:
    """Options that say what computes, the same for every command that runs a bundle."""
    from edge_ser.session import ProviderName
    from edge_ser_runtimes.registry import RUNTIMES

    parser.add_argument(
        "--runtime",
        default="auto",
        metavar="NAME",
        help=f"{', '.join(RUNTIMES)}, or auto (default): what suits the bundle and runs here",
    )
    parser.add_argument(
        "--provider",
        choices=get_args(ProviderName),
        help="of ONNX Runtime (default cpu); the others compute on a GPU",
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="for the computation; without it what EDGE_SER_THREADS says, or the cores that this "
        "process may use",
    )


def is_device_name(word: str) -> bool:
    """Whether a word names a GPU, known or known to be too old."""
    from edge_ser_runtimes.engines.devices import is_known

    return is_known(word)


def open_session(
    bundle: Bundle,
    runtime: str = "auto",
    threads: int | None = None,
    provider: str | None = None,
) -> Session:
    """Open a bundle through the registry of runtimes."""
    from edge_ser_runtimes import registry

    return registry.open_session(bundle, runtime, threads, provider)


def computing_words(session: Session, arguments: argparse.Namespace) -> tuple[str, bool]:
    """What a session computes with, in words, and whether that is a TensorRT engine."""
    from edge_ser_runtimes.registry import describe, runs_engines

    words = [describe(session)]
    if arguments.provider is not None:
        words.append(f"provider {arguments.provider}")
    if arguments.threads is not None:
        words.append(f"{arguments.threads} thread{'s' if arguments.threads != 1 else ''}")
    return ", ".join(words), runs_engines(session)
