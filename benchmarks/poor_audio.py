"""How poor may a recording be before the default model answers something else?

`python benchmarks/poor_audio.py` spoils the clips of speech that come with edge-ser in one way at a
time and writes results/poor-audio.md, from which the limits of `edge_ser.audio.sound.SoundLimits`
were chosen.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import numpy as np
from common import RESULTS, machine_line
from numpy.typing import NDArray

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.audio.sound import SoundLimits, listen
from edge_ser.data import sample_utterances
from edge_ser_export.builtin import installed_clips

Floats = NDArray[np.float32]
_RATE = 16_000


def louder(decibels: float) -> Callable[[Floats], Floats]:
    """Gain, in 16 bits."""
    factor = 10 ** (decibels / 20)
    return lambda x: (np.clip(np.round(x * factor * 32768), -32768, 32767) / 32768).astype(
        np.float32
    )


def clipped(share: float) -> Callable[[Floats], Floats]:
    """So loud that a share of the samples is at full scale."""
    return lambda x: np.clip(x / np.quantile(np.abs(x), 1 - share), -1, 1).astype(np.float32)


def offset(by: float) -> Callable[[Floats], Floats]:
    """A constant part."""
    return lambda x: (x + by).astype(np.float32)


def interrupted(share: float) -> Callable[[Floats], Floats]:
    """Zeros in the middle."""

    def change(x: Floats) -> Floats:
        y = x.copy()
        size = int(x.size * share)
        first = (x.size - size) // 2
        y[first : first + size] = 0
        return y

    return change


CHANGES = {
    **{f"{d:+d} dB": louder(d) for d in (-6, -10, -15, -20, -25, -30, -40, -50, -60)},
    **{f"{s:.1%} of samples clipped": clipped(s) for s in (0.003, 0.01, 0.03, 0.1, 0.3)},
    **{f"offset {o}": offset(o) for o in (0.003, 0.01, 0.03, 0.1, 0.3)},
    **{f"zeros in {s:.0%}": interrupted(s) for s in (0.05, 0.1, 0.2, 0.3, 0.5)},
}


def main() -> int:
    warnings.simplefilter("ignore")
    ser = edge_ser.load(threads=1)
    files = [*sample_utterances(), *installed_clips()]
    clips = [decode_file(path, _RATE, 12.0) for path in files]
    right = [ser(x, _RATE) for x in clips]
    limits, rows = SoundLimits(), []
    for name, change in CHANGES.items():
        moved, regions, flagged, levels = [], 0, 0, []
        for x, expected in zip(clips, right, strict=True):
            y = change(x)
            emotion = ser(y, _RATE)
            moved.append(max(abs(getattr(emotion, d) - getattr(expected, d))
                             for d in ("arousal", "dominance", "valence")))  # fmt: skip
            regions += emotion.region != expected.region
            sound = listen(y, _RATE, limits)
            flagged += bool(sound.quality)
            levels.append(sound.level_dbfs)
        rows.append(
            f"| {name} | {np.median(levels):.0f} | {np.median(moved):.2f} | {max(moved):.2f} | "
            f"{regions} | {flagged} |"
        )
    page = f"""# How poor a recording may be

Made by `python benchmarks/poor_audio.py`: {machine_line()}. {len(clips)} clips of speech, most
of them synthetic, each spoilt in one way; default model. Scores are 1 to 7; of a clip, the one that
moved most. "Called poor" is by the usual limits: {limits.quiet_dbfs:g} dBFS,
{limits.clipped_share:.0%} at full scale, {limits.silent_share:.0%} of digital silence,
an offset of {limits.offset:g}.

| change | level, dBFS | scores move, median | most | other region | called poor |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""
    print(page)
    (RESULTS / "poor-audio.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
