"""The reference's answers.

The reference is the joint model with Transformers' own encoder, one utterance per run, as the
authors evaluate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing, from_int16
from edge_ser.audio.files import decode_file
from edge_ser.bundle.golden import Golden
from edge_ser.emotion.decode import VAD, Outputs
from edge_ser.fidelity.compare import concatenate
from edge_ser_export.models.joint import JointModel
from edge_ser_export.proof.cases import Case, Samples, build_cases, file_pairs
from edge_ser_export.proof.scale import check_scale


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
            arrays = self.model(x, torch.tensor([x.shape[1]]))
        named = zip(self.model.config.outputs, arrays, strict=True)
        return Outputs({name: array.numpy() for name, array in named})


@dataclass(frozen=True)
class Recorded:
    """The utterances that travel in a bundle, with the reference's answers.

    Attributes:
        cases: as a device prepares them.
        answers: to each.
        judged_as_a_whole: whether they are judged by limits of agreement, too.
    """

    cases: list[Case]
    answers: list[Outputs]
    judged_as_a_whole: bool = True

    @classmethod
    def of(
        cls,
        golden: Golden,
        preprocessing: Preprocessing,
        judged_as_a_whole: bool,
        reference: Reference | None = None,
    ) -> Recorded:
        """As they are recorded; with a reference, its answers of today."""
        named = zip(golden.names, golden.samples, strict=True)
        cases = [Case(name, preprocessing.normalize(from_int16(x))) for name, x in named]
        if reference is None:
            answers = [golden.reference.rows(slice(i, i + 1)) for i in range(len(cases))]
        else:
            answers = [reference.one(case.samples) for case in cases]
        return cls(cases, answers, judged_as_a_whole)


@dataclass(frozen=True)
class Expected:
    """The reference's answers, kept so that the reference itself need not be.

    Attributes:
        cases: utterances of all lengths.
        answers: to each.
        files: audio files as users record them: name, samples as a device prepares them, and the
            answer to the samples as the authors prepare them.
        sample_rate: of all samples, Hz.
        recorded: the utterances that travel in the bundle; None: none do.
    """

    cases: list[Case]
    answers: list[Outputs]
    files: list[tuple[str, Samples, Outputs]]
    sample_rate: int = Preprocessing.sample_rate
    recorded: Recorded | None = None


def reference_answers(
    reference: Reference,
    preprocessing: Preprocessing,
    speech: list[Path],
    progress: Callable[[str], None] = lambda _: None,
    recorded: Recorded | None = None,
) -> Expected:
    """Run the reference over everything that a candidate is judged by.

    Args:
        reference: the PyTorch model.
        preprocessing: of the model.
        speech: audio files to use: joined for the cases of given length, and each by itself.
        progress: called with a word per step of work.
        recorded: the utterances that travel in the bundle.

    Raises:
        DataError: no speech.
        CheckpointError: answers that are not on 0..1, see `scale.check_scale`.
    """
    cases = build_cases(preprocessing, speech)
    answers = []
    for case in cases:
        progress(f"reference: {case.name}")
        answers.append(reference.one(case.samples))
    usual = [a for case, a in zip(cases, answers, strict=True) if not case.extreme]
    if VAD in usual[0].arrays:
        check_scale(np.concatenate([a.vad for a in usual]))
    files = []
    for name, ours, theirs in file_pairs(preprocessing, speech, progress, reference.prepare):
        files.append((name, ours, reference.one(theirs)))
    return Expected(cases, answers, files, preprocessing.sample_rate, recorded)


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
