"""A stream through the default model: its load, its delay, its memory over hours, and its windows.

    python benchmarks/streaming.py [--hours 8] [--int8 BUNDLE]

Writes `results/streaming.md`. The stream is the sample utterances again and again, at 48 kHz in
blocks of 20 ms, as a microphone gives them. Windows of 3 s overlap by 2.5 s: what computing the
frames that they share only once would save is measured on the graph, split behind its log-mel.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soxr
from common import machine_line
from long_recordings import resident_megabytes

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.audio.samples import resample
from edge_ser.data import DEFAULT_BUNDLE, sample_utterances
from edge_ser.host.offline import import_onnxruntime
from edge_ser.measure.timing import Plan, measure

RATE, INPUT_RATE, WINDOW, HOP = 16_000, 48_000, 3.0, 0.5
BLOCK = INPUT_RATE // 50
FRAME, STEP = 400, 160  # samples that a frame of the log-mel sees, and from one to the next
MINUTES = 10
RESULT = Path(__file__).parent / "results" / "streaming.md"


@dataclass(frozen=True)
class Load:
    """What a stream costs.

    Attributes:
        share: processor time, of the time that was spoken.
        delays: seconds on the wall of every push that gave an estimate.
        processor: the same, of this thread's processor time.
    """

    share: float
    delays: list[float]
    processor: list[float]


def minute_of_speech() -> np.ndarray:
    """Of int16 at the input's rate."""
    speech = np.concatenate([decode_file(path, RATE) for path in sample_utterances()])
    minute = np.tile(speech, 60 * RATE // speech.size + 1)[: 60 * RATE]
    return np.asarray(32767 * resample(minute, RATE, INPUT_RATE)).astype(np.int16)


def load_of_a_stream(ser: edge_ser.Recognizer, minute: np.ndarray) -> Load:
    """`MINUTES` minutes through a stream."""
    stream, delays, processor = ser.stream(INPUT_RATE, window=WINDOW, hop=HOP), [], []
    begun = time.process_time()
    for _ in range(MINUTES):
        for start in range(0, minute.size, BLOCK):
            wall, own = time.perf_counter(), time.thread_time()
            if stream.push(minute[start : start + BLOCK]):
                delays.append(time.perf_counter() - wall)
                processor.append(time.thread_time() - own)
    return Load((time.process_time() - begun) / (60 * MINUTES), delays, processor)


def memory_over_hours(ser: edge_ser.Recognizer, minute: np.ndarray, hours: int) -> list[float]:
    """Megabytes at the end of every hour."""
    stream, megabytes = ser.stream(INPUT_RATE, window=WINDOW, hop=HOP), []
    for _ in range(hours):
        for _ in range(60):
            for start in range(0, minute.size, 5 * BLOCK):
                stream.push(minute[start : start + 5 * BLOCK])
        stream.ended_utterances()
        megabytes.append(resident_megabytes())
    return megabytes


def resampling_delays() -> str:
    """How much audio the resampler holds back, for rates that microphones have."""
    cells = []
    for rate in (8_000, 16_000, 44_100, 48_000):
        held = 0.0
        if rate != RATE:
            resampler, taken, given = soxr.ResampleStream(rate, RATE, 1, quality="HQ"), 0, 0
            for number in range(200):
                taken += rate // 50
                given += resampler.resample_chunk(np.zeros(rate // 50, np.float32)).size
                held = max(held, taken / rate - given / RATE) if number > 50 else held
        cells.append(f"{rate / 1000:g} kHz {1000 * held:.0f} ms")
    return ", ".join(cells)


def split_graph(path: Path, folder: Path) -> tuple[Any, Any, Any, str]:
    """Sessions of the whole graph, of its front end, and of the rest; and where it is split."""
    node = next(n for n in onnx.load(path).graph.node if n.op_type == "Log")
    middle, model = node.output[0], onnx.load(path)
    outputs = [output.name for output in model.graph.output]
    front, rest = folder / "front.onnx", folder / "rest.onnx"
    onnx.utils.extract_model(path, front, ["samples", "lengths"], [middle], check_model=False)
    onnx.utils.extract_model(path, rest, [middle, "samples", "lengths"], outputs, check_model=False)
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    sessions = [onnxruntime.InferenceSession(p, options) for p in (path, front, rest)]
    return sessions[0], sessions[1], sessions[2], middle


@dataclass(frozen=True)
class Shared:
    """What sharing frames between windows saves.

    Attributes:
        whole: milliseconds of a window through the whole graph.
        front: of its log-mel alone.
        new_front: of that of the frames that are new in it.
        rest: of all that comes after.
        apart: largest difference of an output, of frames computed once against a window's own.
    """

    whole: float
    front: float
    new_front: float
    rest: float
    apart: float

    @property
    def row(self) -> str:
        """Of the table."""
        best = (self.new_front + self.rest) / self.whole
        return (
            f"{self.whole:.2f} | {self.front:.2f} ({self.front / self.whole:.0%}) | "
            f"{self.new_front:.2f} | {self.rest:.2f} | **{best:.2f}** | {self.apart:.1e}"
        )


def sharing(bundle: Path, speech: np.ndarray, seconds: float = 40) -> Shared:
    """Time the parts of a graph in turn, and compare what they give.

    Args:
        bundle: of the spectral model.
        speech: normalised, at the model's rate.
        seconds: to time for.
    """
    size, hop = round(WINDOW * RATE), round(HOP * RATE)
    old_frames = (size - FRAME) // STEP + 1 - hop // STEP  # that the window before has, too
    with tempfile.TemporaryDirectory() as folder:
        whole, front, rest, middle = split_graph(bundle / "model.onnx", Path(folder))
        frames: Any = None
        apart = 0.0
        for start in range(0, speech.size - size + 1, hop):
            row = {"samples": speech[None, start : start + size], "lengths": np.array([size])}
            tail = row["samples"][:, old_frames * STEP :]
            last = {"samples": tail, "lengths": np.array([tail.shape[1]])}
            added = front.run(None, last if frames is not None else row)[0]
            if frames is not None:
                added = np.concatenate([frames[:, hop // STEP :], added], axis=1)
            frames = added
            shared = rest.run(None, {**row, middle: frames})
            own = whole.run(None, row)
            apart = max(
                apart, *(float(np.abs(a - b).max()) for a, b in zip(own, shared, strict=True))
            )
        systems = {
            "whole": lambda _: whole.run(None, row),
            "front": lambda _: front.run(None, row),
            "new_front": lambda _: front.run(None, last),
            "rest": lambda _: rest.run(None, {**row, middle: frames}),
        }
        # one thread: its processor's time is not disturbed by what else runs
        plan = Plan(min_rounds=40, max_seconds=seconds)
        timings = measure(systems, None, plan, clock=time.process_time).timings
    return Shared(**{name: 1000 * timings[name].median().value for name in systems}, apart=apart)


def normalised(bundle: Path, minute: np.ndarray) -> np.ndarray:
    """A minute of speech as the model takes it."""
    rules = edge_ser.Bundle.open(bundle).manifest.preprocessing
    return rules.normalize(resample(minute / np.float32(32768), INPUT_RATE, RATE))


def quantiles(seconds: list[float]) -> str:
    """Median and 99th percentile in milliseconds."""
    return f"{1000 * np.quantile(seconds, 0.5):.1f} | {1000 * np.quantile(seconds, 0.99):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=int, default=8)
    parser.add_argument("--int8", type=Path, help="the default model's INT8 bundle")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    minute = minute_of_speech()
    bundles = {"fp32": DEFAULT_BUNDLE} | ({"int8": arguments.int8} if arguments.int8 else {})
    loads, shares = [], []
    for name, bundle in bundles.items():
        with edge_ser.load(bundle, threads=1) as ser:
            load = load_of_a_stream(ser, minute)
        cells = f"{load.share:.4f} | {quantiles(load.delays)} | {quantiles(load.processor)}"
        loads.append(f"| {name} | {cells} |")
        shares.append(f"| {name} | {sharing(bundle, normalised(bundle, minute)).row} |")
    with edge_ser.load(threads=1) as ser:
        begun = time.process_time()
        memory = memory_over_hours(ser, minute, arguments.hours)
        seconds = time.process_time() - begun
    cells = " | ".join(f"{m:.1f}" for m in memory)
    given = " --int8 BUNDLE" if arguments.int8 else ""
    text = PAGE.format(
        command=f"python benchmarks/streaming.py --hours {arguments.hours}{given}",
        machine=machine_line(),
        window=WINDOW, hop=HOP, minutes=MINUTES, loads="\n".join(loads),
        delays=resampling_delays(), hours=arguments.hours, seconds=seconds, cells=cells,
        growth=memory[-1] / memory[0] - 1, shares="\n".join(shares),
    )  # fmt: skip
    RESULT.write_text(text, encoding="utf-8")
    print(text)


PAGE = """# A stream

Made by `{command}`: {machine};
default model, one thread; 48 kHz int16 in blocks of 20 ms, windows of {window:g} s, hop {hop:g} s.
Resampling, the gate of speech, windows, model and running mean together, over {minutes} minutes of
speech. The machine was busy with other work, which the delays hold and the processor times, those
of the process alone, do not.

- load: processor time, of the time that was spoken
- delay: of the push that brings a window's last sample, until it has returned the estimate, ms

| bundle | load | delay, median | 99 % | its processor time, median | 99 % |
|---|---|---|---|---|---|
{loads}

The resampler holds back what its filter needs of the future, so that a stream is the resampled
whole to the bit; for whoever speaks, a window ends so much later:
{delays}.

## Hours

{hours} hours in {seconds:.0f} s of processor time, in blocks of 100 ms. Memory of the process at
the end of every hour, MB:

{cells}

Growth from the first hour to the last: {growth:+.2%}.

## Frames that windows share

A window has five sixths of its samples in common with the one before. The model is given samples
normalised by the statistics of its corpus, not of the window, and a hop is 50 steps of its log-mel:
frames computed once are those of every window. Behind it nothing is: the mean level of the window
is subtracted before a convolution and a function that is not linear, and attention sees all of a
window. With the graph split behind the log-mel, milliseconds of processor time of a window:

| bundle | whole | log-mel | its new frames | rest | new frames and rest, of whole | apart |
|---|---|---|---|---|---|---|
{shares}

"apart" is the largest difference of any output, over a minute of windows. So sharing frames gives
the same answers and saves the share of the log-mel, no more: half of the time is out of reach. It
would need a second graph in every bundle, with hashes, proof and recorded answers of its own. It is
not built: every window is computed whole, by the graph that was proved.
"""


if __name__ == "__main__":
    main()
