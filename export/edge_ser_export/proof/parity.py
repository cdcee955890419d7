"""The parity gate: does the exported model say what the PyTorch model says?

The reference is the joint model with Transformers' own encoder, one utterance per run, as the
authors evaluate. The candidate is the bundle, opened as a device opens it. Compared are single
utterances of all lengths, the same utterances in padded batches, audio files end to end (there
the reference decodes with librosa and normalises in torch), and speech that the caller may add, so
that there is enough of it to judge how the answers agree as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from edge_ser.audio import Preprocessing
from edge_ser.audio_files import decode_file
from edge_ser.bundle.evidence import Agreement, ParitySummary
from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import UsageError
from edge_ser.fidelity.compare import Fidelity, compare, concatenate, label_fidelity
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import Limits
from edge_ser.fidelity.verdict import Verdict
from edge_ser.session import Session
from edge_ser_export.models.joint import JointModel
from edge_ser_export.proof.answers import Answer, ask, difference
from edge_ser_export.proof.cases import FILES, Case, Samples, build_cases, case_count, file_pairs
from edge_ser_export.proof.margins import near_limits
from edge_ser_export.proof.scale import check_scale
from edge_ser_export.proof.speech import ProofSpeech
from edge_ser_export.proof.table import parity_table

# Two are enough to see padding leak; more would be the peak of a large model's memory.
_BATCH = 2


@dataclass(frozen=True)
class Parity:
    """Result of the gate.

    Attributes:
        limits: that were applied.
        groups: fidelity per group: single, padded, files, and speech if there was any; over the
            utterances that were answered.
        utterances: per utterance: group, name, seconds, whether it is extreme (see `cases.Case`),
            largest differences, both VADs on 0..1; instead of the candidate's numbers None, and the
            `failure`, where it gave no answer.
        labels: agreement of the group speech with its labels; None without them.
        speech: whose speech it was; None: not told.
        missing: why there is no group speech though agreement is judged on one; empty if there is.
        refused: why the candidate fails whatever it answers; empty: nothing else is against it.
    """

    limits: Limits
    groups: dict[str, Fidelity]
    utterances: list[dict[str, Any]]
    labels: LabelFidelity | None = None
    speech: ProofSpeech | None = None
    missing: str = ""
    refused: str = ""

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
        """
        elsewhere = "speech" in self.groups or bool(self.missing)
        each = self.limits.of_each if elsewhere else self.limits
        asked = {name: self.limits if name == "speech" else each for name in self.groups}
        return Verdict(self.groups, asked)

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
            vad = float(utterance["vad_max"]) / self.limits.vad
            return max(vad, float(utterance["logits_max"] or 0) / self.limits.region_logits)

        return max(self.utterances, key=share)

    def summary(self) -> ParitySummary:
        """For the manifest."""
        rows = self.groups.values()
        group = next((g for g in ("speech", "single") if g in self.groups), None)
        agreement = None
        if group is not None:
            whole = self.groups[group]
            names = [f.name for f in fields(Agreement) if f.name != "group"]
            agreement = Agreement(group=group, **{n: getattr(whole, n) for n in names})
        return ParitySummary(
            passed=self.passed,
            utterances=len(self.utterances),
            vad_max=max((r.vad_max for r in rows), default=None),
            logits_max=max((r.logits_max for r in rows if r.logits_max is not None), default=None),
            radius_max=max((r.radius_max for r in rows), default=None),
            region_flips=sum(r.flips_far + r.flips_near for r in rows),
            not_judged=tuple(self.not_judged),
            judged=self.verdict.judged,
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
            "judged": {name: limits.to_dict() for name, limits in self.verdict.judged.items()},
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
        return parity_table(self.groups, self.limits, self.labels, notes)


class Reference:
    """The PyTorch model, one utterance per run, in `session.Session`'s terms.

    Args:
        model: the joint model, as loaded.
        prepare: normalises samples `[n]` as the checkpoint's own library does; None: the formula
            of the pre-processing says it all.
    """

    def __init__(
        self, model: JointModel, prepare: Callable[[Samples], Samples] | None = None
    ) -> None:
        self.model = model.eval()
        self.prepare = prepare

    def run(self, samples: Samples, lengths: NDArray[np.int64]) -> Outputs:
        """Outputs for a batch, computed row by row."""
        rows = [self.one(x[:n]) for x, n in zip(samples, lengths.tolist(), strict=True)]
        return concatenate(rows)

    def one(self, samples: Samples) -> Outputs:
        """Outputs `[1, ...]` for one utterance `[n]`."""
        x = torch.from_numpy(np.ascontiguousarray(samples))[None]
        with torch.inference_mode():
            vad, logits = self.model(x, torch.tensor([x.shape[1]]))
        return Outputs.of(vad.numpy(), None if logits is None else logits.numpy())


@dataclass(frozen=True)
class Expected:
    """The reference's answers, kept so that the reference itself need not be.

    Attributes:
        cases: utterances of all lengths.
        answers: to each.
        files: audio files as users record them: name, samples as a device prepares them, and the
            answer to the samples as the authors prepare them.
        sample_rate: of all samples, Hz.
    """

    cases: list[Case]
    answers: list[Outputs]
    files: list[tuple[str, Samples, Outputs]]
    sample_rate: int = Preprocessing.sample_rate


def reference_answers(
    reference: Reference,
    preprocessing: Preprocessing,
    speech: list[Path],
    progress: Callable[[str], None] = lambda _: None,
) -> Expected:
    """Run the reference over everything that a candidate is judged by.

    Args:
        reference: the PyTorch model.
        preprocessing: of the model.
        speech: audio files to use: joined for the cases of given length, and each by itself.
        progress: called with a word per step of work.

    Raises:
        DataError: no speech.
        CheckpointError: answers that are not on 0..1, see `scale.check_scale`.
    """
    cases = build_cases(preprocessing, speech)
    answers = []
    for case in cases:
        progress(f"reference: {case.name}")
        answers.append(reference.one(case.samples))
    usual = [a.vad for case, a in zip(cases, answers, strict=True) if not case.extreme]
    check_scale(np.concatenate(usual))
    files = []
    for name, ours, theirs in file_pairs(preprocessing, speech, progress, reference.prepare):
        files.append((name, ours, reference.one(theirs)))
    return Expected(cases, answers, files, preprocessing.sample_rate)


def answer_speech(
    reference: Reference, preprocessing: Preprocessing, files: Sequence[Path]
) -> list[tuple[str, Samples, Outputs]]:
    """What `run_parity` takes as speech: per file its name, samples and the reference's answer.

    Args:
        reference: the PyTorch model.
        preprocessing: of the model.
        files: audio.

    Raises:
        AudioError: a file that cannot be decoded, or is silent.
    """
    rows = []
    for path in files:
        decoded = decode_file(path, preprocessing.sample_rate, preprocessing.max_seconds, path.name)
        samples = preprocessing.apply(decoded, path.name)
        rows.append((path.name, samples, reference.one(samples)))
    return rows


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
        labels: of `speech`, `[n, 3]` scores on 1..7, to see how the candidate agrees with people.
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

    cases, answers = expected.cases, expected.answers
    judge("single", cases, answers, ask_each("single", cases))

    # long beside short: the most padding a batch can have
    order = sorted(range(len(cases)), key=lambda i: (min(i, len(cases) - 1 - i), i))
    padded: list[Answer] = []
    for start in range(0, len(order), _BATCH):
        part = order[start : start + _BATCH]
        progress(f"padded: batch of {len(part)}")
        padded += ask(session, [cases[i].samples for i in part])
    judge("padded", [cases[i] for i in order], [answers[i] for i in order], padded)

    given = [answer for _, ours, _ in expected.files for answer in ask(session, [ours])]
    right = [answer for _, _, answer in expected.files]
    judge("files", [Case(name, ours) for name, ours, _ in expected.files], right, given)

    own = [Case(name, samples) for name, samples, _ in speech]
    given = ask_each("speech", own)
    sides = judge("speech", own, [answer for _, _, answer in speech], given)
    agreement = None
    if rated is not None and sides is not None and len(sides[0].vad) > 1:
        answered = np.array([isinstance(g, Outputs) for g in given])
        agreement = label_fidelity(rated[answered], *sides)
    return Parity(limits, groups, utterances, agreement, source, missing)


def parity_steps(speech: Sequence[Path], added: int = 0) -> int:
    """How often `reference_answers` and `run_parity` report progress.

    Args:
        speech: audio files, as `reference_answers` takes them.
        added: utterances of `run_parity`'s own `speech`.
    """
    cases = case_count(speech)
    return 2 * cases + -(-cases // _BATCH) + len(FILES) + added
