"""What the parity gate compares: utterances of all lengths, and audio files end to end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing
from edge_ser.audio.files import decode_file
from edge_ser.errors import DataError
from edge_ser.scratch import scratch_folder

# From one frame to the longest utterance, whose length the model says; 7.3 s divides by no hop.
_LENGTHS_SECONDS = (0.025, 0.5, 1.0, 3.0, 7.3, 12.0)
# Shorter stretches hold no syllable.
_SHORTEST_SPEECH_SECONDS = 0.2
# Of the files given, so many are also compared one by one.
_MAX_FILES = 16
# What users record: channels, rate, and how it is stored.
FILES = (
    ("44.1 kHz stereo, 16-bit WAV", 44_100, 2, "WAV", "PCM_16"),
    ("96 kHz, 8 channels, 24-bit WAV", 96_000, 8, "WAV", "PCM_24"),
    ("22.05 kHz mono, FLAC", 22_050, 1, "FLAC", "PCM_16"),
    ("8 kHz mono, float WAV", 8_000, 1, "WAV", "FLOAT"),
)

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """One utterance.

    Attributes:
        name: what it is.
        samples: normalised, `[n]`.
        extreme: a signal that is hardly speech - silence, clipped, faint, one frame. It must be
            answered nearly as the reference does, but says nothing about agreement on speech.
    """

    name: str
    samples: Samples
    extreme: bool = False


def build_cases(preprocessing: Preprocessing, speech: list[Path]) -> list[Case]:
    """Utterances of all lengths: speech, silence, and speech that is very loud or very quiet.

    Silence is that of a quiet room in 16 bits: the last bit flickers. Exact zeros never reach a
    model, because pre-processing refuses them; group normalisation over time would divide rounding
    noise by its own deviation there, and two correct programs would differ.

    Raises:
        DataError: no speech.
    """
    if not speech:
        raise DataError("parity", expected="at least one audio file", found="none")
    rate, longest = preprocessing.sample_rate, preprocessing.max_samples
    picked = used_files(speech)
    parts = [decode_file(p, rate, preprocessing.max_seconds, p.name) for p in picked]
    voice = np.concatenate(parts)
    voice = np.tile(voice, -(-(longest + rate) // voice.size))
    raw: list[tuple[str, Samples, bool]] = []
    for index, seconds in enumerate((*_LENGTHS_SECONDS[:-1], preprocessing.max_seconds)):
        count = min(max(int(seconds * rate), preprocessing.min_samples), longest)
        # the shortest ones from inside a word, not from the pause before it
        start = _loudest(voice, count) if seconds < 1 else index * rate // 8
        samples = voice[start : start + count]
        raw.append((f"speech {count / rate:g} s", samples, seconds < _SHORTEST_SPEECH_SECONDS))
    last_bit = np.random.default_rng(0).integers(-1, 2, 3 * rate).astype(np.float32)
    last_bit /= np.float32(32768)
    raw += [
        ("silence 0.5 s", last_bit[: rate // 2], True),
        ("silence 3 s", last_bit, True),
        ("clipped speech 1 s", np.clip(voice[:rate] * np.float32(30), -1, 1), True),
        ("faint speech 1 s", voice[:rate] * np.float32(1e-3), True),
    ]
    cases = [Case(name, preprocessing.normalize(x[:longest]), odd) for name, x, odd in raw]
    files = zip(picked, parts, strict=True)
    return cases + [Case(p.name, preprocessing.apply(x, p.name)) for p, x in files]


def used_files(speech: Sequence[Path]) -> list[Path]:
    """Those of many files that cases are made from, so that a large folder takes no longer."""
    # spread over the files, so that a large folder is not judged by its first names
    spread = np.linspace(0, len(speech) - 1, min(len(speech), _MAX_FILES), dtype=int)
    return [speech[i] for i in spread]


def case_count(speech: Sequence[Path]) -> int:
    """How many cases `build_cases` gives."""
    return len(_LENGTHS_SECONDS) + 4 + min(len(speech), _MAX_FILES)


def _loudest(voice: Samples, count: int) -> int:
    """Start of the stretch of `count` samples with the most energy."""
    energy = np.cumsum(np.square(voice, dtype=np.float64))
    return int((energy[count:] - energy[:-count]).argmax())


def file_pairs(
    preprocessing: Preprocessing,
    speech: list[Path],
    progress: Callable[[str], None],
    prepare: Callable[[Samples], Samples] | None = None,
) -> list[tuple[str, Samples, Samples]]:
    """Audio files as users record them, read by us and by librosa.

    Args:
        preprocessing: of the model.
        speech: what is written to them.
        progress: called with a word per file.
        prepare: normalises librosa's samples `[n]`; None: the formula of `preprocessing`, in torch.

    Returns:
        per file its name, our samples `[n]` and librosa's `[n]`, both normalised.
    """
    import librosa

    rate = preprocessing.sample_rate
    pairs = []
    with scratch_folder() as folder:
        for index, (name, file_rate, channels, kind, subtype) in enumerate(FILES):
            progress(f"file: {name}")
            # the first is longer than what is used, so that the cut is compared too
            seconds = preprocessing.max_seconds + 1 if index == 0 else 3.0
            voice = decode_file(speech[index % len(speech)], file_rate, seconds)
            if index == 0:
                voice = np.tile(voice, -(-int(seconds * file_rate) // voice.size))
            # channels differ, so that taking one of them is not the same as their mean
            gains = np.linspace(1.0, 0.4, channels, dtype=np.float32)
            path = folder / f"{index}.{kind.lower()}"
            soundfile.write(path, voice[:, None] * gains, file_rate, subtype=subtype, format=kind)
            ours = preprocessing.apply(decode_file(path, rate, preprocessing.max_seconds), name)
            loaded, _ = librosa.load(path, sr=rate, mono=True)
            cut = loaded[: preprocessing.max_samples]
            theirs = _normalized(preprocessing, cut) if prepare is None else prepare(cut)
            pairs.append((name, ours, theirs))
    return pairs


def _normalized(preprocessing: Preprocessing, samples: Samples) -> Samples:
    """The normalisation once more, in torch: `[n]` -> `[n]`."""
    x = torch.from_numpy(samples)
    if preprocessing.normalization == "corpus":
        x = (x - preprocessing.mean) / (preprocessing.std + preprocessing.eps)
    else:
        samples64 = x.double()
        variance = samples64.var(unbiased=False)
        x = ((samples64 - samples64.mean()) / (variance + preprocessing.eps).sqrt()).float()
    normalized: Samples = x.numpy()
    return normalized
