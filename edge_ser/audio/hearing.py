"""How a recogniser listens: to which channel, and what it does with poor recordings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from edge_ser.audio.channels import Channel
from edge_ser.audio.long_audio import warn_caller
from edge_ser.audio.sound import Sound, SoundLimits
from edge_ser.errors import AudioError, PoorAudioWarning, UsageError

# Warnings of one recogniser; more say nothing new.
MAX_POOR_TOLD = 10
OnPoor = Literal["warn", "refuse"]


@dataclass(frozen=True)
class Hearing:
    """What is asked of every recording.

    Attributes:
        channel: "mean" of the channels, "left", "right", or a number from 1 on.
        on_poor: "warn" of a poor recording and answer it, or "refuse" it.
        min_speech: share of the time that must be speech, 0..1; None: what the model's limits say.

    Raises:
        UsageError: no such choice.
    """

    channel: Channel = "mean"
    on_poor: OnPoor = "warn"
    min_speech: float | None = None

    def __post_init__(self) -> None:
        number = self.channel
        is_number = isinstance(number, int) and not isinstance(number, bool) and number >= 1
        if not is_number and number not in ("mean", "left", "right"):
            raise UsageError(
                "channel", expected="mean, left, right or a number from 1 on", found=f"{number!r}"
            )
        if self.on_poor not in ("warn", "refuse"):
            raise UsageError("on_poor", expected="warn or refuse", found=f"{self.on_poor!r}")
        share = self.min_speech
        if share is not None and not (isinstance(share, int | float) and 0 <= share <= 1):
            raise UsageError("min_speech", expected="a share, 0 to 1", found=f"{share!r:.40}")

    def limits(self, of_model: SoundLimits | None) -> SoundLimits:
        """From where on a recording is poor: the model's limits, as far as nothing else is asked.

        Args:
            of_model: as its manifest has them; None: the usual ones.
        """
        limits = of_model or SoundLimits()
        if self.min_speech is None:
            return limits
        return replace(limits, min_speech=self.min_speech)


class PoorNotice:
    """Counts poor recordings, and warns of the first of them.

    Attributes:
        count: recordings that were poor.
    """

    def __init__(self) -> None:
        self.count = 0

    def judge(self, sound: Sound, name: str, on_poor: OnPoor) -> None:
        """Count, and warn or refuse, if a recording is poor.

        Args:
            sound: of the recording.
            name: of it.
            on_poor: see `Hearing`.

        Raises:
            AudioError: it is poor, and that is to be refused.
        """
        if not sound.quality:
            return
        words = "; ".join(sound.quality)
        if on_poor == "refuse":
            raise AudioError(
                name,
                expected="a recording that the model can judge",
                found=words,
                advice="record it anew, or allow it with on_poor='warn'",
            )
        self.count += 1
        if self.count > MAX_POOR_TOLD:
            return
        message = f"{name} is poor audio, its answer may be wrong: {words}"
        if self.count == MAX_POOR_TOLD:
            message += "; poor audio after this is answered without a warning"
        warn_caller(message, PoorAudioWarning)
