"""Proof on the device: does the bundle, here, give the recorded reference answers?"""

from __future__ import annotations

from dataclasses import dataclass

from edge_ser.audio import from_int16
from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.compare import compare, concatenate
from edge_ser.fidelity.verdict import Verdict
from edge_ser.session import Session
from edge_ser.utterance import infer


@dataclass(frozen=True)
class RecordedRuns:
    """What a session answers to the recorded utterances, in their order.

    Attributes:
        single: one utterance a run.
        padded: all of them as one padded batch.
    """

    single: Outputs
    padded: Outputs


def verify(bundle: Bundle, session: Session) -> Verdict:
    """Run the recorded utterances, one by one and as one padded batch.

    Args:
        bundle: with recorded answers.
        session: opened from it.

    Returns:
        fidelity to the recorded answers, for "single" and "padded", judged by the bundle's limits.

    Raises:
        BundleError: the bundle holds no recorded answers, or its evidence is malformed.
    """
    return judge(bundle, run_recorded(bundle, session))


def run_recorded(bundle: Bundle, session: Session) -> RecordedRuns:
    """The session's own answers to the recorded utterances.

    Raises:
        BundleError: the bundle holds no recorded answers, or its evidence is malformed.
    """
    bundle.manifest.check_evidence()
    preprocessing = bundle.manifest.preprocessing
    rows = [preprocessing.normalize(from_int16(x)) for x in bundle.golden().samples]
    return RecordedRuns(concatenate([infer(session, [x]) for x in rows]), infer(session, rows))


def judge(bundle: Bundle, runs: RecordedRuns) -> Verdict:
    """How far answers of `run_recorded` are from the recorded ones, judged by the bundle's limits.

    Raises:
        BundleError: the bundle holds no recorded answers.
    """
    golden = bundle.golden()
    reference = Outputs.of(golden.vad, golden.region_logits)
    partition, limits = bundle.manifest.partition, bundle.manifest.limits
    groups = {
        "single": compare(reference, runs.single, partition, limits.margin),
        "padded": compare(reference, runs.padded, partition, limits.margin),
    }
    return Verdict(groups, dict.fromkeys(groups, limits))
