"""The corpus: who says what in which split, how raters judge it, and writing it to disk.

Layout, after MSP-Podcast (Lotfian & Busso 2019): `labels.csv` with the columns `COLUMNS`, and
16 kHz mono FLAC files in `audio/`. Every clip is drawn from a random generator of its own, keyed
by seed, kind and index. It therefore depends neither on the number of workers nor on the size of
the corpus.
"""

import csv
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator
from scipy.signal import resample_poly
from tqdm import tqdm

from .effects import SAMPLE_RATE, Samples, apply_channel, apply_quality
from .emotion import Emotion, draw_emotion, rate_emotion
from .espeak import Espeak
from .texts import HELD_OUT, TRAIN, draw_sentence
from .voices import deliver, draw_speaker
from .world import (
    HELD_OUT_VOICE,
    TRAIN_VOICES,
    analyse,
    draw_pseudo_speaker,
    express,
    require_flite,
    speak,
)

COLUMNS = ("FileName", "EmoAct", "EmoVal", "EmoDom", "Split_Set", "SpkrID", "Transcript")

MAX_SECONDS = 4.5  # longer clips are cut: a model's cost grows with length, the cues do not
PEAK_RANGE = (0.3, 0.95)  # of full scale; level is no cue, since recordings are levelled
SILENCE = 0.01  # of full scale, in espeak-ng's noiseless output
CLIPS_PER_TASK = 20  # of espeak-ng, some 0.2 s of work

Row = tuple[str, ...]


