"""flite's recorded voices, given an emotion by the WORLD vocoder.

flite joins recordings of real speakers, so its voices sound closer to people than formant
synthesis does; WORLD takes such a clip apart into F0, spectral envelope and aperiodicity, which
the rules in `voices` change before it is put together again.

References:
    Black & Lenzo 2001, "Flite: a small fast run-time synthesis engine", SSW4; voices awb, rms, slt
        from Kominek & Black 2004, "The CMU ARCTIC speech databases", SSW5.
    Morise, Yokomori & Ozawa 2016, "WORLD: a vocoder-based high-quality speech synthesis system for
        real-time applications", IEICE Trans. Inf. & Syst. E99-D(7).
"""

import importlib.util
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile
from numpy.random import Generator
from numpy.typing import NDArray

from .effects import SAMPLE_RATE, Samples, apply_quality
from .emotion import Emotion
from .voices import Habits, draw_habits, prosody_of, quality_of

TRAIN_VOICES = ("kal16", "awb", "rms")
HELD_OUT_VOICE = "slt"

FRAME_PERIOD_MS = 5.0
F0_FLOOR_HZ, F0_CEILING_HZ = 60.0, 500.0
MAX_F0_HZ = 700.0  # after the shift; WORLD's pulses become unreliable above
MIN_VOICED_FRAMES = 10

# Where the factors on F1, on F2 and F3, take full effect; between them they blend.
F1_REGION_HZ, F2_REGION_HZ = 700.0, 1500.0


def _load_pyworld() -> ModuleType:
    """Loads pyworld's extension module without its package.

    The package's `__init__` (0.3.5) only adds a version number, for which it needs
    `pkg_resources`, gone from setuptools since 81.
    """
    package = importlib.util.find_spec("pyworld")
    locations = package.submodule_search_locations if package else None
    extension = PathFinder.find_spec("pyworld", locations) if locations else None
    if extension is None or extension.loader is None:
        raise ModuleNotFoundError(
            "pyworld is not installed: pip install 'edge-ser[synth]'", name="pyworld"
        )
    module = importlib.util.module_from_spec(extension)
    extension.loader.exec_module(module)
    return module


pyworld = _load_pyworld()


@dataclass(frozen=True)
class Analysis:
    """A clip as WORLD sees it, one row per `FRAME_PERIOD_MS`.

    Attributes:
        f0_hz: Fundamental frequency, 0 where unvoiced; shape (frames,).
        log_envelope: Natural logarithm of the power spectrum's envelope; shape (frames, bins).
        aperiodicity: Share of noise, 0..1; shape (frames, bins).
    """

    f0_hz: Samples
    log_envelope: NDArray[np.float64]
    aperiodicity: NDArray[np.float64]


@dataclass(frozen=True)
class PseudoSpeaker:
    """What makes another speaker of a recorded voice.

    Attributes:
        f0_shift_st: Shift of F0, semitones.
        formant_scale: Factor on all resonances.
        habits: Neutral voice quality and expressivity.
    """

    f0_shift_st: float
    formant_scale: float
    habits: Habits


def require_flite(voices: tuple[str, ...]) -> str:
    """Finds flite and checks that it has the voices.

    Returns:
        The path of the program.

    Raises:
        RuntimeError: If flite is not installed or lacks a voice.
    """
    program = shutil.which("flite")
    if program is None:
        raise RuntimeError(
            "flite is not installed: expected the program `flite` on PATH; Debian's package "
            "`flite` provides it (apt-get install flite)"
        )
    listing = subprocess.run([program, "-lv"], capture_output=True, text=True, check=False).stdout
    missing = sorted(set(voices) - set(listing.split()))
    if missing:
        raise RuntimeError(
            f"flite lacks the voices {', '.join(missing)}: found {listing.strip()!r}; "
            "Debian's package `flite` has them"
        )
    return program


