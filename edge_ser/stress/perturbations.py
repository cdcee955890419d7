"""What may happen to speech on its way to the model: a table of kinds, with the levels of each."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import numpy as np
from numpy.random import Generator

from edge_ser.audio import Samples
from edge_ser.errors import AudioError, UsageError, did_you_mean
from edge_ser.stress import noise, pace, places
from edge_ser.stress.codecs import through_codec


@dataclass(frozen=True)
class Scene:
    """What a perturbation may use besides the clip and its level.

    Attributes:
        rate: Hz of the samples.
        rng: of this clip and this kind: the same at each level, so that levels differ by nothing
            else.
        others: `[m]` samples of other clips of the same folder.
    """

    rate: int
    rng: Generator
    others: Sequence[Samples] = ()


Perturb = Callable[[Samples, float, Scene], Samples]


@dataclass(frozen=True)
class Kind:
    """One kind of perturbation.

    Attributes:
        title: in words.
        unit: of the levels, as the page shows it.
        level_name: the level in the name of a condition, such as "{:g}db"; "": the kind has one.
        levels: from the mildest to the harshest, or from slow to fast.
        perturb: `[n]` samples in -1..1, a level and a scene -> `[m]` samples in -1..1.
    """

    title: str
    unit: str
    level_name: str
    levels: tuple[float, ...]
    perturb: Perturb


@dataclass(frozen=True)
class Condition:
    """A kind of perturbation at one of its levels.

    Attributes:
        kind: a key of `KINDS`.
        level: of it.
    """

    kind: str
    level: float

    @property
    def name(self) -> str:
        """Of one word, as budgets and tables call it: `noise-20db`."""
        form = KINDS[self.kind].level_name
        return f"{self.kind}-{form.format(self.level)}" if form else self.kind

    def apply(
        self, samples: Samples, rate: int, clip: str, others: Sequence[Samples] = ()
    ) -> Samples:
        """Perturb a clip; the same clip of the same name gives the same samples.

        Args:
            samples: `[n]` in -1..1.
            rate: Hz.
            clip: its name, which seeds what is random.
            others: `[m]` samples of other clips.

        Returns:
            `[m]` float32 in -1..1.

        Raises:
            AudioError: this cannot be done here: no such codec, or too few other clips.
        """
        seed = zlib.crc32(f"{self.kind}/{clip}".encode())
        scene = Scene(rate, np.random.default_rng(seed), others)
        return KINDS[self.kind].perturb(samples, self.level, scene)


def _white(samples: Samples, level: float, scene: Scene) -> Samples:
    return noise.add_white(samples, scene.rate, level, scene.rng)


def _pink(samples: Samples, level: float, scene: Scene) -> Samples:
    return noise.add_pink(samples, scene.rate, level, scene.rng)


def _babble(samples: Samples, level: float, scene: Scene) -> Samples:
    if len(scene.others) < noise.FEWEST_TALKERS:
        raise AudioError(
            "babble",
            expected=f"at least {noise.FEWEST_TALKERS} other clips",
            found=str(len(scene.others)),
            advice="give a folder with more speech",
        )
    return noise.add_babble(samples, level, scene.rng, scene.others)


def _room(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.in_room(samples, scene.rate, level / 1000, scene.rng)


def _telephone(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.by_telephone(samples, scene.rate)


def _codec(name: str, samples: Samples, level: float, scene: Scene) -> Samples:
    return through_codec(samples, scene.rate, name, level)


def _quieter(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.louder(samples, -level)


def _louder(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.louder(samples, level)


def _clipping(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.clipped(samples, level)


def _duller(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.tilted(samples, scene.rate, -level)


def _brighter(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.tilted(samples, scene.rate, level)


def _speed(samples: Samples, level: float, scene: Scene) -> Samples:
    return pace.sped(samples, scene.rate, level)


def _tempo(samples: Samples, level: float, scene: Scene) -> Samples:
    return pace.paced(samples, scene.rate, level)


def _dropped(samples: Samples, level: float, scene: Scene) -> Samples:
    return places.dropped(samples, scene.rate, level, scene.rng)


KINDS: dict[str, Kind] = {
    "noise": Kind("White noise", "dB below speech", "{:g}db", (30, 20, 10, 0), _white),
    "pink": Kind("Pink noise", "dB below speech", "{:g}db", (30, 20, 10, 0), _pink),
    "babble": Kind("Other people talking", "dB below speech", "{:g}db", (20, 10, 5), _babble),
    "room": Kind("Room", "ms for 60 dB", "{:g}ms", (200, 500, 1000), _room),
    "telephone": Kind("Telephone, 300 to 3400 Hz", "", "", (0,), _telephone),
    "opus": Kind("Opus", "kbit/s", "{:g}k", (24, 16, 8), partial(_codec, "opus")),
    "mp3": Kind("MP3", "kbit/s", "{:g}k", (32, 16), partial(_codec, "mp3")),
    "aac": Kind("AAC", "kbit/s", "{:g}k", (32, 16), partial(_codec, "aac")),
    "gsm": Kind("GSM 06.10", "", "", (13,), partial(_codec, "gsm")),
    "quieter": Kind("Quieter", "dB", "{:g}db", (10, 20, 30), _quieter),
    "louder": Kind("Louder, clipped where it is too loud", "dB", "{:g}db", (6, 12), _louder),
    "clipping": Kind("Clipped below the peak", "dB", "{:g}db", (6, 12, 20), _clipping),
    "duller": Kind("Duller", "dB an octave", "{:g}db", (1, 3), _duller),
    "brighter": Kind("Brighter", "dB an octave", "{:g}db", (1, 3), _brighter),
    "speed": Kind("Speed, pitch with it", "% of it", "{:g}", (90, 95, 105, 110), _speed),
    "tempo": Kind("Tempo, pitch kept", "% of it", "{:g}", (80, 90, 110, 125), _tempo),
    "dropped": Kind("Packets of 20 ms lost", "%", "{:g}", (2, 5, 10), _dropped),
}
CONDITIONS = tuple(Condition(name, level) for name, kind in KINDS.items() for level in kind.levels)


def choose(patterns: Sequence[str]) -> tuple[Condition, ...]:
    """Conditions by name, by kind, or by a pattern with `*`, in the order of the table.

    Args:
        patterns: such as `noise`, `noise-20db`, `*-10db`; none: all.

    Raises:
        UsageError: a pattern that no condition has.
    """
    if not patterns:
        return CONDITIONS
    for pattern in patterns:
        if not any(_is_of(condition, pattern) for condition in CONDITIONS):
            raise UsageError(
                "condition",
                expected=f"one of {', '.join(KINDS)}, or of a level, such as noise-20db",
                found=pattern,
                advice=did_you_mean(pattern, [*KINDS, *(c.name for c in CONDITIONS)]),
            )
    return tuple(c for c in CONDITIONS if any(_is_of(c, p) for p in patterns))


def _is_of(condition: Condition, pattern: str) -> bool:
    return condition.kind == pattern or fnmatchcase(condition.name, pattern)
