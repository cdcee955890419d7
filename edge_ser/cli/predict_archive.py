"""`edge-ser predict --engine`: archives of many files into a folder of Parquet."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from edge_ser.bundle.bundle import is_bundle
from edge_ser.cli.console import print_note, print_warning
from edge_ser.errors import UsageError
from edge_ser.progress import watched

# Of `edge_ser.scoring.archive.run`, which need not be imported for this.
ENGINES = ("plain", "ray")


def add_archive_options(parser: Any) -> None:
    """Declare what is asked of an archive."""
    what = parser.add_argument_group("archives of many files")
    what.add_argument(
        "--engine",
        choices=ENGINES,
        help="answer folders, Parquet or .tar shards into Parquet in the folder of --out, but for "
        "what it holds already: plain in this process, ray by workers",
    )
    what.add_argument(
        "--workers", type=int, metavar="N", help="of Ray (default: a worker for each core)"
    )
    what.add_argument(
        "--part-files",
        type=int,
        metavar="N",
        help="files of a part, which is written as a whole (default 1000)",
    )


def check_archive_options(arguments: argparse.Namespace) -> None:
    """Refuse options that would do nothing.

    Raises:
        UsageError: one of archives without --engine, or one that archives do not have.
    """
    if arguments.engine is None:
        for name in ("workers", "part_files"):
            if getattr(arguments, name) is not None:
                raise UsageError(
                    f"--{name.replace('_', '-')}", expected="--engine beside it", found="none"
                )
        return
    if arguments.out is None:
        raise UsageError("--engine", expected="--out DIR beside it", found="none")
    for option, given, usual in (
        ("--turns", arguments.turns, None),
        ("--plot", arguments.plot, None),
        ("--baseline", " ".join(map(str, arguments.baseline)) or None, None),
        ("--long", arguments.long, ("first", "segments")),
        ("--format", arguments.format, ("table",)),
        ("--provider", arguments.provider, None),
        ("--workers", arguments.workers if arguments.engine == "plain" else None, None),
    ):
        if given is not None and given not in (usual or ()):
            beside = f"--engine {arguments.engine}"
            raise UsageError(option, expected=f"none beside {beside}", found=str(given))


def run_archive(arguments: argparse.Namespace) -> int:
    """Answer an archive: 2 if any recording could not be, after all others were."""
    from edge_ser.recognizer import DEFAULT_WINDOW
    from edge_ser.scoring.archive import Scorer, score_archive
    from edge_ser.scoring.archive.run import PART_FILES

    sources, bundle = list(arguments.inputs), arguments.bundle
    if bundle is None and sources and is_bundle(Path(sources[0])):
        bundle = Path(sources.pop(0))
    if not sources or "-" in sources:
        found = "- for stdin" if sources else "none"
        raise UsageError("FILE", expected="folders, files or shards beside --engine", found=found)
    window = arguments.window
    if arguments.long == "segments" and window is None:
        window = DEFAULT_WINDOW
    scorer = Scorer(
        bundle,
        window=window,
        hop=arguments.hop,
        batch_size=arguments.batch_size,
        threads=arguments.threads or 1,
        runtime=arguments.runtime,
        channel=arguments.channel,
        on_poor=arguments.on_poor,
        min_speech=arguments.min_speech,
    )
    with watched(unit="file", name="predict") as bar:
        summary = score_archive(
            sources,
            _address(arguments.out),
            scorer,
            engine=arguments.engine,
            workers=arguments.workers,
            part_files=PART_FILES if arguments.part_files is None else arguments.part_files,
            progress=bar.update,
        )
    print_note(f"{arguments.out}: {summary.words}")
    if summary.metrics.errors:
        print_warning(
            f"{summary.metrics.errors} recordings have no answer: see the column error of the rows"
        )
    return 2 if summary.metrics.errors else 0


def _address(out: Path) -> str:
    """As it was typed: a path has one slash where `s3://bucket/folder` has two."""
    return re.sub(r"^([a-z][a-z0-9+.-]+):/(?!/)", r"\1://", str(out))
