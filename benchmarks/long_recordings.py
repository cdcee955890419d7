"""Half a day of audio through the default model: memory over the hours, and what streaming costs.

    python benchmarks/long_recordings.py [--hours 12]

Writes `results/long-recordings.md`. The recording is the sample utterances again and again, a FLAC
file of 44.1 kHz, so that it is decoded, resampled, cut and answered. Its rate is compared with that
of `ser.each` over the same windows in memory, in turn, twelve minutes at a time.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile
from common import machine_line

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.audio.samples import resample
from edge_ser.data import sample_utterances

RATE, FILE_RATE, WINDOW, BATCH = 16_000, 44_100, 5.0, 8
RESULT = Path(__file__).parent / "results" / "long-recordings.md"
ROUNDS, ROUND_MINUTES = 5, 12


def write_recording(path: Path, speech: np.ndarray, hours: float) -> None:
    """Speech again and again, for so many hours."""
    minute = np.tile(speech, 60 * RATE // speech.size + 1)[: 60 * RATE]
    block = (32767 * resample(minute, RATE, FILE_RATE)).astype(np.int16)
    with soundfile.SoundFile(path, "w", FILE_RATE, 1, compression_level=0) as file:
        for _ in range(round(60 * hours)):
            file.write(block)


def resident_megabytes() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_over_hours(ser: edge_ser.Recognizer, path: Path) -> tuple[list[float], float]:
    """Megabytes at the end of every hour, and the seconds that the whole recording took."""
    hours, started = [], time.perf_counter()
    for segment in ser.segments(path, window=WINDOW, batch_size=BATCH):
        if segment.end // 3600 > len(hours):
            hours.append(resident_megabytes())
    return hours, time.perf_counter() - started


def compare_rates(ser: edge_ser.Recognizer, path: Path) -> tuple[list[float], list[float]]:
    """Seconds for the same windows: streamed from a file, and batched in memory, in turn."""
    samples = decode_file(path, RATE)
    size = round(WINDOW * RATE)
    windows = [samples[i : i + size] for i in range(0, samples.size - size + 1, size)]
    streamed, batched = [], []
    for _ in range(ROUNDS):
        started = time.process_time()
        count = sum(1 for _ in ser.segments(path, window=WINDOW, batch_size=BATCH))
        streamed.append(time.process_time() - started)
        started = time.process_time()
        assert count == sum(1 for _ in ser.each(windows, RATE, batch_size=BATCH))
        decode_file(path, RATE)  # as somebody has to, before
        batched.append(time.process_time() - started)
    return streamed, batched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=12)
    hours = parser.parse_args().hours
    warnings.simplefilter("ignore")
    speech = np.concatenate([decode_file(path, RATE) for path in sample_utterances()])
    ser = edge_ser.load(threads=1)
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "short.flac"
        write_recording(short, speech, ROUND_MINUTES / 60)
        streamed, batched = compare_rates(ser, short)
        path = Path(folder) / "long.flac"
        write_recording(path, speech, hours)
        memory, seconds = memory_over_hours(ser, path)
    growth = memory[-1] / memory[0] - 1
    ratio = float(np.median(streamed) / np.median(batched))
    rounds = ", ".join(f"{a:.2f}/{b:.2f}" for a, b in zip(streamed, batched, strict=True))
    cells = " | ".join(f"{m:.1f}" for m in memory)
    page = f"""# Recordings of hours

Made by `python benchmarks/long_recordings.py --hours {hours:g}`: {machine_line()}; default model,
one thread, windows of {WINDOW:g} s, {BATCH} a batch; a FLAC file of {FILE_RATE} Hz.

{hours:g} hours in {seconds:.0f} s, {3600 * hours / seconds:.0f} times as fast as they were spoken.
Memory of the process at the end of every hour, MB:

{cells}

Growth from the first hour to the last: {growth:+.2%}.

Streamed from the file, against the same windows batched in memory by `ser.each` after the file was
read in one go: processor time {ratio:.3f} of it (medians of {ROUNDS} rounds of {ROUND_MINUTES}
minutes, in turn: {rounds} s).
"""
    RESULT.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
