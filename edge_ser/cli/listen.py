"""`edge-ser listen`: a microphone, or samples on stdin, answered as they come."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.audio.kinds import AUDIO_SUFFIXES
from edge_ser.audio.pcm import PCM_FORMATS, Pcm, PcmPipe
from edge_ser.cli.common import add_runtime_options
from edge_ser.cli.console import print_note, told_warnings
from edge_ser.cli.listen_view import JsonLines, LiveView, PlainLines, View
from edge_ser.cli.outputs import Output
from edge_ser.cli.predict import read_channel
from edge_ser.errors import LibraryError, UsageError
from edge_ser.libraries import import_library
from edge_ser.load import load
from edge_ser.recognizer import Recognizer
from edge_ser.streaming.counters import Counters
from edge_ser.streaming.estimate import Estimate

if TYPE_CHECKING:
    from edge_ser.streaming.background import BackgroundStream
    from edge_ser.streaming.stream import Stream

_STDIN = "-"
# Seconds between looks at what the microphone brought.
_LOOK = 0.1


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "listen",
        help="answer a microphone, or samples on stdin, as they come",
        description="Answer windows of a microphone, or of samples on stdin, as they end: a live "
        "view on a terminal, lines elsewhere. No audio is kept. Ctrl-C ends it.",
    )
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="[BUNDLE] [-]",
        help="an optional bundle (default: the default model); - for WAV or raw samples on stdin "
        "in place of a microphone",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="of raw samples, or of the device")
    parser.add_argument(
        "--format", metavar="NAME", help=f"of raw samples: {', '.join(PCM_FORMATS)} (default s16le)"
    )
    parser.add_argument("--channels", type=int, metavar="N", help="of raw samples (default 1)")
    parser.add_argument(
        "--device", metavar="NAME|N", help="microphone, by a part of its name or its number"
    )
    parser.add_argument(
        "--channel", type=read_channel, default="mean", metavar="left|right|N|mean",
        help="that is heard (default: their mean)",
    )  # fmt: skip
    for name, default, words in (
        ("window", 3.0, "length of a window"),
        ("hop", 0.5, "from the start of one window to that of the next"),
        ("pause", 0.6, "without speech, that end an utterance"),
        ("smoothing", 1.0, "after which an answer counts for 1/e in the running mean"),
    ):
        parser.add_argument(
            f"--{name}", type=float, default=default, metavar="SECONDS",
            help=f"{words} (default {default:g})",
        )  # fmt: skip
    parser.add_argument(
        "--on-poor", choices=("warn", "refuse"), default="refuse",
        help="windows that are poor, or hold hardly any speech: refuse (default: the model does "
        "not run for them) or answer",
    )  # fmt: skip
    parser.add_argument(
        "--min-speech", type=float, metavar="SHARE",
        help="of a window that must be speech, 0 to 1 (default: what the bundle says, or 0.2)",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, metavar="N", help="of audio, then end")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each answer")
    parser.add_argument(
        "--counters", action=Output,
        help="write there at the end, in numbers, what was heard: no audio, no single answer",
    )  # fmt: skip
    add_runtime_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    bundle, is_piped = _read_words(arguments.inputs)
    pcm = _check_options(arguments, is_piped)
    if arguments.counters is not None:
        from edge_ser.report.files import check_output_path

        check_output_path(arguments.counters)
    with told_warnings():
        recognizer = load(
            bundle, arguments.runtime, arguments.threads, provider=arguments.provider,
            channel=arguments.channel, on_poor=arguments.on_poor, min_speech=arguments.min_speech,
        )  # fmt: skip
        if is_piped:
            _listen_to_stdin(recognizer, pcm, arguments)
        else:
            _listen_to_microphone(recognizer, arguments)
    return 0


def _read_words(words: list[str]) -> tuple[Path | None, bool]:
    """The bundle, and whether stdin is listened to."""
    bundles = [Path(word) for word in words if word != _STDIN]
    if len(bundles) > 1 or words.count(_STDIN) > 1:
        raise UsageError(
            "command line",
            expected="at most one bundle and one -",
            found=" ".join(words),
            advice="for files run: edge-ser predict --segments",
        )
    if bundles and _STDIN not in words and bundles[0].suffix.lower() in AUDIO_SUFFIXES:
        raise UsageError(
            bundles[0],
            expected="a bundle, or - for samples on stdin",
            found="an audio file",
            advice=f"for a file run: edge-ser predict --segments {bundles[0]}",
        )
    return (bundles[0] if bundles else None), _STDIN in words


def _check_options(arguments: argparse.Namespace, is_piped: bool) -> Pcm | None:
    """What raw samples are; None where nobody said."""
    if arguments.seconds is not None and not 0 < arguments.seconds < math.inf:
        raise UsageError("--seconds", expected="more than 0", found=f"{arguments.seconds:g}")
    misplaced = ("device",) if is_piped else ("format", "channels")
    for name in misplaced:
        if getattr(arguments, name) is not None:
            raise UsageError(
                f"--{name}",
                expected="no - beside it" if is_piped else "- beside it",
                found="samples on stdin" if is_piped else "a microphone",
            )
    if not is_piped:
        return None
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "-",
            expected="audio on stdin",
            found="a closed stream" if sys.stdin is None else "a terminal",
            advice="run: ffmpeg -i call.mp3 -f wav - | edge-ser listen -",
        )
    if arguments.rate is None:
        if arguments.format is not None or arguments.channels is not None:
            raise UsageError("--rate", expected="Hz, beside the format", found="none")
        return None
    channels = 1 if arguments.channels is None else arguments.channels
    return Pcm(arguments.rate, arguments.format or "s16le", channels)


def _listen_to_stdin(
    recognizer: Recognizer, pcm: Pcm | None, arguments: argparse.Namespace
) -> None:
    """Samples that wait for the model: whoever writes them does."""
    pipe = PcmPipe(sys.stdin.buffer, pcm, "<stdin>")
    with (
        recognizer.stream(pipe.pcm.rate, **_options(arguments)) as stream,
        _report(recognizer, stream, "stdin", arguments) as report,
    ):
        left = None if arguments.seconds is None else round(arguments.seconds * pipe.pcm.rate)
        for block in pipe:
            report.take(stream.push(block[:left]))
            left = None if left is None else left - len(block)
            if left is not None and left <= 0:
                break
        report.take(stream.flush())


def _listen_to_microphone(recognizer: Recognizer, arguments: argparse.Namespace) -> None:
    """Samples that wait for nobody."""
    from edge_ser.cli.listen_microphone import Microphone

    microphone = Microphone(arguments.device, arguments.rate)
    stream = recognizer.stream(microphone.rate, **_options(arguments))
    with (
        stream.in_background() as live,
        _report(recognizer, live, microphone.name, arguments) as report,
    ):
        with microphone.feeding(live):
            while arguments.seconds is None or live.seconds < arguments.seconds:
                estimate = live.get(timeout=_LOOK)
                report.take([] if estimate is None else [estimate])
                microphone.check()
        live.flush()
        report.take(live)
        if microphone.overflows:
            print_note(f"the system lost samples {microphone.overflows} times")


def _options(arguments: argparse.Namespace) -> dict[str, float]:
    return {n: getattr(arguments, n) for n in ("window", "hop", "pause", "smoothing")}


class _Report:
    """Shows and counts what a stream says."""

    def __init__(self, stream: Stream | BackgroundStream, view: View) -> None:
        self._stream, self._view, self.counters = stream, view, Counters()
        self._dropped = 0

    def take(self, estimates: Iterable[Estimate]) -> None:
        for estimate in estimates:
            self._dropped += estimate.dropped
            self.counters.add(estimate)
            self._view.estimate(estimate)
        for span in self._stream.ended_utterances():
            self.counters.add_utterances([span.end - span.start])
            self._view.utterance(span)
        self._view.state(self._stream.seconds, self._stream.is_speech, self._dropped)


@contextlib.contextmanager
def _report(
    recognizer: Recognizer,
    stream: Stream | BackgroundStream,
    source: str,
    arguments: argparse.Namespace,
) -> Iterator[_Report]:
    """A view while it lasts, and the counters at its end, however it ends."""
    manifest = recognizer.manifest
    title = f"{manifest.name}, {manifest.target}: {source}"
    view = _choose_view(title, arguments.json, manifest.has_dimensions)
    report = _Report(stream, view)
    try:
        yield report
    finally:
        try:
            view.close()
        finally:
            if arguments.counters is not None:
                from edge_ser.report.files import write_whole

                data = report.counters.to_dict(recognizer.bundle, stream.seconds, stream.clock)
                write_whole(arguments.counters, json.dumps(data, indent=2) + "\n")


def _choose_view(title: str, as_json: bool, has_dimensions: bool) -> View:
    if as_json:
        return JsonLines(sys.stdout)
    if not sys.stdout.isatty() or not has_dimensions or not _can_draw():
        return PlainLines(sys.stdout)
    try:
        import_library("rich", "the live view", "mic")
    except LibraryError as error:
        print_note(f"{error}; lines until then")
        return PlainLines(sys.stdout)
    return LiveView(title, sys.stdout)


def _can_draw() -> bool:
    """Whether the terminal's encoding has what the view is drawn with."""
    try:
        "█●∙│─┼".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
