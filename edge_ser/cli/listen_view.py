"""What `edge-ser listen` shows: a live view on a terminal, lines elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.printable import printable
from edge_ser.streaming.estimate import Estimate
from edge_ser.streaming.smoothing import Smoothed
from edge_ser.streaming.speech_gate import SpokenSpan

if TYPE_CHECKING:
    from rich.text import Text

_BAR, _PLANE_WIDTH, _PLANE_HEIGHT = 40, 41, 11
_TRACE = 8  # places of the plane that are remembered


class View(Protocol):
    """Shows a stream."""

    def estimate(self, estimate: Estimate) -> None:
        """Take an answer."""

    def utterance(self, span: SpokenSpan) -> None:
        """Take an utterance that has ended."""

    def state(self, seconds: float, is_speech: bool, dropped: int) -> None:
        """Take what holds between answers."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class JsonLines:
    """A line of JSON for each estimate and each utterance."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def estimate(self, estimate: Estimate) -> None:
        """Print it."""
        print(json.dumps(estimate.to_dict()), file=self._stream, flush=True)

    def utterance(self, span: SpokenSpan) -> None:
        """Print it."""
        print(json.dumps({"utterance": span._asdict()}), file=self._stream, flush=True)

    def state(self, seconds: float, is_speech: bool, dropped: int) -> None:
        """No line of it: estimates say it, too."""

    def close(self) -> None:
        """Every line is complete."""


class PlainLines:
    """A line of words for each estimate and each utterance."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def estimate(self, estimate: Estimate) -> None:
        """Print it."""
        light = "speech" if estimate.is_speech else ""
        missed = f"  {estimate.dropped} dropped" if estimate.dropped else ""
        line = f"{estimate.end:9.2f} s  {light:6}  {estimate_words(estimate)}{missed}"
        print(printable(line.rstrip()), file=self._stream, flush=True)

    def utterance(self, span: SpokenSpan) -> None:
        """Print it."""
        words = f"spoken for {span.end - span.start:.1f} s"
        print(f"{span.end:9.2f} s  end     {words}", file=self._stream, flush=True)

    def state(self, seconds: float, is_speech: bool, dropped: int) -> None:
        """No line of it."""

    def close(self) -> None:
        """Every line is complete."""


def estimate_words(estimate: Estimate) -> str:
    """An estimate in a few words: the running mean, where there is one."""
    emotion = estimate.emotion
    if emotion is None:
        return f"- {estimate.reason}"
    if emotion.category is not None and emotion.categories is not None:
        return f"{emotion.category} {emotion.categories[emotion.category]:.0%}"
    mean = estimate.smoothed
    if mean is None:
        return "- hardly any speech"
    scores = "  ".join(f"{name} {getattr(mean, name):.2f}" for name in DIMENSIONS)
    return f"{scores}  {mean.region}"


@dataclass
class Shown:
    """What the live view holds.

    Attributes:
        title: of the model and the source.
        seconds: of audio so far.
        is_speech: whether somebody speaks.
        dropped: windows so far.
        last: the newest estimate; None before the first.
        mean: the newest running mean; None before the first.
        trace: (valence, arousal) of the means before, oldest first.
        utterances: that have ended.
    """

    title: str
    seconds: float = 0.0
    is_speech: bool = False
    dropped: int = 0
    last: Estimate | None = None
    mean: Smoothed | None = None
    trace: tuple[tuple[float, float], ...] = ()
    utterances: int = 0


def bar(score: float) -> str:
    """A score, 1..7, as a bar."""
    filled = round((score - SCORE_MIN) / (SCORE_MAX - SCORE_MIN) * _BAR)
    return "█" * filled + "·" * (_BAR - filled)


def plane(trace: Sequence[tuple[float, float]]) -> list[str]:
    """Valence to the right and arousal upwards, with the newest place as a dot: lines of a plane.

    Args:
        trace: (valence, arousal), 1..7, oldest first.
    """
    middle_row, middle_column = _PLANE_HEIGHT // 2, _PLANE_WIDTH // 2
    rows = [["─" if row == middle_row else " "] * _PLANE_WIDTH for row in range(_PLANE_HEIGHT)]
    for row in rows:
        row[middle_column] = "│"
    rows[middle_row][middle_column] = "┼"
    span = SCORE_MAX - SCORE_MIN
    for number, (valence, arousal) in enumerate(trace, 1):
        column = round((valence - SCORE_MIN) / span * (_PLANE_WIDTH - 1))
        row_number = round((SCORE_MAX - arousal) / span * (_PLANE_HEIGHT - 1))
        rows[row_number][column] = "●" if number == len(trace) else "∙"
    return ["".join(row) for row in rows]


def draw(shown: Shown) -> Text:
    """The live view as styled lines."""
    from rich.text import Text

    text = Text()
    text.append(f"{printable(shown.title)}\n", style="bold")
    light = ("● speech  ", "bold green") if shown.is_speech else ("○ silence ", "dim")
    text.append(*light)
    dropped = f"  {shown.dropped} dropped" if shown.dropped else ""
    count = f"{shown.utterances} utterance{'' if shown.utterances == 1 else 's'}"
    text.append(f"{shown.seconds:8.1f} s  {count}{dropped}\n\n", style="dim")
    mean, last = shown.mean, shown.last
    style = "" if last is not None and last.smoothed is not None else "dim"
    for name, colour in zip(DIMENSIONS, ("red", "blue", "green"), strict=True):
        text.append(f"{name:10}")
        if mean is not None:
            score = getattr(mean, name)
            text.append(bar(score), style=f"{style} {colour}".strip())
            text.append(f" {score:.2f}")
        text.append("\n")
    region = "-" if mean is None else f"{mean.region}"
    text.append(f"{'region':10}")
    text.append(f"{region}\n", style=f"bold {style}".strip())
    text.append(f"\n{'arousal':^{_PLANE_WIDTH}}\n", style="dim")
    for number, row in enumerate(plane(shown.trace)):
        text.append(row)
        text.append(" valence\n" if number == _PLANE_HEIGHT // 2 else "\n", style="dim")
    reason = "" if last is None or last.smoothed is not None else estimate_words(last)
    text.append(printable(reason), style="yellow")
    return text


class LiveView:
    """The view that is drawn again and again in one place.

    Args:
        title: of the model and the source.
        stream: a terminal.
    """

    def __init__(self, title: str, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live

        self._shown = Shown(title)
        self._live: Any = Live(
            console=Console(file=stream), get_renderable=lambda: draw(self._shown),
            refresh_per_second=8,
        )  # fmt: skip
        self._live.start()

    def estimate(self, estimate: Estimate) -> None:
        """Draw it."""
        shown, mean = self._shown, estimate.smoothed
        shown.last = estimate
        if mean is not None:
            shown.mean = mean
            shown.trace = (*shown.trace, (mean.valence, mean.arousal))[-_TRACE:]

    def utterance(self, span: SpokenSpan) -> None:
        """Count it."""
        self._shown.utterances += 1

    def state(self, seconds: float, is_speech: bool, dropped: int) -> None:
        """Draw it."""
        shown = self._shown
        shown.seconds, shown.is_speech, shown.dropped = seconds, is_speech, dropped

    def close(self) -> None:
        """Draw the last state, and leave it there."""
        self._live.stop()
