"""Proof on the device: does the bundle, here, give the recorded answers?

Recorded are the reference's, which the gate of the export judges, and the bundle's own, which other
versions of a runtime and other processors hardly move: they are held much more tightly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_ser.audio import from_int16
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.documents.check import check_bom
from edge_ser.bundle.parity_record import read_parity_record
from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.compare import compare, concatenate
from edge_ser.fidelity.limits import (
    MIN_JUDGED,
    OF_THE_WHOLE,
    Limits,
    ceiling,
    own_limits,
    stricter,
    weaker_words,
)
from edge_ser.fidelity.verdict import Verdict
from edge_ser.session import Session, computation_of
from edge_ser.utterance import infer

# Names of the groups: recorded utterances one by one and in padded batches, against the
# reference's answers; both against the bundle's own.
RECORDED, BATCHED, OWN = "recorded", "batched", "own"
# Rows of a padded batch: enough for padding to show, and no more than engines take.
BATCH_ROWS = 4


@dataclass(frozen=True)
class RecordedRuns:
    """What a session answers to the recorded utterances, in their order.

    Attributes:
        single: one utterance a run.
        batched: in padded batches of four.
        computation: that answered; see `session.computation_of`.
    """

    single: Outputs
    batched: Outputs
    computation: str = "onnx"


def verify(bundle: Bundle, session: Session) -> Verdict:
    """Run the recorded utterances, one by one and in padded batches.

    Args:
        bundle: with recorded answers.
        session: opened from it.

    Returns:
        the groups "recorded" and "batched", judged by the limits that the bundle may have at most,
        and "own" where the bundle's own answers are recorded.

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
    check_bom(bundle)
    preprocessing = bundle.manifest.preprocessing
    rows = [preprocessing.normalize(from_int16(x)) for x in bundle.golden().samples]
    batches = [rows[i : i + BATCH_ROWS] for i in range(0, len(rows), BATCH_ROWS)]
    return RecordedRuns(
        concatenate([infer(session, [row]) for row in rows]),
        concatenate([infer(session, batch) for batch in batches]),
        computation_of(session),
    )


def judge(bundle: Bundle, runs: RecordedRuns) -> Verdict:
    """How far answers of `run_recorded` are from the recorded ones; see `verify`.

    Raises:
        BundleError: the bundle holds no recorded answers, or its evidence is malformed.
    """
    golden, manifest = bundle.golden(), bundle.manifest
    count = len(golden.names)
    limits, notes = limits_of(bundle)
    if not agrees_on_recorded(bundle):
        limits = limits.of_each
    groups = {
        RECORDED: compare(golden.reference, runs.single, manifest.partition, limits.margin),
        BATCHED: compare(golden.reference, runs.batched, manifest.partition, limits.margin),
    }
    limits_by_group = dict.fromkeys(groups, limits)
    own_answers = golden.own_in(runs.computation)
    if own_answers is not None:
        limits_by_group[OWN] = own_limits(manifest.target, runs.computation == "trt")
        all_outputs = concatenate([runs.single, runs.batched])
        once = np.arange(2 * count) < count  # a clip that ran twice is one clip
        groups[OWN] = compare(
            concatenate([own_answers, own_answers]),
            all_outputs,
            manifest.partition,
            limits_by_group[OWN].margin,
            once,
        )
    else:
        limits_by_group = {name: limits.of_count(count) for name in groups}
        few = " and statistics" if limits.has_agreement and count < MIN_JUDGED else ""
        notes += (
            f"{count} clips, recorded by an earlier version: the bundle's own answers{few} "
            "are not judged",
        )
    return Verdict(groups, limits_by_group, notes)


def limits_of(bundle: Bundle) -> tuple[Limits, tuple[str, ...]]:
    """What a bundle is judged by, whatever its files say: never less than its target asks for.

    Returns:
        the limits, and in words what the bundle says otherwise.

    Raises:
        BundleError: `parity.json` is damaged.
    """
    manifest, record = bundle.manifest, read_parity_record(bundle)
    loosest = ceiling(manifest.target)
    notes = []
    limits = stricter(manifest.limits, loosest)
    weaker = weaker_words(manifest.limits, loosest)
    if weaker:
        notes.append(
            f"the manifest's limits are weaker than {manifest.target} allows, and were replaced: "
            f"{weaker}"
        )
    in_parity = None if record is None else record.limits
    if in_parity is not None and in_parity != manifest.limits:
        notes.append("manifest and parity.json disagree about the limits: the stricter were taken")
        limits = stricter(limits, in_parity)
    return limits, tuple(notes)


def agrees_on_recorded(bundle: Bundle) -> bool:
    """Whether agreement as a whole is judged on the recorded answers.

    It is, unless the export says that it has other speech for it.

    Raises:
        BundleError: the record of the export is damaged.
    """
    manifest, record = bundle.manifest, read_parity_record(bundle)
    judged = [manifest.parity.judged.get(RECORDED)] if manifest.parity is not None else []
    recorded = {} if record is None or record.judged is None else record.judged
    if RECORDED in recorded:
        judged.append(recorded[RECORDED].to_dict())
    told_limits = [limits for limits in judged if limits is not None]
    return not told_limits or any(
        limits.get(name) is not None for limits in told_limits for name in OF_THE_WHOLE
    )
