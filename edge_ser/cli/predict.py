"""`edge-ser predict`."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from edge_ser.audio import Channel
from edge_ser.audio.inputs import Source
from edge_ser.audio.long_audio import MAX_CUTS_TOLD
from edge_ser.cli.common import add_runtime_options
from edge_ser.cli.console import print_error, print_warning, told_warnings
from edge_ser.cli.folders import audio_files
from edge_ser.cli.inputs import read_inputs
from edge_ser.cli.outputs import Output
from edge_ser.cli.predict_archive import (
    add_archive_options,
    check_archive_options,
    run_archive,
)
from edge_ser.cli.predict_rows import ROW_PRINTERS, RowPrinter
from edge_ser.cli.predict_segments import mean_answers, print_segments
from edge_ser.cli.score_columns import ScoreColumns
from edge_ser.cli.segment_rows import SEGMENT_PRINTERS
from edge_ser.emotion.decode import Emotion
from edge_ser.errors import EdgeSerError, UsageError
from edge_ser.load import load
from edge_ser.plotting import check_plot_path
from edge_ser.progress import watched
from edge_ser.recognizer import DEFAULT_WINDOW, Recognizer
from edge_ser.segments.plot import write_plot
from edge_ser.segments.track import Track
from edge_ser.segments.turns import read_turns
from edge_ser.segments.windows import window_rule


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "predict",
        help="print the emotion of audio files",
        description="Print arousal, dominance and valence (1..7) and the region of the emotion "
        "sphere for audio files, or the categories that a model tells apart. Without arguments: "
        "the default model on the sample utterances.",
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="[BUNDLE] FILE",
        help="an optional bundle, then audio files, directories, or - for stdin",
    )
    parser.add_argument("--bundle", type=Path, metavar="BUNDLE", help="the bundle as an option")
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv", "rttm"),
        default="table",
        help="table (default), json, csv; of segments also rttm",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="JSON, one line per file"
    )
    parser.add_argument(
        "--channel",
        type=read_channel,
        default="mean",
        metavar="left|right|N|mean",
        help="of recordings with several (default: their mean)",
    )
    parser.add_argument(
        "--on-poor",
        choices=("warn", "refuse"),
        default="warn",
        help="what to do with audio that is too quiet, clipped, interrupted, offset or not speech",
    )
    parser.add_argument(
        "--min-speech",
        type=float,
        metavar="SHARE",
        help="of the time that must be speech, 0 to 1 (default: what the bundle says, or 0.2)",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="neutral speech of the speaker or microphone, a file or folder: answers are against "
        "its mean; may be given several times",
    )
    parser.add_argument(
        "-o",
        "--out",
        action=Output,
        help="write there, as a whole, in place of stdout; a folder beside --engine",
    )
    add_runtime_options(parser)
    parser.add_argument(
        "--batch-size", type=int, default=8, help="files, or segments, per run (default 8)"
    )
    _add_segment_options(parser)
    add_archive_options(parser)
    parser.set_defaults(run=run)


def _add_segment_options(parser: Any) -> None:
    parser.add_argument(
        "--long",
        choices=("first", "mean", "segments"),
        default="first",
        help="of audio longer than the model takes: answer the first seconds of it (default), the "
        "mean of all of it, or every segment",
    )
    parser.add_argument(
        "--segments",
        action="store_const",
        const="segments",
        dest="long",
        help="answer every recording segment by segment; the same as --long segments",
    )
    parser.add_argument(
        "--turns",
        type=Path,
        metavar="FILE",
        help="RTTM or CSV (speaker, start, end): segments are these turns, and every speaker has "
        "an overall value",
    )
    parser.add_argument(
        "--window",
        type=float,
        metavar="SECONDS",
        help="length of a segment (default 5; with --long mean what the model takes)",
    )
    parser.add_argument(
        "--hop",
        type=float,
        metavar="SECONDS",
        help="from the start of one segment to that of the next (default: the window)",
    )
    parser.add_argument(
        "--plot",
        action=Output,
        help="draw the segments of a recording over time, as .png or .svg",
    )


def read_channel(text: str) -> Channel:
    """A channel as the command line says it."""
    return int(text) if text.isdecimal() else cast("Channel", text)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: 2 if any input could not be used, after all others were."""
    if arguments.batch_size < 1:
        raise UsageError("--batch-size", expected="at least 1", found=str(arguments.batch_size))
    _check_segment_options(arguments)
    check_archive_options(arguments)
    if arguments.engine is not None:
        return run_archive(arguments)
    if arguments.out is not None:
        from edge_ser.report.files import check_output_path

        check_output_path(arguments.out)
    if arguments.plot is not None:
        check_plot_path(arguments.plot, "edge-ser predict")
    bundle, sources, unreadable = read_inputs(arguments.inputs, arguments.bundle)
    if arguments.plot is not None and len(sources) != 1:
        raise UsageError("--plot", expected="one recording", found=str(len(sources)))
    with told_warnings():
        recognizer = load(
            bundle,
            arguments.runtime,
            arguments.threads,
            provider=arguments.provider,
            channel=arguments.channel,
            on_poor=arguments.on_poor,
            min_speech=arguments.min_speech,
        )
        if arguments.baseline:
            neutral, missed = audio_files(arguments.baseline)
            unreadable += missed
            recognizer = recognizer.with_baseline(neutral)
        with _output(arguments.out) as stream:
            failed = _answer_all(recognizer, sources, arguments, stream)
    if recognizer.cut_count > MAX_CUTS_TOLD:
        seconds = recognizer.manifest.preprocessing.max_seconds
        print_warning(
            f"used the first {seconds:g} s of {recognizer.cut_count} files that are longer"
        )
    return 2 if failed or unreadable else 0