@dataclass(frozen=True)
class Sizes:
    """Clips per part of the corpus.

    Attributes:
        train: Split `Train`, espeak-ng.
        dev: Split `Development`, espeak-ng.
        test: Split `Test1`, espeak-ng with held-out speakers and text.
        flite_train: Split `Train`, flite.
        flite_test: Split `Test2`, flite with a held-out voice and text.
    """

    train: int = 10_000
    dev: int = 600
    test: int = 1_000
    flite_train: int = 2_400
    flite_test: int = 200

    def __post_init__(self) -> None:
        """Checks the numbers."""
        for name, value in vars(self).items():
            if value < 0:
                raise ValueError(f"number of clips for {name}: expected 0 or more, found {value}")
        if self.total == 0:
            raise ValueError("expected at least one clip, found 0 in all parts")

    @property
    def total(self) -> int:
        """Number of clips in all."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Part:
    """One split of one synthesiser.

    Attributes:
        name: Prefix of file names and speakers.
        split: Value of `Split_Set`.
        key: Number of this part in the seeds of its clips; never to be reused for another.
        held_out: Whether text (and flite's voice) are those kept from training.
        clips_per_source: Clips per speaker of espeak-ng; per spoken clip of flite.
    """

    name: str
    split: str
    key: int
    held_out: bool
    clips_per_source: int


TRAIN_PART = Part("train", "Train", 0, held_out=False, clips_per_source=8)
DEV_PART = Part("dev", "Development", 1, held_out=True, clips_per_source=10)
TEST_PART = Part("test1", "Test1", 2, held_out=True, clips_per_source=10)
# Several resyntheses per analysed clip: WORLD's analysis costs more than its synthesis.
FLITE_TRAIN_PART = Part("train_flite", "Train", 3, held_out=False, clips_per_source=6)
FLITE_TEST_PART = Part("test2", "Test2", 4, held_out=True, clips_per_source=2)

_SOURCE_STREAM, _CLIP_STREAM = 0, 1

Task = Callable[[], list[Row]]


def write_corpus(out: Path, sizes: Sizes | None = None, seed: int = 7, workers: int = 2) -> None:
    """Generates a corpus into the new directory `out`, which appears only when complete.

    Args:
        out: Directory to make; its parent must exist.
        sizes: Clips per part.
        seed: Equal seeds give equal labels and samples, whatever the number of workers.
        workers: Processes.

    Raises:
        FileExistsError: If `out` exists.
        FileNotFoundError: If its parent does not.
        RuntimeError: If espeak-ng or flite is needed and not installed.
        ValueError: If `seed` or `workers` is out of range.
    """
    sizes = sizes or Sizes()
    if seed < 0:
        raise ValueError(f"seed: expected 0 or more, found {seed}")
    if workers < 1:
        raise ValueError(f"workers: expected 1 or more, found {workers}")
    refuse_existing(out)
    if sizes.train or sizes.dev or sizes.test:
        Espeak().close()  # fails here, once and clearly, rather than in every worker
    voices = (TRAIN_VOICES if sizes.flite_train else ()) + (
        (HELD_OUT_VOICE,) if sizes.flite_test else ()
    )
    flite = require_flite(voices) if voices else ""

    with complete_or_nothing(out) as directory:
        audio = directory / "audio"
        audio.mkdir()
        tasks: list[Task] = [
            *_espeak_tasks(TRAIN_PART, sizes.train, seed, audio),
            *_flite_tasks(FLITE_TRAIN_PART, sizes.flite_train, seed, audio, flite),
            *_espeak_tasks(DEV_PART, sizes.dev, seed, audio),
            *_espeak_tasks(TEST_PART, sizes.test, seed, audio),
            *_flite_tasks(FLITE_TEST_PART, sizes.flite_test, seed, audio, flite),
        ]
        rows = _run(tasks, workers, sizes.total)
        write_csv(directory / "labels.csv", COLUMNS, rows)


def _espeak_tasks(part: Part, count: int, seed: int, audio: Path) -> Iterator[Task]:
    for first in range(0, count, CLIPS_PER_TASK):
        indices = range(first, min(first + CLIPS_PER_TASK, count))
        yield partial(_espeak_clips, part, indices, seed, audio)


def _flite_tasks(part: Part, count: int, seed: int, audio: Path, program: str) -> Iterator[Task]:
    for first in range(0, count, part.clips_per_source):
        indices = range(first, min(first + part.clips_per_source, count))
        yield partial(_flite_clips, part, indices, seed, audio, program)


def _espeak_clips(part: Part, indices: Iterable[int], seed: int, audio: Path) -> list[Row]:
    lexicon = HELD_OUT if part.held_out else TRAIN
    rows: list[Row] = []
    for index in indices:
        number = index // part.clips_per_source
        speaker = draw_speaker(_generator(seed, part, _SOURCE_STREAM, number))
        rng = _generator(seed, part, _CLIP_STREAM, index)
        emotion = draw_emotion(rng)
        delivery = deliver(speaker, emotion, rng)
        text = draw_sentence(rng, lexicon) + delivery.punctuation
        with Espeak(seed=int(rng.integers(1, 2**31))) as espeak:
            spoken = espeak.say(text, delivery.voice, delivery.rate_wpm, delivery.word_gap)
            samples = _trim(_to_16_khz(spoken, espeak.sample_rate))
        samples = apply_channel(apply_quality(samples, delivery.quality, rng), rng)
        name = _write_clip(audio, part, index, samples, rng)
        labels = format_labels(rate_emotion(emotion, rng))
        rows.append((name, *labels, part.split, f"{part.name}_{number:04d}", text))
    return rows


def _flite_clips(
    part: Part, indices: Sequence[int], seed: int, audio: Path, program: str
) -> list[Row]:
    """Clips of one sentence, said once by flite and expressed anew for each clip."""
    number = indices[0] // part.clips_per_source
    voice = HELD_OUT_VOICE if part.held_out else TRAIN_VOICES[number % len(TRAIN_VOICES)]
    source_rng = _generator(seed, part, _SOURCE_STREAM, number)
    text = draw_sentence(source_rng, HELD_OUT if part.held_out else TRAIN) + "."
    analysis = analyse(speak(program, voice, text))
    rows: list[Row] = []
    for index in indices:
        rng = _generator(seed, part, _CLIP_STREAM, index)
        emotion = draw_emotion(rng)
        speaker = draw_pseudo_speaker(rng, vary=not part.held_out)
        samples = apply_channel(express(analysis, speaker, emotion, rng), rng)
        name = _write_clip(audio, part, index, samples, rng)
        labels = format_labels(rate_emotion(emotion, rng))
        rows.append((name, *labels, part.split, f"flite_{voice}", text))
    return rows


def _generator(seed: int, part: Part, stream: int, index: int) -> Generator:
    return np.random.default_rng([seed, part.key, stream, index])


def _to_16_khz(samples: Samples, rate: int) -> Samples:
    resampled: Samples = resample_poly(samples, SAMPLE_RATE, rate)
    return resampled


def _trim(samples: Samples) -> Samples:
    """Leaves 50 ms of silence before the first sound and 100 ms after the last."""
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    if not len(loud):
        return samples
    start = max(0, loud[0] - SAMPLE_RATE // 20)
    return samples[start : loud[-1] + SAMPLE_RATE // 10]


def _write_clip(audio: Path, part: Part, index: int, samples: Samples, rng: Generator) -> str:
    """Cuts the clip, sets its peak and writes it; returns its file name."""
    samples = samples[: int(MAX_SECONDS * SAMPLE_RATE)]
    name = f"{part.name}_{index:05d}.flac"
    write_flac(audio / name, samples, peak=rng.uniform(*PEAK_RANGE))
    return name


def _run(tasks: list[Task], workers: int, clips: int) -> list[Row]:
    """Runs the tasks and returns their rows in the order of the tasks."""
    rows: list[Row] = []
    with tqdm(total=clips, unit="clip", desc="corpus", disable=None) as progress:
        if workers == 1:
            for task in tasks:
                progress.update(len(done := task()))
                rows += done
            return rows
        # Spawned, not forked: a fork would copy the locks of threads that a caller may run.
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for done in pool.imap(_call, tasks):
                progress.update(len(done))
                rows += done
    return rows


def _call(task: Task) -> list[Row]:
    return task()


def format_labels(emotion: Emotion) -> tuple[str, str, str]:
    """Arousal, valence, dominance on 1..7, with four decimals."""
    arousal, valence, dominance = (f"{value:.4f}" for value in emotion.on_msp_scale())
    return arousal, valence, dominance


def write_flac(path: Path, samples: Samples, peak: float) -> None:
    """Writes 16-bit FLAC with its highest sample at `peak` of full scale.

    Raises:
        RuntimeError: If the clip is silent or not finite, which no working synthesiser gives.
    """
    highest = float(np.abs(samples).max(initial=0.0))
    if not 0.0 < highest < np.inf:
        raise RuntimeError(f"{path.name}: expected sound, found a peak of {highest}")
    quantised = np.round(samples * (peak / highest * 32767.0)).astype(np.int16)
    soundfile.write(path, quantised, SAMPLE_RATE, subtype="PCM_16", format="FLAC")


def write_csv(path: Path, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
    """Writes a table as CSV, with a line feed after each row on every platform."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def refuse_existing(out: Path) -> None:
    """Raises if `out` exists or cannot be made."""
    if out.exists():
        raise FileExistsError(f"{out} exists: name a new directory, or remove this one first")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{out.absolute().parent} is no directory: make it first")


@contextmanager
def complete_or_nothing(out: Path) -> Iterator[Path]:
    """A temporary sibling of `out` that becomes `out` at the end, or vanishes on any error."""
    out = out.absolute()
    partial_directory = out.with_name(f".{out.name}.partial-{os.getpid()}")
    partial_directory.mkdir()
    try:
        yield partial_directory
        partial_directory.rename(out)
    except BaseException:
        shutil.rmtree(partial_directory, ignore_errors=True)
        raise
