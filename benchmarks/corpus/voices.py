"""Speakers, and the rules from emotion to prosody and voice quality.

Every coefficient is ours; its sign, and where one is published its relative size, comes from:

- EmoSpeak. Schröder 2006, "Expressing degree of activation in synthetic speech", IEEE Trans.
  Audio, Speech, Language Proc. 14(4); rules as in MARY TTS's `emotion-to-mary.xsl`: pitch
  +.3 arousal +.1 valence -.1 power, range +.04 semitones per point of arousal, rate +.5 arousal
  +.2 valence, shorter pauses with arousal, longer vowels and sonorants with
  valence and power, a low final boundary when powerful and a high one when not.
- Schröder, Cowie, Douglas-Cowie, Westerdijk & Gielen 2001, "Acoustic correlates of emotion
  dimensions in view of speech synthesis", Eurospeech.
- Banse & Scherer 1996, "Acoustic profiles in vocal emotion expression", JPSP 70(3): arousal
  raises F0 and its spread and moves energy to high frequencies.
- Goudbeek & Scherer 2010, "Beyond arousal: valence and potency/control cues in the vocal
  expression of emotion", JASA 128(3): spectral balance also tells potency, spectral noise valence.
- Juslin & Laukka 2003, "Communication of emotions in vocal expression and music performance",
  Psychol. Bull. 129(5): wide F0 range when happy; irregular voices in anger, fear and sadness,
  regular ones in happiness and tenderness; F1 raised with arousal and happiness.
- Tartter 1980, "Happy talk", Perception & Psychophysics 27(1): a smile shortens the vocal tract
  and raises the formants, and listeners hear it.
- Ohala 1984, "An ethological perspective on common cross-language utilization of F0 of voice",
  Phonetica 41: low F0 and low formants sound large and dominant; rising F0 sounds submissive.
- Gobl & Ní Chasaide 2003, "The role of voice quality in communicating emotion, mood and
  attitude", Speech Comm. 40: breathy voices sound relaxed, timid or afraid, tense ones confident.
- Arnal, Flinker, Kleinschmidt, Giraud & Poeppel 2015, "Human screams occupy a privileged niche in
  the communication soundscape", Current Biology 25(15): roughness, fast modulation of amplitude
  between 30 and 150 Hz, signals alarm.
- Giddens, Barron, Byrd-Craven, Clark & Winter 2013, "Vocal indices of stress: a review", J. Voice
  27(3). Its findings on tremor and jitter are equivocal: a trembling voice for aroused submission
  (fear) is a convention of acting that we follow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .emotion import Emotion

FORMANTS = 9  # espeak-ng's peaks 0..8; 1 to 3 are the formants F1 to F3, 0 a low one for nasals

# espeak-ng languages that read English text: accents of English, and foreign accents. The latter
# keep segmental quality from being mistaken for emotion.
ACCENTS = (
    "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbcwmd", "en-029", "en-us", "de",
    "es", "it", "nl", "sv",
)  # fmt: skip


@dataclass(frozen=True)
class Habits:
    """What a speaker's voice is like in a neutral state.

    Attributes:
        expressivity: Factor on every effect of emotion; people differ in it.
        tilt_db: Spectral tilt, dB per octave; positive is brighter.
        roughness: Depth of fast amplitude modulation, 0..1.
        breath: Level of aspiration noise against the voice, 0..1.
    """

    expressivity: float
    tilt_db: float
    roughness: float
    breath: float


@dataclass(frozen=True)
class Speaker:
    """A procedural speaker for espeak-ng.

    Attributes:
        f0_hz: Mean fundamental frequency in a neutral state.
        formant_scale: Inverse of relative vocal tract length; 1 is a grown man's.
        formant_offsets: Relative deviation of each peak's frequency, `FORMANTS` values.
        formant_levels: Height of each peak in percent, `FORMANTS` values.
        formant_width: Width of the peaks in percent.
        rate: Factor on the speaking rate.
        f0_range: Factor on the width of the F0 range.
        accent: An espeak-ng language.
        klatt: espeak-ng's Klatt voice, 1..3, or 0 for its own harmonic synthesis.
        habits: Neutral voice quality and expressivity.
    """

    f0_hz: float
    formant_scale: float
    formant_offsets: tuple[float, ...]
    formant_levels: tuple[float, ...]
    formant_width: float
    rate: float
    f0_range: float
    accent: str
    klatt: int
    habits: Habits


@dataclass(frozen=True)
class Prosody:
    """Prosody relative to the speaker's neutral state.

    Attributes:
        f0_shift_st: Shift of mean F0, semitones.
        f0_range: Factor on the excursions of F0.
        rate: Factor on the speaking rate.
        tract: Factor on all resonances above F3.
        f1: Factor on the resonances up to F1.
        f2: Factor on F2 and F3.
    """

    f0_shift_st: float
    f0_range: float
    rate: float
    tract: float
    f1: float
    f2: float


@dataclass(frozen=True)
class Quality:
    """Voice quality, for `effects.apply_quality`.

    Attributes:
        tilt_db: Spectral tilt, dB per octave; positive is brighter.
        smile_db: Gain of the band around 2.9 kHz, dB.
        breath: Level of aspiration noise against the voice, from 0.
        roughness: Depth of amplitude modulation at 35..90 Hz, 0..0.9.
        jitter: Strength of fast random variation of F0, from 0.
        tremor: Strength of 5..7.5 Hz modulation of F0 and amplitude, from 0.
    """

    tilt_db: float
    smile_db: float
    breath: float
    roughness: float
    jitter: float
    tremor: float


@dataclass(frozen=True)
class Delivery:
    """How espeak-ng shall speak one sentence.

    Attributes:
        voice: A voice definition.
        rate_wpm: Words per minute.
        word_gap: Pause between words, in espeak-ng's units of 10 ms.
        punctuation: Closes the sentence and so sets its final tune.
        quality: Voice quality to add afterwards.
    """

    voice: str
    rate_wpm: float
    word_gap: int
    punctuation: str
    quality: Quality


def draw_habits(rng: Generator) -> Habits:
    """Draws the neutral voice quality of a speaker."""
    return Habits(
        expressivity=rng.uniform(1.0, 1.6),
        tilt_db=rng.normal(0.0, 0.8),
        roughness=rng.uniform(0.0, 0.2),
        breath=rng.uniform(0.0, 0.25),
    )


def draw_speaker(rng: Generator) -> Speaker:
    """Draws a speaker: 45 % men, 45 % women, 10 % children.

    Means of F0 and of vocal tract length by group follow Peterson & Barney 1952, "Control methods
    used in a study of the vowels", JASA 24(2).
    """
    group = rng.random()
    if group < 0.45:
        f0_mean, f0_sd, scale = 112.0, 14.0, 1.0
    elif group < 0.9:
        f0_mean, f0_sd, scale = 200.0, 20.0, 1.14
    else:
        f0_mean, f0_sd, scale = 262.0, 20.0, 1.25
    return Speaker(
        f0_hz=float(np.clip(rng.normal(f0_mean, f0_sd), 75.0, 320.0)),
        formant_scale=rng.normal(scale, 0.04),
        formant_offsets=tuple(rng.normal(0.0, 0.03, FORMANTS).tolist()),
        formant_levels=tuple(np.clip(rng.normal(100.0, 15.0, FORMANTS), 60.0, 140.0).tolist()),
        formant_width=float(np.clip(rng.normal(105.0, 12.0), 80.0, 140.0)),
        rate=float(np.exp(rng.normal(0.0, 0.07))),
        f0_range=float(np.exp(rng.normal(0.0, 0.12))),
        accent=str(rng.choice(ACCENTS)),
        klatt=int(rng.choice([0, 0, 0, 0, 1, 2, 3])),
        habits=draw_habits(rng),
    )


def prosody_of(
    emotion: Emotion, expressivity: float, rng: Generator, variation: float = 1.0
) -> Prosody:
    """Prosody of an emotion.

    F0, its range and the rate after EmoSpeak, with the range also wider when pleased (Juslin &
    Laukka 2003). Dominance lowers F0 and all resonances (Ohala 1984), arousal opens the jaw and
    raises F1, a smile raises F1 and, more, F2 and F3 (Tartter 1980).

    Args:
        emotion: What is expressed.
        expressivity: Factor on every effect.
        rng: For what emotion leaves open.
        variation: Factor on that; 0 for the bare rules.
    """
    a, v, d = (expressivity * x for x in (emotion.arousal, emotion.valence, emotion.dominance))
    noise = _Noise(rng, variation)
    tract = 1.0 - 0.055 * d + noise(0.01)
    return Prosody(
        f0_shift_st=4.5 * a - 1.8 * d + 1.3 * v + noise(0.7),
        f0_range=float(np.exp(0.55 * a + 0.22 * v - 0.25 * d + noise(0.12))),
        rate=float(np.exp(0.27 * a + 0.09 * v - 0.05 * d + noise(0.05))),
        tract=tract,
        f1=tract * (1.0 + 0.05 * a + 0.03 * v),
        f2=tract * (1.0 + 0.06 * v + noise(0.008)),
    )


def quality_of(emotion: Emotion, habits: Habits, rng: Generator, variation: float = 1.0) -> Quality:
    """Voice quality of an emotion.

    Effort flattens the spectrum with arousal and dominance (Banse & Scherer 1996; Goudbeek &
    Scherer 2010); a smile brightens the band of F3 (Tartter 1980); breath comes with submission
    and calm (Gobl & Ní Chasaide 2003); roughness and jitter with displeasure, the more so when
    aroused (Arnal 2015; Juslin & Laukka 2003); tremor with aroused submission.

    Args: as for `prosody_of`, with the speaker's habits in place of the expressivity alone.
    """
    a, v, d = emotion.arousal, emotion.valence, emotion.dominance
    strength = habits.expressivity
    noise = _Noise(rng, variation)
    displeasure = max(0.0, -v)
    rough = habits.roughness + strength * 0.75 * displeasure * (0.55 + 0.45 * a + 0.3 * d)
    return Quality(
        tilt_db=habits.tilt_db + strength * (2.2 * a + 1.3 * d) + noise(0.5),
        smile_db=2.5 * strength * v + noise(0.6),
        breath=max(0.0, habits.breath - strength * (0.26 * d + 0.14 * a) + noise(0.06)),
        roughness=float(np.clip(rough + noise(0.05), 0.0, 0.9)),
        jitter=max(0.0, 0.0005 + strength * 0.004 * displeasure + noise(0.0004)),
        tremor=max(0.0, strength * 0.9 * max(0.0, a + 0.2) * max(0.0, -d) + noise(0.05)),
    )


def deliver(speaker: Speaker, emotion: Emotion, rng: Generator) -> Delivery:
    """How `speaker` says a sentence in the state `emotion`, in espeak-ng's terms.

    Beyond `prosody_of` and `quality_of`: stressed syllables lengthen with valence and dominance
    (EmoSpeak's sonorant durations) and gain level over unstressed ones with effort; pauses shorten
    with arousal; the final tune falls with dominance and rises with submission (EmoSpeak's
    boundary tones, Ohala 1984); espeak-ng's livelier tunes come with valence and arousal.
    """
    a, v, d = emotion.arousal, emotion.valence, emotion.dominance
    strength = speaker.habits.expressivity
    prosody = prosody_of(emotion, strength, rng)
    quality = quality_of(emotion, speaker.habits, rng)
    noise = _Noise(rng, 1.0)

    # espeak-ng takes the ends of the range; its tunes centre a little below the middle.
    range_st = 6.5 * speaker.f0_range * prosody.f0_range
    low_hz = speaker.f0_hz * _semitones(prosody.f0_shift_st - 0.45 * range_st)
    high_hz = low_hz * _semitones(range_st)

    # Arrays by espeak-ng's stress levels 0..7: 0 and 1 are unstressed, 6 and 7 primary stress.
    lengths = np.array([140, 120, 190, 170, 0, 0, 255, 300], dtype=float)
    lengths[[2, 3, 6, 7]] *= np.exp(strength * (0.14 * v + 0.12 * d) + noise(0.04))
    levels = np.array([17, 16, 19, 19, 19, 19, 21, 19], dtype=float)
    levels[4:] += 2.1 * (a + d)
    levels[:2] -= 1.5 * (a + d)

    tune_weights = np.exp([1.2 * v, -0.8 * v, 0.6 * v + 0.4 * a, -1.0 * v])
    tune = 1 + int(rng.choice(4, p=tune_weights / tune_weights.sum()))
    rises = rng.random() < 1.0 / (1.0 + np.exp(3.0 * d + 1.2))
    exclaims = a + noise(0.2) > 0.25

    definition = [
        f"language {speaker.accent}",
        "name speaker",
        f"pitch {low_hz:.0f} {high_hz:.0f}",
        "flutter 2",
        "roughness 1",
        *([f"klatt {speaker.klatt}"] if speaker.klatt else []),
        *_formant_lines(speaker, prosody, emotion),
        f"stressLength {_integers(lengths)}",
        f"stressAmp {_integers(np.clip(levels, 8, 28))}",
        f"intonation {tune}",
    ]
    return Delivery(
        voice="\n".join(definition) + "\n",
        rate_wpm=float(np.clip(168.0 * speaker.rate * prosody.rate, 85.0, 400.0)),
        word_gap=int(np.clip(round(2.0 - 4.0 * a - 2.0 * v + noise(1.2)), 0, 10)),
        punctuation="?" if rises else "!" if exclaims else ".",
        quality=quality,
    )


def _formant_lines(speaker: Speaker, prosody: Prosody, emotion: Emotion) -> list[str]:
    """Frequency, height and width of each peak in percent; smiling narrows the peaks."""
    width = speaker.formant_width * (1.0 - 0.15 * emotion.valence)
    factors = [prosody.f1] * 2 + [prosody.f2] * 2 + [prosody.tract] * (FORMANTS - 4)
    return [
        f"formant {peak} {100 * speaker.formant_scale * (1 + offset) * factor:.0f} "
        f"{level:.0f} {width:.0f}"
        for peak, (offset, level, factor) in enumerate(
            zip(speaker.formant_offsets, speaker.formant_levels, factors, strict=True)
        )
    ]


class _Noise:
    """Normal deviates of a given standard deviation, all scaled by one factor."""

    def __init__(self, rng: Generator, variation: float) -> None:
        self._rng = rng
        self._variation = variation

    def __call__(self, sd: float) -> float:
        return float(self._rng.normal(0.0, sd)) * self._variation


def _semitones(count: float) -> float:
    return float(2.0 ** (count / 12.0))


def _integers(values: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.0f}" for value in values)