def _check_segment_options(arguments: argparse.Namespace) -> None:
    """Refuse options that would do nothing.

    Raises:
        UsageError: one of segments without segments.
    """
    if arguments.turns is not None:
        if arguments.long == "mean":
            raise UsageError("--turns", expected="--segments beside it", found="--long mean")
        arguments.long = "segments"
    if arguments.long == "first":
        for name in ("window", "hop"):
            if getattr(arguments, name) is not None:
                raise UsageError(
                    f"--{name}", expected="--segments or --long mean beside it", found="neither"
                )
    if arguments.long == "segments":
        return
    if arguments.format == "rttm":
        raise UsageError("--format rttm", expected="--segments beside it", found="none")
    if arguments.plot is not None:
        raise UsageError("--plot", expected="--segments beside it", found="none")


def _answer_all(
    recognizer: Recognizer,
    sources: Sequence[Source],
    arguments: argparse.Namespace,
    stream: TextIO,
) -> int:
    """Print what is asked of every recording; returns how many could not be had."""
    batch_size, hop, window = arguments.batch_size, arguments.hop, arguments.window
    rules = recognizer.manifest.preprocessing
    if arguments.long != "first":
        if window is None:
            window = DEFAULT_WINDOW if arguments.long == "segments" else rules.max_seconds
        window_rule(window, hop, rules)  # once, not for every file
    if arguments.plot is not None and not recognizer.manifest.has_dimensions:
        raise UsageError(
            "--plot",
            expected="a model of arousal, dominance and valence",
            found=f"{recognizer.manifest.name}, which tells categories apart",
        )
    scores = ScoreColumns(recognizer.score_reference)
    if arguments.long == "segments":
        printer = SEGMENT_PRINTERS[arguments.format](stream, recognizer.manifest, scores)
        turns = None if arguments.turns is None else read_turns(arguments.turns)
        track = None if arguments.plot is None else Track()
        failed = print_segments(recognizer, sources, printer, window, hop, batch_size, turns, track)
        if track is not None and not failed:
            limits = recognizer.hearing.limits(recognizer.manifest.sound)
            write_plot(arguments.plot, track, limits.min_speech)
        return failed
    rows = ROW_PRINTERS[arguments.format](stream, recognizer.manifest, scores)
    if arguments.long == "mean":
        answers = mean_answers(recognizer, sources, window, hop, batch_size)
    else:
        answers = recognizer.each(sources, batch_size=batch_size)
    return _print_answers(answers, len(sources), rows)


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Where rows go: to stdout, or into a file that appears as a whole, after Ctrl-C too."""
    if path is None:
        yield sys.stdout
        return
    from edge_ser.report.files import write_whole

    rows = io.StringIO()
    try:
        yield rows
    except KeyboardInterrupt:
        write_whole(path, rows.getvalue())
        raise
    write_whole(path, rows.getvalue())


def _print_answers(
    answers: Iterator[tuple[int, Emotion | EdgeSerError]], total: int, printer: RowPrinter
) -> int:
    """Print every answer in the order given; returns how many could not be had.

    Raises:
        KeyboardInterrupt: after what was answered until then is printed.
    """
    failed = following = 0
    waiting: dict[int, Emotion | EdgeSerError] = {}

    def show(answer: Emotion | EdgeSerError) -> None:
        nonlocal failed
        if isinstance(answer, EdgeSerError):
            failed += 1
            print_error(answer)
        else:
            if bar is not None:
                bar.clear()
            printer.row(answer)

    with _progress(total) as bar:
        try:
            for index, outcome in answers:
                waiting[index] = outcome
                if bar is not None:
                    bar.update()
                while following in waiting:  # batched by length, printed in the order given
                    show(waiting.pop(following))
                    following += 1
        except KeyboardInterrupt:
            count = following + len(waiting)
            for index in sorted(waiting):
                show(waiting[index])
            printer.close()
            if count:
                print_warning(f"interrupted after {count} of {total} files, which are kept")
            raise
    printer.close()
    return failed


def _progress(total: int) -> contextlib.AbstractContextManager[Any]:
    """Progress over many files; None over few."""
    if total < 8:
        return contextlib.nullcontext()
    bar: contextlib.AbstractContextManager[Any] = watched(total=total, unit="file", name="predict")
    return bar
