"""Proof on the device: does the bundle, here, give the recorded reference answers?"""

from __future__ import annotations

from edge_ser.audio import from_int16
from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.compare import compare, concatenate
from edge_ser.fidelity.verdict import Verdict
from edge_ser.session import Session
from edge_ser.utterance import infer


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
    bundle.manifest.check_evidence()
    golden = bundle.golden()
    preprocessing = bundle.manifest.preprocessing
    rows = [preprocessing.normalize(from_int16(x)) for x in golden.samples]
    reference = Outputs.of(golden.vad, golden.region_logits)
    single = concatenate([infer(session, [x]) for x in rows])
    padded = infer(session, rows)
    partition, limits = bundle.manifest.partition, bundle.manifest.limits
    groups = {
        "single": compare(reference, single, partition, limits.margin),
        "padded": compare(reference, padded, partition, limits.margin),
    }
    return Verdict(groups, dict.fromkeys(groups, limits))
