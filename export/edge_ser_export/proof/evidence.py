"""All that a candidate is judged on: the reference's answers, asked for once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing
from edge_ser.bundle.golden import Golden
from edge_ser.bundle.manifest import Manifest
from edge_ser.emotion.decode import VAD, Outputs
from edge_ser.session import Session
from edge_ser_export.calibration.draw import CalibrationSet, Utterance
from edge_ser_export.graph.run import Samples
from edge_ser_export.proof.cases import used_files
from edge_ser_export.proof.golden import make_golden
from edge_ser_export.proof.parity import Parity, run_parity
from edge_ser_export.proof.reference import (
    Expected,
    Recorded,
    Reference,
    answer_speech,
    reference_answers,
)
from edge_ser_export.proof.speech import ProofSpeech, SpeechSet, with_enough


@dataclass(frozen=True)
class Evidence:
    """The reference's answers, which need not be asked for again.

    Attributes:
        expected: to utterances of all lengths, to files, and to what is recorded.
        golden: the recorded ones, for the bundle.
        source: whose speech it is.
        speech: what agreement as a whole is judged on, beside these: name, samples and answer.
        labels: of that speech `[n, 3]`, NaN where an utterance has none; None: hardly any has.
    """

    expected: Expected
    golden: Golden
    source: ProofSpeech
    speech: tuple[tuple[str, Samples, Outputs], ...] = ()
    labels: NDArray[np.float64] | None = None

    def judge(
        self, session: Session, manifest: Manifest, progress: Callable[[str], None] = lambda _: None
    ) -> Parity:
        """Compare a candidate's answers with them."""
        return run_parity(
            self.expected,
            session,
            manifest.partition,
            manifest.limits,
            progress,
            speech=list(self.speech),
            labels=self.labels,
            source=self.source,
        )

    def judged_on(
        self,
        calibration: CalibrationSet,
        given: Sequence[Path],
        reference: Reference,
        preprocessing: Preprocessing,
    ) -> Evidence:
        """The same, with agreement judged on the judging half of a calibration.

        Args:
            calibration: drawn already.
            given: speech of the proof, as for `ask_reference`.
            reference: the PyTorch model.
            preprocessing: of the model.
        """
        files = [u.path for u in calibration.judge]
        source = ProofSpeech.of(given, files, self.source.recorded)
        recorded = Recorded.of(self.golden, preprocessing, source.agrees_on_recorded)
        speech = tuple(answer_speech(reference, preprocessing, files))
        scored = not speech or VAD in speech[0][2].arrays
        labels = _labels(calibration.judge) if scored else None
        return Evidence(
            replace(self.expected, recorded=recorded), self.golden, source, speech, labels
        )


def ask_reference(
    reference: Reference,
    preprocessing: Preprocessing,
    given: Sequence[Path],
    progress: Callable[[str], None] = lambda _: None,
) -> Evidence:
    """Record the reference's answers: a few for the bundle, all for the proof.

    Args:
        reference: the PyTorch model.
        preprocessing: of the model.
        given: speech to make the proof on.
        progress: called with a word per step of work.

    Raises:
        DataError: no speech.
        CheckpointError: answers that are not on 0..1.
    """
    speech = list(given)
    recorded = with_enough(used_files(speech))
    golden = make_golden(reference, preprocessing, recorded)
    source = ProofSpeech.of(speech, recorded=SpeechSet.of(recorded))
    expected = reference_answers(
        reference, preprocessing, speech, progress,
        Recorded.of(golden, preprocessing, source.agrees_on_recorded),
    )  # fmt: skip
    return Evidence(expected, golden, source)


def _labels(utterances: Sequence[Utterance]) -> NDArray[np.float64] | None:
    rows = [(np.nan,) * 3 if u.scores is None else u.scores for u in utterances]
    scores = np.array(rows, np.float64).reshape(-1, 3)
    return scores if np.isfinite(scores).all(1).sum() > 1 else None
