"""The parity gate: does the exported model say what the PyTorch model says?

The candidate is the bundle, opened as a device opens it. Compared are single utterances of all
lengths, the same utterances in padded batches, audio files end to end (there the reference decodes
with librosa and normalises in torch), the utterances that travel in the bundle, as a device runs
them, and speech that the caller may add, so that there is enough of it to judge how the answers
agree as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edge_ser.bundle.evidence import Agreement, ParitySummary
from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.compare import Fidelity, compare, concatenate, label_fidelity
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import Limits
from edge_ser.fidelity.verdict import Verdict
from edge_ser.session import Session
from edge_ser.verify import BATCH_ROWS, BATCHED, RECORDED
from edge_ser_export.proof.answers import Answer, ask, difference
from edge_ser_export.proof.cases import FILES, Case, Samples, case_count
from edge_ser_export.proof.margins import near_limits
from edge_ser_export.proof.reference import Expected
from edge_ser_export.proof.speech import ProofSpeech
from edge_ser_export.proof.table import parity_table

# Two are enough to see padding leak; more would be the peak of a large model's memory.
_BATCH = 2


@dataclass(frozen=True)
class Parity:
    """Result of the gate.

    Attributes:
        limits: that were applied.
        groups: fidelity per group: single, padded, files, recorded and batched as on a device, and
            speech if there was any; over the utterances that were answered.
        utterances: per utterance: group, name, seconds, whether it is extreme (see `cases.Case`),
            largest differences, both VADs on 0..1; instead of the candidate's numbers None, and the
            `failure`, where it gave no answer.
        labels: agreement of the group speech with its labels; None without them.
        speech: whose speech it was; None: not told.
        missing: why there is no group speech though agreement is judged on one; empty if there is.
        refused: why the candidate fails whatever it answers; empty: nothing else is against it.
        agrees_on_recorded: whether the recorded utterances are judged as a whole, too.
        recorded: the candidate's answers to them; None if one is missing.
    """

    limits: Limits
    groups: dict[str, Fidelity]
    utterances: list[dict[str, Any]]
    labels: LabelFidelity | None = None
    speech: ProofSpeech | None = None
    missing: str = ""
    refused: str = ""
    agrees_on_recorded: bool = True
    recorded: Outputs | None = None

    @property
    def failures(self) -> list[str]:
        """What was not answered, and broken limits, in words."""
        broken = [self.refused] if self.refused else []
        for group in dict.fromkeys(u["group"] for u in self.utterances):
            lost = [u for u in self.utterances if u["group"] == group and "failure" in u]
            if lost:
                broken.append(
                    f"{group}: no answer to {len(lost)} of the utterances, the first "
                    f"{lost[0]['name']} ({lost[0]['failure']})"
                )
        return broken + self.verdict.failures

    @property
    def verdict(self) -> Verdict:
        """What is judged.

        Agreement as a whole is judged on the caller's speech, where there is some: the other groups
        are there for lengths, padding and files, and hold the same few voices again and again.
        Recorded speech is judged so, too, unless it is of others than the caller's.
        """
        elsewhere = "speech" in self.groups or bool(self.missing)
        judged_as_a_whole = {"speech"}
        if self.agrees_on_recorded:
            judged_as_a_whole |= {RECORDED, BATCHED}
        if not elsewhere:
            judged_as_a_whole |= set(self.groups)
        limits_of_each = self.limits.of_each
        limits_by_group = {
            name: self.limits if name in judged_as_a_whole else limits_of_each
            for name in self.groups
        }
        return Verdict(self.groups, limits_by_group)

    @property
    def not_judged(self) -> list[str]:
        """Limits that a group was too small for, in words."""
        lines = self.verdict.not_judged
        if self.missing:
            lines.append(f"speech: agreement as a whole not judged: {self.missing}")
        return lines

    @property
    def near_limits(self) -> list[str]:
        """Limits that are held with hardly a margin, in words."""
        judged = self.verdict.judged
        return [
            f"{name}: {words}"
            for name, limits in judged.items()
            for words in near_limits(self.groups[name], limits)
        ]

    @property
    def passed(self) -> bool:
        """Whether the candidate gives the reference's answers."""
        return not self.failures

    @property
    def worst(self) -> dict[str, Any]:
        """The utterance with no answer, or with the largest difference, in shares of its limit."""

        def share(utterance: dict[str, Any]) -> float:
            if "failure" in utterance:
                return float("inf")
            unit = max(float(utterance.get(k) or 0) for k in ("vad_max", "probability_max"))
            logits = float(utterance["logits_max"] or 0)
            return max(unit / self.limits.vad, logits / self.limits.region_logits)

        return max(self.utterances, key=share)

    def summary(self) -> ParitySummary:
        """For the manifest."""
        rows = self.groups.values()
        group = next((g for g in ("speech", "single") if g in self.groups), None)
        agreement = None
        if group is not None:
            fidelity = self.groups[group]
            names = [f.name for f in fields(Agreement) if f.name != "group"]
            agreement = Agreement(group=group, **{n: getattr(fidelity, n) for n in names})
        return ParitySummary(
            passed=self.passed,
            utterances=len(self.utterances),
            vad_max=_largest(r.vad_max for r in rows),
            logits_max=_largest(r.logits_max for r in rows),
            radius_max=_largest(r.radius_max for r in rows),
            region_flips=sum(r.flips_far + r.flips_near for r in rows),
            probability_max=_largest(r.probability_max for r in rows),
            category_flips=_category_flips(rows),
            not_judged=tuple(self.not_judged),
            judged=self.verdict.judged_record,
            labels=self.labels,
            agreement=agreement,
        )

    def to_dict(self) -> dict[str, Any]:
        """For `parity.json`."""
        return {
            "limits": self.limits.to_dict(),
            "passed": self.passed,
            "failures": self.failures,
            "not_judged": self.not_judged,
            "judged": self.verdict.judged_record,
            "groups": {name: r.to_dict() for name, r in self.groups.items()},
            "labels": None if self.labels is None else self.labels.to_dict(),
            "speech": None if self.speech is None else self.speech.to_dict(),
            "utterances": self.utterances,
        }

    def table(self) -> str:
        """A short table for people."""
        notes = self.not_judged
        if self.passed and self.near_limits:
            notes.append(f"hardly within limits on this speech: {'; '.join(self.near_limits)}")
        if self.speech is not None:
            notes.append(self.speech.words)
        return parity_table(
            self.groups, self.verdict.judged or {"all": self.limits}, self.labels, notes
        )


