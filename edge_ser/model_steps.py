"""An opened model as the three steps from speech to emotion, wherever it is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from edge_ser.audio import Channel, Samples
from edge_ser.audio.hearing import Hearing, PoorNotice
from edge_ser.audio.inputs import Array, Source, hear
from edge_ser.audio.long_audio import CutNotice, warn_caller
from edge_ser.emotion.decode import Emotion, Outputs
from edge_ser.errors import DamagedAudioWarning
from edge_ser.opened_model import OpenedModel, Reopen
from edge_ser.session import Session
from edge_ser.utterance import Utterance, answer, infer, prepare

if TYPE_CHECKING:
    from edge_ser.baseline import Baseline
    from edge_ser.bundle.bundle import Bundle
    from edge_ser.bundle.manifest import Manifest
    from edge_ser.bundle.score_reference import ScoreReference

S = TypeVar("S", bound="ModelSteps")
_USUAL_HEARING = Hearing()


class ModelSteps:
    """`prepare`, `infer`, `decode`: what every answer of a `Recognizer` is made of.

    Args:
        bundle: verified model.
        session: that runs it.
        reopen: gives another recogniser of the same, in whichever process it is called; pickles.
            None: this one stays in its process.
        hearing: which channel it hears, and what it does with poor recordings.

    Attributes:
        baseline: of neutral speech, which answers are against; None: they are the model's own.
    """

    def __init__(
        self,
        bundle: Bundle,
        session: Session,
        reopen: Reopen | None = None,
        hearing: Hearing = _USUAL_HEARING,
    ) -> None:
        self._model = OpenedModel(bundle, session, reopen)
        self._cuts, self._poor, self.hearing = CutNotice(), PoorNotice(), hearing
        self.baseline: Baseline | None = None

    @classmethod
    def _of_model(
        cls: type[S], model: OpenedModel, hearing: Hearing, baseline: Baseline | None
    ) -> S:
        steps = cls.__new__(cls)
        steps._model = model
        steps._cuts, steps._poor, steps.hearing = CutNotice(), PoorNotice(), hearing
        steps.baseline = baseline
        return steps

    @classmethod
    def _unopened(
        cls: type[S], reopen: Reopen, fingerprint: str, hearing: Hearing, baseline: Baseline | None
    ) -> S:
        """What is unpickled: opened at the first use, as a pool's worker dies of errors here."""
        return cls._of_model(OpenedModel.unopened(reopen, fingerprint), hearing, baseline)

    def __reduce__(self: S) -> tuple[Callable[..., S], tuple[object, ...]]:
        return type(self)._unopened, (*self._model.sendable(), self.hearing, self.baseline)

    @property
    def bundle(self) -> Bundle:
        """The model's files and manifest."""
        return self._model.here().bundle

    @property
    def session(self) -> Session:
        """What runs the model in this process.

        Raises:
            UsageError: the recogniser was closed.
        """
        return self._model.here().session

    def close(self) -> None:
        """Let go of the model, its threads and what was unpacked of a .zip.

        Whatever is asked after that is refused with a `UsageError`; closing again does nothing. A
        process that was sent a recogniser keeps its model for the next one that it is sent.
        """
        self._model.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._model.closed

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cut_count(self) -> int:
        """Utterances so far that were longer than `max_seconds`, of which the rest was not used."""
        return self._cuts.count

    @property
    def manifest(self) -> Manifest:
        """What the model is and how it was made."""
        return self.bundle.manifest

    def prepare(
        self,
        audio: Source | Array,
        sample_rate: float | None = None,
        name: str = "samples",
    ) -> Utterance:
        """First step: read, resample, cut, check and normalise one utterance.

        Args:
            audio: a file (path, binary stream, or its bytes), or samples `[n]` or `[n, channels]`.
            sample_rate: Hz, of samples; not of files, which say their own.
            name: of samples, in errors.

        Raises:
            MissingPathError: no such file.
            AudioError: audio that cannot be read, is too short, not finite, or silent.
            UsageError: samples without their rate, a file with one, or no audio at all.

        Warns:
            errors.LongAudioWarning, errors.DamagedAudioWarning: see `Recognizer.__call__`.
        """
        return self._prepare(audio, sample_rate, name, self.hearing.channel)

    def _prepare_mono(self, samples: Samples, name: str) -> Utterance:
        """The first step of a window, in which one channel is left, whichever was asked for."""
        return self._prepare(samples, self.manifest.preprocessing.sample_rate, name, "mean")

    def _prepare(
        self, audio: Source | Array, sample_rate: float | None, name: str, channel: Channel
    ) -> Utterance:
        p = self.manifest.preprocessing
        heard, source, name = hear(audio, sample_rate, p, name, channel)
        limits = self.hearing.limits(self.manifest.sound)
        utterance = prepare(heard.samples, p, source, name, limits)
        if utterance.sound is not None:
            self._poor.judge(utterance.sound, name, self.hearing.on_poor)
        if heard.damage:
            warn_caller(
                f"used the first {utterance.seconds:.2f} s of {name}, where it is damaged: "
                f"{heard.damage}",
                DamagedAudioWarning,
            )
        # less than a frame is nothing that anybody said
        longest = p.max_seconds + p.min_samples / p.sample_rate
        if heard.total_seconds is None or heard.total_seconds >= longest:
            self._cuts.warn(name, p.max_seconds, heard.total_seconds)
        return utterance

    def infer(self, utterances: Sequence[Utterance]) -> Outputs:
        """Second step: run prepared utterances as one batch.

        Args:
            utterances: at least one; of like lengths, as the shorter ones are padded.

        Returns:
            the model's numbers, a row per utterance; VAD against the baseline, if there is one.

        Raises:
            UsageError: the recogniser was closed, or a length is outside the model's range.
            BundleError: the model cannot run, or gave something else than finite numbers.
        """
        outputs = infer(self.session, [u.samples for u in utterances])
        return outputs if self.baseline is None else self.baseline.shift(outputs)

    @property
    def score_reference(self) -> ScoreReference | None:
        """What percentiles and intervals of answers are read by; None: they have none.

        What is moved by a baseline has no place among answers that are not.

        Raises:
            BundleError: what the bundle records is damaged.
        """
        return None if self.baseline is not None else self.bundle.score_reference

    def decode(self, outputs: Outputs, utterances: Sequence[Utterance]) -> list[Emotion]:
        """Third step: what the numbers say, of each utterance that `infer` was given."""
        emotions = answer(outputs, utterances, self.manifest.partition, self.manifest.categories)
        reference = self.score_reference
        return emotions if reference is None else [reference.read(one) for one in emotions]

    def __repr__(self) -> str:
        if self._model.closed:
            return f"{type(self).__name__}(closed)"
        against = "" if self.baseline is None else f", against {self.baseline}"
        return f"{type(self).__name__}({self.manifest.name}, {self.manifest.target}{against})"
