"""Sixteen short clips, two voices at the eight corners of the emotion space, for demonstration."""

from pathlib import Path

import numpy as np

from .corpus import complete_or_nothing, format_labels, refuse_existing, write_csv, write_flac
from .effects import SAMPLE_RATE
from .emotion import OCTANTS
from .voices import Habits
from .world import HELD_OUT_VOICE, PseudoSpeaker, analyse, express, require_flite, speak

COLUMNS = ("FileName", "EmoAct", "EmoVal", "EmoDom", "Voice", "Transcript")

VOICES = (HELD_OUT_VOICE, "rms")  # a woman, and a man
CORNER = 0.65  # on [-1, 1]; well inside each octant
VARIATION = 0.3  # of what emotion leaves open, so that the clips are clear examples
MAX_SECONDS = 3.2
FADE_SECONDS = 0.05
PEAK = 0.8  # of full scale
# An average speaker of the corpus, without quirks.
HABITS = Habits(expressivity=1.3, tilt_db=0.0, roughness=0.1, breath=0.1)

# Kept from training, one per octant in the order of OCTANTS; short enough for the slow ones.
SENTENCES = (
    "Listen, the singer gathered nine candles.",
    "The butcher finished a box of pencils.",
    "And then the minister ignored our winter coats.",
    "The mechanic measured the empty bucket.",
    "The grandmother delivered the yellow bicycle.",
    "The librarian covered three wooden chairs.",
    "And then the tailor finished nine candles.",
    "Listen, my cousin ignored the yellow bicycle.",
)


def write_samples(out: Path, seed: int = 7) -> None:
    """Writes the clips as FLAC, with `samples.csv`, into the new directory `out`.

    Raises:
        FileExistsError: If `out` exists.
        FileNotFoundError: If its parent does not.
        RuntimeError: If flite is not installed.
    """
    refuse_existing(out)
    flite = require_flite(VOICES)
    speaker = PseudoSpeaker(f0_shift_st=0.0, formant_scale=1.0, habits=HABITS)
    rows = []
    with complete_or_nothing(out) as directory:
        for voice_number, voice in enumerate(VOICES):
            for number, (octant, sentence) in enumerate(zip(OCTANTS, SENTENCES, strict=True)):
                rng = np.random.default_rng([seed, voice_number, number])
                emotion = octant.corner(CORNER)
                analysis = analyse(speak(flite, voice, sentence))
                samples = express(analysis, speaker, emotion, rng, VARIATION)
                samples = samples[: int(MAX_SECONDS * SAMPLE_RATE)]
                fade = int(FADE_SECONDS * SAMPLE_RATE)
                samples[-fade:] *= np.linspace(1.0, 0.0, fade)
                name = f"{voice}_{octant.numeral}_{octant.name}.flac"
                write_flac(directory / name, samples, PEAK)
                rows.append((name, *format_labels(emotion), voice, sentence))
        write_csv(directory / "samples.csv", COLUMNS, rows)