def speak(program: str, voice: str, text: str) -> Samples:
    """Lets flite's `voice` say `text`; returns samples in [-1, 1) at `SAMPLE_RATE`.

    Raises:
        RuntimeError: If flite fails or gives another sample rate.
    """
    with tempfile.TemporaryDirectory(prefix="edge-ser-flite-") as directory:
        wav = Path(directory) / "speech.wav"
        done = subprocess.run(
            [program, "-voice", voice, "-t", text, "-o", str(wav)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0 or not wav.exists():
            raise RuntimeError(f"flite failed ({done.returncode}) on {text!r}: {done.stderr}")
        samples, rate = soundfile.read(wav, dtype="float64")
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"flite's voice {voice}: expected {SAMPLE_RATE} Hz, found {rate} Hz")
    return np.asarray(samples, dtype=np.float64)


def analyse(samples: Samples) -> Analysis:
    """Takes a clip apart (F0 by DIO and StoneMask, envelope by CheapTrick, noise by D4C)."""
    coarse_f0, times = pyworld.dio(
        samples,
        SAMPLE_RATE,
        f0_floor=F0_FLOOR_HZ,
        f0_ceil=F0_CEILING_HZ,
        frame_period=FRAME_PERIOD_MS,
    )
    f0_hz = pyworld.stonemask(samples, coarse_f0, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, f0_hz, times, SAMPLE_RATE)
    aperiodicity = pyworld.d4c(samples, f0_hz, times, SAMPLE_RATE)
    return Analysis(f0_hz, np.log(envelope + 1e-16), aperiodicity)


def draw_pseudo_speaker(rng: Generator, vary: bool) -> PseudoSpeaker:
    """Draws a speaker around a recorded voice; without `vary`, the voice keeps its own body."""
    return PseudoSpeaker(
        f0_shift_st=rng.normal(0.0, 2.5) if vary else 0.0,
        formant_scale=float(np.exp(rng.normal(0.0, 0.06))) if vary else 1.0,
        habits=draw_habits(rng),
    )


def express(
    analysis: Analysis,
    speaker: PseudoSpeaker,
    emotion: Emotion,
    rng: Generator,
    variation: float = 1.0,
) -> Samples:
    """Puts a clip together again as `speaker` would say it in the state `emotion`.

    Raises:
        ValueError: If the clip is (nearly) unvoiced, so that there is no F0 to shape.
    """
    f0_hz = analysis.f0_hz
    voiced = f0_hz > 0
    if voiced.sum() < MIN_VOICED_FRAMES:
        raise ValueError(
            f"expected at least {MIN_VOICED_FRAMES} voiced frames, found {voiced.sum()}"
        )
    prosody = prosody_of(emotion, speaker.habits.expressivity, rng, variation)
    quality = quality_of(emotion, speaker.habits, rng, variation)

    log_f0 = np.log2(f0_hz[voiced])
    mean = log_f0.mean()
    shift = (prosody.f0_shift_st + speaker.f0_shift_st) / 12.0
    new_f0 = np.zeros_like(f0_hz)
    new_f0[voiced] = 2.0 ** (mean + shift + prosody.f0_range * (log_f0 - mean))

    scale = speaker.formant_scale
    envelope = _scale_formants(analysis.log_envelope, scale * prosody.f1, scale * prosody.f2)
    samples = pyworld.synthesize(
        np.minimum(new_f0, MAX_F0_HZ),
        envelope,
        analysis.aperiodicity,
        SAMPLE_RATE,
        frame_period=FRAME_PERIOD_MS / prosody.rate,
    )
    return apply_quality(samples, quality, rng)


def _scale_formants(log_envelope: NDArray[np.float64], f1: float, f2: float) -> NDArray[np.float64]:
    """Stretches the envelope along frequency: each new bin looks up its source bin.

    Returns:
        The power envelope, shape (frames, bins), C-contiguous as WORLD needs it.
    """
    bins = log_envelope.shape[1]
    nyquist = SAMPLE_RATE / 2
    hz = np.linspace(0.0, nyquist, bins)
    factor = np.interp(hz, [0.0, F1_REGION_HZ, F2_REGION_HZ, nyquist], [f1, f1, f2, f2])
    source = np.clip(hz / factor, 0.0, nyquist) / nyquist * (bins - 1)
    below = np.clip(source.astype(int), 0, bins - 2)
    weight = source - below
    stretched = log_envelope[:, below] * (1.0 - weight) + log_envelope[:, below + 1] * weight
    return np.ascontiguousarray(np.exp(stretched))
