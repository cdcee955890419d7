"""The three steps from samples to an emotion: prepare, infer, answer.

`Recognizer` takes them; so does whatever times or proves them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edge_ser.audio import Preprocessing, Samples
from edge_ser.audio.sound import Sound, SoundLimits, listen
from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.sphere import Partition
from edge_ser.session import Session, pad_batch


class Utterance(NamedTuple):
    """Audio as the model takes it.

    Attributes:
        samples: `[n]` float32 at the model's rate: cut, normalised, and padded where the bundle
            pads what is too short.
        seconds: of real audio in them.
        source: its name, for the answer; "" for samples in memory.
        sound: what it is like; None where nobody listened.
    """

    samples: Samples
    seconds: float
    source: str = ""
    sound: Sound | None = None


def prepare(
    samples: Samples,
    preprocessing: Preprocessing,
    source: str = "",
    subject: str = "audio",
    limits: SoundLimits | None = None,
) -> Utterance:
    """Check, cut and normalise mono samples at the model's rate.

    Args:
        samples: `[n]` float32 in [-1, 1].
        preprocessing: of the model.
        source: name for the answer.
        subject: name in error messages.
        limits: of the sound, which is measured if they are given.

    Raises:
        AudioError: too short, not finite, or all zero.
    """
    used = min(samples.size, preprocessing.max_samples)
    ready = preprocessing.apply(samples, subject)
    rate = preprocessing.sample_rate
    sound = None if limits is None else listen(samples[:used], rate, limits)
    return Utterance(ready, used / rate, source, sound)


def infer(session: Session, rows: Sequence[Samples]) -> Outputs:
    """Run prepared samples, `[n]` each and of any lengths, as one batch.

    Raises:
        UsageError: a length outside the model's range.
        BundleError: the model cannot run, or gave something else than finite numbers.
    """
    return session.run(*pad_batch(list(rows)))


def answer(
    outputs: Outputs,
    utterances: Sequence[Utterance],
    partition: Partition,
    categories: Sequence[str] = (),
) -> list[Emotion]:
    """The emotion of each utterance, from the outputs of their batch; see `decode`."""
    seconds, sounds = [u.seconds for u in utterances], [u.sound for u in utterances]
    return decode(outputs, partition, seconds, [u.source for u in utterances], sounds, categories)
