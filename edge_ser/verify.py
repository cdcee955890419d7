"""Proof on the device: does the bundle, here, give the recorded reference answers?"""

from __future__ import annotations

from edge_ser.audio import from_int16
from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.compare import Fidelity, compare, concatenate
from edge_ser.session import Session
from edge_ser.utterance import infer


def verify(bundle: Bundle, session: Session) -> dict[str, Fidelity]:
    """Run the recorded utterances, one by one and as one padded batch.

    Args:
        bundle: with recorded answers.
        session: opened from it.

    Returns:
        fidelity to the recorded answers, for "single" and "padded"; judge each with
        `Fidelity.failures(bundle.manifest.limits)`.

    Raises:
        BundleError: the bundle holds no recorded answers.
    """
    golden = bundle.golden()
    preprocessing = bundle.manifest.preprocessing
    rows = [preprocessing.normalize(from_int16(x)) for x in golden.samples]
    reference = Outputs.of(golden.vad, golden.region_logits)
    single = concatenate([infer(session, [x]) for x in rows])
    padded = infer(session, rows)
    partition, margin = bundle.manifest.partition, bundle.manifest.limits.margin
    return {
        "single": compare(reference, single, partition, margin),
        "padded": compare(reference, padded, partition, margin),
    }
