"""Hours of audio through streams and segments: faster than real time, flat memory, same answers.

    python benchmarks/soak.py [--hours 24] [--minutes 600]

Writes `results/soak.md`: `ser.stream` and `ser.segments` of the default model in ONNX Runtime and
OpenVINO, each in a process of its own and all at once. The audio is two minutes of the sample
utterances, again and again; the answers to the first two minutes and to the last ones are compared.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import RESULTS, machine_line
from long_recordings import resident_megabytes

import edge_ser
from edge_ser import Emotion
from edge_ser.audio.files import decode_file
from edge_ser.data import sample_utterances

RATE, PIECE, BLOCK = 16_000, 120, 320  # Hz; seconds of audio; samples of a push
WINDOW, HOP = 3.0, 0.5
RUNTIMES, WAYS = ("onnx", "openvino"), ("stream", "segments")
# RSS is compared with that after as many pieces: allocators have grown by then
SETTLED = 5
RESULT = Path(RESULTS) / "soak.md"


@dataclass(frozen=True)
class Soak:
    """What became of one way in one runtime.

    Attributes:
        way: "stream" or "segments".
        runtime: name.
        hours: of audio.
        seconds: that they took.
        settled: MB of RSS after `SETTLED` pieces.
        last: MB of RSS at the end.
        is_same: whether the last piece had the answers of the first one, bit for bit.
    """

    way: str
    runtime: str
    hours: float
    seconds: float
    settled: float
    last: float
    is_same: bool

    @property
    def growth(self) -> float:
        """Share of the settled RSS."""
        return self.last / self.settled - 1

    @property
    def is_fine(self) -> bool:
        return self.is_same and self.growth < 0.01 and self.seconds < 3600 * self.hours

    def row(self) -> str:
        return (
            f"| {self.way} | {self.runtime} | {self.hours:.1f} h | "
            f"{3600 * self.hours / self.seconds:.0f} | {self.settled:.1f} MB | "
            f"{self.last:.1f} MB | {self.growth:+.2%} | {'yes' if self.is_same else 'NO'} |"
        )


def piece_of_speech() -> np.ndarray:
    """`PIECE` seconds, float32 at `RATE`."""
    speech = np.concatenate([decode_file(path, RATE) for path in sample_utterances()])
    return np.tile(speech, PIECE * RATE // speech.size + 1)[: PIECE * RATE]


def streamed(ser: edge_ser.Recognizer, audio: np.ndarray) -> Callable[[], list[Emotion]]:
    """Push a piece into one stream; returns the answers of the windows that lie in it alone."""
    stream = ser.stream(RATE, window=WINDOW, hop=HOP)

    def push() -> list[Emotion]:
        starts = range(0, audio.size, BLOCK)
        estimates = [e for start in starts for e in stream.push(audio[start : start + BLOCK])]
        alone = round(PIECE / HOP) - round(WINDOW / HOP) + 1
        return [e.emotion for e in estimates[-alone:] if e.emotion is not None]

    return push


def segmented(ser: edge_ser.Recognizer, audio: np.ndarray) -> Callable[[], list[Emotion]]:
    """A recording of a piece each time."""
    return lambda: [
        s.emotion
        for s in ser.segments(audio, RATE, window=WINDOW, hop=HOP)
        if s.emotion is not None
    ]


def soak(way: str, runtime: str, hours: float, minutes: float) -> Soak:
    """Run one way until its hours, or the minutes on the wall, are over."""
    audio = piece_of_speech()
    ser = edge_ser.load(runtime=runtime, threads=1)
    answer = (streamed if way == "stream" else segmented)(ser, audio)
    begun, pieces, settled = time.monotonic(), 1, 0.0
    first = last = answer()
    while pieces <= SETTLED or (
        pieces * PIECE < 3600 * hours and time.monotonic() - begun < 60 * minutes
    ):
        last, pieces = answer(), pieces + 1
        if pieces == SETTLED:
            settled = resident_megabytes()
        print(f"{way} {runtime}: {pieces * PIECE / 3600:.1f} h", flush=True)
    seconds = time.monotonic() - begun
    is_same = len(first) > PIECE and first == last
    hours = pieces * PIECE / 3600
    return Soak(way, runtime, hours, seconds, settled, resident_megabytes(), is_same)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of audio, each")
    parser.add_argument("--minutes", type=float, default=600.0, help="on the wall at most")
    arguments = parser.parse_args()
    kinds = [(way, runtime) for way in WAYS for runtime in RUNTIMES]
    with multiprocessing.get_context("spawn").Pool(len(kinds)) as pool:
        soaks = pool.starmap(
            soak, [(*kind, arguments.hours, arguments.minutes) for kind in kinds], chunksize=1
        )
    RESULT.write_text(
        f"""# Hours of audio

Made by `python benchmarks/soak.py`: {machine_line()}; the default model, windows of {WINDOW:g} s
every {HOP:g} s, all rows at once with one thread each. RSS at the end is compared with that after
{SETTLED * PIECE // 60} minutes of audio and may grow by 1 %; the answers to the last
{PIECE // 60} minutes must be those to the first, bit for bit. A stream of 24 hours is in
[streaming.md](streaming.md).

| way | runtime | audio | times real time | RSS settled | RSS at the end | growth | same answers |
|---|---|---|---|---|---|---|---|
{chr(10).join(s.row() for s in soaks)}
""",
        encoding="utf-8",
    )
    return 0 if all(s.is_fine for s in soaks) else 1


if __name__ == "__main__":
    raise SystemExit(main())