def _largest(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)


def _category_flips(groups: Iterable[Fidelity]) -> int | None:
    """Utterances that changed category; None without categories."""
    answered = [r for r in groups if r.probability_max is not None]
    flips = sum((r.category_flips_far or 0) + (r.category_flips_near or 0) for r in answered)
    return flips if answered else None


def run_parity(
    expected: Expected,
    session: Session,
    partition: Partition,
    limits: Limits,
    progress: Callable[[str], None] = lambda _: None,
    *,
    speech: Sequence[tuple[str, Samples, Outputs]] = (),
    labels: ArrayLike | None = None,
    source: ProofSpeech | None = None,
    missing: str = "",
) -> Parity:
    """Compare a session with the reference's answers.

    A candidate that refuses to answer, as runtimes do where a graph gives NaN, has failed: it is
    recorded like a difference, and the other utterances are still compared.

    Args:
        expected: what `reference_answers` gave.
        session: the candidate.
        partition: of the model's regions.
        limits: of the gate.
        progress: called with a word per step of work.
        speech: more utterances, one by one: name, normalised samples `[n]`, and the reference's
            answer `[1, ...]`.
        labels: of `speech`, `[n, 3]` scores on 1..7, to see how the candidate agrees with people;
            NaN for what nobody rated.
        source: whose speech all of it is, for the report.
        missing: why the speech to judge agreement on is not here; see `Parity`.

    Raises:
        UsageError: labels that are not of `speech`, or off the scale.
    """
    rated = None if labels is None else np.asarray(labels, dtype=np.float64)
    if rated is not None and rated.shape != (len(speech), 3):
        raise UsageError("labels", expected=f"[{len(speech)}, 3]", found=f"{list(rated.shape)}")
    groups: dict[str, Fidelity] = {}
    utterances: list[dict[str, Any]] = []

    def judge(
        group: str, cases: Sequence[Case], right: list[Outputs], given: list[Answer]
    ) -> tuple[Outputs, Outputs] | None:
        """Both sides of what was answered; None if nothing was."""
        for case, r, g in zip(cases, right, given, strict=True):
            seconds = round(case.samples.size / expected.sample_rate, 4)
            row = {"group": group, "name": case.name, "seconds": seconds, "extreme": case.extreme}
            utterances.append({**row, **difference(r, g)})
        pairs = [(r, g) for r, g in zip(right, given, strict=True) if isinstance(g, Outputs)]
        if not pairs:
            return None
        reference, candidate = (concatenate(list(side)) for side in zip(*pairs, strict=True))
        answered = zip(cases, given, strict=True)
        usual = np.array([not c.extreme for c, g in answered if isinstance(g, Outputs)])
        groups[group] = compare(reference, candidate, partition, limits.margin, usual)
        return reference, candidate

    def ask_each(group: str, cases: Sequence[Case]) -> list[Answer]:
        answers: list[Answer] = []
        for case in cases:
            progress(f"{group}: {case.name}")
            answers += ask(session, [case.samples])
        return answers

    def ask_batches(group: str, cases: Sequence[Case], rows: int) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(cases), rows):
            part = cases[start : start + rows]
            progress(f"{group}: batch of {len(part)}")
            answers += ask(session, [case.samples for case in part])
        return answers

    cases, answers = expected.cases, expected.answers
    judge("single", cases, answers, ask_each("single", cases))

    # long beside short: the most padding a batch can have
    order = sorted(range(len(cases)), key=lambda i: (min(i, len(cases) - 1 - i), i))
    mixed = [cases[i] for i in order]
    judge("padded", mixed, [answers[i] for i in order], ask_batches("padded", mixed, _BATCH))

    given = [answer for _, ours, _ in expected.files for answer in ask(session, [ours])]
    right = [answer for _, _, answer in expected.files]
    judge("files", [Case(name, ours) for name, ours, _ in expected.files], right, given)

    recorded = None
    if expected.recorded is not None:
        clips, right = expected.recorded.cases, expected.recorded.answers
        sides = judge(RECORDED, clips, right, ask_each(RECORDED, clips))
        judge(BATCHED, clips, right, ask_batches(BATCHED, clips, BATCH_ROWS))
        if sides is not None and sides[1].count == len(clips):
            recorded = sides[1]

    own = [Case(name, samples) for name, samples, _ in speech]
    given = ask_each("speech", own)
    sides = judge("speech", own, [answer for _, _, answer in speech], given)
    agreement = None
    if rated is not None and sides is not None:
        answered = np.array([isinstance(g, Outputs) for g in given])
        scores = rated[answered]
        labelled = ~np.isnan(scores).any(1)
        if labelled.sum() > 1:
            agreement = label_fidelity(scores[labelled], *(side.rows(labelled) for side in sides))
    whole = expected.recorded is not None and expected.recorded.judged_as_a_whole
    return Parity(
        limits, groups, utterances, agreement, source, missing,
        agrees_on_recorded=whole, recorded=recorded,
    )  # fmt: skip


def parity_steps(speech: Sequence[Path], added: int = 0, recorded: int = 0) -> int:
    """How often `reference_answers` and `run_parity` report progress.

    Args:
        speech: audio files, as `reference_answers` takes them.
        added: utterances of `run_parity`'s own `speech`.
        recorded: utterances that travel in the bundle.
    """
    cases = case_count(speech)
    per_clip = recorded + -(-recorded // BATCH_ROWS)
    return 2 * cases + -(-cases // _BATCH) + len(FILES) + per_clip + added
