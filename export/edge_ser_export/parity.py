"""The parity gate: does the exported model say what the PyTorch model says?

The reference is the joint model with Transformers' own encoder, one utterance per run, as the
authors evaluate. The candidate is the bundle, opened as a device opens it. Compared are single
utterances of all lengths, the same utterances in padded batches, and audio files end to end
(there the reference decodes with librosa and normalises in torch).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing, decode_file
from edge_ser.decode import Outputs
from edge_ser.errors import BundleError, DataError
from edge_ser.fidelity import Fidelity, compare, concatenate
from edge_ser.manifest import Limits
from edge_ser.session import Session, pad_batch
from edge_ser.sphere import Partition
from edge_ser_export.model import JointModel

# float32 against float32: a different order of additions, and no more than that.
FP32_LIMITS = Limits(vad=1e-4, region_logits=1e-3)
# From one frame to the longest utterance, whose length the model says; 7.3 s divides by no hop.
_LENGTHS_SECONDS = (0.025, 0.5, 1.0, 3.0, 7.3, 12.0)
# Two are enough to see padding leak; more would be the peak of a large model's memory.
_BATCH = 2
# Of the files given, so many are also compared one by one.
_MAX_FILES = 16
# What users record: channels, rate, and how it is stored.
_FILES = (
    ("44.1 kHz stereo, 16-bit WAV", 44_100, 2, "WAV", "PCM_16"),
    ("96 kHz, 8 channels, 24-bit WAV", 96_000, 8, "WAV", "PCM_24"),
    ("22.05 kHz mono, FLAC", 22_050, 1, "FLAC", "PCM_16"),
    ("8 kHz mono, float WAV", 8_000, 1, "WAV", "FLOAT"),
)

Samples = NDArray[np.float32]
# Of one utterance, or in words why the candidate gave none.
_Answer = Outputs | str


@dataclass(frozen=True)
class Case:
    """One utterance: what it is, and its normalised samples `[n]`."""

    name: str
    samples: Samples


@dataclass(frozen=True)
class Parity:
    """Result of the gate.

    Attributes:
        limits: that were applied.
        groups: fidelity per group: single, padded, files; over the utterances that were answered.
        utterances: per utterance: group, name, largest differences, the reference's VAD; instead of
            differences None, and the `failure`, where the candidate gave no answer.
    """

    limits: Limits
    groups: dict[str, Fidelity]
    utterances: list[dict[str, Any]]

    @property
    def failures(self) -> list[str]:
        """What was not answered, and broken limits, in words."""
        broken = []
        for group in dict.fromkeys(u["group"] for u in self.utterances):
            lost = [u for u in self.utterances if u["group"] == group and "failure" in u]
            if lost:
                broken.append(
                    f"{group}: no answer to {len(lost)} of the utterances, the first "
                    f"{lost[0]['name']} ({lost[0]['failure']})"
                )
            if group in self.groups:
                broken += [f"{group}: {f}" for f in self.groups[group].failures(self.limits)]
        return broken

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

    def summary(self) -> dict[str, Any]:
        """For the manifest."""
        rows = self.groups.values()
        logits = [r.logits_max for r in rows if r.logits_max is not None]
        return {
            "passed": self.passed,
            "utterances": len(self.utterances),
            "vad_max": max((r.vad_max for r in rows), default=None),
            "logits_max": max(logits) if logits else None,
            "region_flips": sum(r.flips_far + r.flips_near for r in rows),
        }

    def to_dict(self) -> dict[str, Any]:
        """For `parity.json`."""
        return {
            "limits": {"vad": self.limits.vad, "region_logits": self.limits.region_logits},
            "passed": self.passed,
            "failures": self.failures,
            "groups": {name: r.to_dict() for name, r in self.groups.items()},
            "utterances": self.utterances,
        }

    def table(self) -> str:
        """A short table for people."""
        head = f"{'parity':<9}{'runs':>5}{'VAD max':>10}{'mean':>10}{'logits max':>12}"
        lines = [head + f"{'angle max':>11}{'radius max':>12}{'regions same':>14}{'near edge':>11}"]
        for name, r in self.groups.items():
            logits = "-" if r.logits_max is None else f"{r.logits_max:.1e}"
            far = f"{r.regions_far - r.flips_far}/{r.regions_far}"
            near = f"{r.regions_near - r.flips_near}/{r.regions_near}"
            lines.append(
                f"{name:<9}{r.count:>5}{r.vad_max:>10.1e}{r.vad_mean:>10.1e}{logits:>12}"
                f"{r.angle_max_degrees:>10.4f}°{r.radius_max:>12.1e}{far:>14}{near:>11}"
            )
            if r.ccc is not None:
                values = ", ".join(f"{d} {v:.6f}" for d, v in r.ccc.items())
                lines.append(f"{'':<9}CCC with the reference: {values}")
        lines.append(
            f"limits: VAD {self.limits.vad:.0e} on 0..1, logits {self.limits.region_logits:.0e}, "
            f"no region changed farther than {self.limits.distance:.1e} from its boundary"
        )
        return "\n".join(lines)


class Reference:
    """The PyTorch model, one utterance per run, in `session.Session`'s terms.

    Args:
        model: the joint model, as loaded.
    """

    def __init__(self, model: JointModel) -> None:
        self.model = model.eval()

    def run(self, samples: Samples, lengths: NDArray[np.int64]) -> Outputs:
        """Outputs for a batch, computed row by row."""
        rows = [self.one(x[:n]) for x, n in zip(samples, lengths.tolist(), strict=True)]
        return concatenate(rows)

    def one(self, samples: Samples) -> Outputs:
        """Outputs `[1, ...]` for one utterance `[n]`."""
        x = torch.from_numpy(np.ascontiguousarray(samples))[None]
        with torch.inference_mode():
            vad, logits = self.model(x, torch.tensor([x.shape[1]]))
        return Outputs(vad.numpy(), None if logits is None else logits.numpy())


@dataclass(frozen=True)
class Expected:
    """The reference's answers, kept so that the reference itself need not be.

    Attributes:
        cases: utterances of all lengths.
        answers: to each.
        files: audio files as users record them: name, samples as a device prepares them, and the
            answer to the samples as the authors prepare them.
    """

    cases: list[Case]
    answers: list[Outputs]
    files: list[tuple[str, Samples, Outputs]]


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
    """
    cases = build_cases(preprocessing, speech)
    answers = []
    for case in cases:
        progress(f"reference: {case.name}")
        answers.append(reference.one(case.samples))
    files = []
    for name, ours, theirs in _file_pairs(preprocessing, speech, progress):
        files.append((name, ours, reference.one(theirs)))
    return Expected(cases, answers, files)


def run_parity(
    expected: Expected,
    session: Session,
    partition: Partition,
    limits: Limits,
    progress: Callable[[str], None] = lambda _: None,
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
    """
    groups: dict[str, Fidelity] = {}
    utterances: list[dict[str, Any]] = []

    def judge(group: str, names: list[str], right: list[Outputs], given: list[_Answer]) -> None:
        pairs = [(r, g) for r, g in zip(right, given, strict=True) if isinstance(g, Outputs)]
        if pairs:
            wanted, found = (concatenate(list(side)) for side in zip(*pairs, strict=True))
            groups[group] = compare(wanted, found, partition, limits.distance)
        for name, r, g in zip(names, right, given, strict=True):
            utterances.append({"group": group, "name": name, **_difference(r, g)})

    cases, answers = expected.cases, expected.answers
    single: list[_Answer] = []
    for case in cases:
        progress(f"single: {case.name}")
        single += _ask(session, [case.samples])
    judge("single", [c.name for c in cases], answers, single)

    # long beside short: the most padding a batch can have
    order = sorted(range(len(cases)), key=lambda i: (min(i, len(cases) - 1 - i), i))
    padded: list[_Answer] = []
    for start in range(0, len(order), _BATCH):
        part = order[start : start + _BATCH]
        progress(f"padded: batch of {len(part)}")
        padded += _ask(session, [cases[i].samples for i in part])
    judge("padded", [cases[i].name for i in order], [answers[i] for i in order], padded)

    given = [answer for _, ours, _ in expected.files for answer in _ask(session, [ours])]
    right = [answer for _, _, answer in expected.files]
    judge("files", [name for name, _, _ in expected.files], right, given)
    return Parity(limits, groups, utterances)


def parity_steps(speech: Sequence[Path]) -> int:
    """How often `reference_answers` and `run_parity` report progress."""
    cases = len(_LENGTHS_SECONDS) + 4 + min(len(speech), _MAX_FILES)
    return 2 * cases + -(-cases // _BATCH) + len(_FILES)


def build_cases(preprocessing: Preprocessing, speech: list[Path]) -> list[Case]:
    """Utterances of all lengths: speech, silence, and speech that is very loud or very quiet.

    Silence is that of a quiet room in 16 bits: the last bit flickers. Exact zeros never reach a
    model, because pre-processing refuses them; group normalisation over time would divide rounding
    noise by its own deviation there, and two correct programs would differ.

    Raises:
        DataError: no speech.
    """
    if not speech:
        raise DataError("parity", expected="at least one audio file", found="none")
    rate, longest = preprocessing.sample_rate, preprocessing.max_samples
    # spread over the files, so that a large folder is not judged by its first names
    spread = np.linspace(0, len(speech) - 1, min(len(speech), _MAX_FILES), dtype=int)
    picked = [speech[i] for i in spread]
    parts = [decode_file(p, rate, preprocessing.max_seconds, p.name) for p in picked]
    voice = np.concatenate(parts)
    voice = np.tile(voice, -(-(longest + rate) // voice.size))
    raw: list[tuple[str, Samples]] = []
    for index, seconds in enumerate((*_LENGTHS_SECONDS[:-1], preprocessing.max_seconds)):
        count = min(max(int(seconds * rate), preprocessing.min_samples), longest)
        # the shortest ones from inside a word, not from the pause before it
        start = _loudest(voice, count) if seconds < 1 else index * rate // 8
        raw.append((f"speech {count / rate:g} s", voice[start : start + count]))
    last_bit = np.random.default_rng(0).integers(-1, 2, 3 * rate).astype(np.float32)
    last_bit /= np.float32(32768)
    raw += [
        ("silence 0.5 s", last_bit[: rate // 2]),
        ("silence 3 s", last_bit),
        ("clipped speech 1 s", np.clip(voice[:rate] * np.float32(30), -1, 1)),
        ("faint speech 1 s", voice[:rate] * np.float32(1e-3)),
    ]
    cases = [Case(name, preprocessing.normalize(x[:longest])) for name, x in raw]
    files = zip(picked, parts, strict=True)
    return cases + [Case(p.name, preprocessing.apply(x, p.name)) for p, x in files]


def _loudest(voice: Samples, count: int) -> int:
    """Start of the stretch of `count` samples with the most energy."""
    energy = np.cumsum(np.square(voice, dtype=np.float64))
    return int((energy[count:] - energy[:-count]).argmax())


def _file_pairs(
    preprocessing: Preprocessing, speech: list[Path], progress: Callable[[str], None]
) -> list[tuple[str, Samples, Samples]]:
    """Name, our samples and librosa's, both normalised, for files as users record them."""
    import librosa

    rate = preprocessing.sample_rate
    pairs = []
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        for index, (name, file_rate, channels, kind, subtype) in enumerate(_FILES):
            progress(f"file: {name}")
            # the first is longer than what is used, so that the cut is compared too
            wanted = preprocessing.max_seconds + 1 if index == 0 else 3.0
            voice = decode_file(speech[index % len(speech)], file_rate, wanted)
            if index == 0:
                voice = np.tile(voice, -(-int(wanted * file_rate) // voice.size))
            # channels differ, so that taking one of them is not the same as their mean
            gains = np.linspace(1.0, 0.4, channels, dtype=np.float32)
            path = Path(folder) / f"{index}.{kind.lower()}"
            soundfile.write(path, voice[:, None] * gains, file_rate, subtype=subtype, format=kind)
            ours = preprocessing.apply(decode_file(path, rate, preprocessing.max_seconds), name)
            loaded, _ = librosa.load(path, sr=rate, mono=True)
            x = torch.from_numpy(loaded)[: preprocessing.max_samples]
            if preprocessing.normalization == "corpus":
                x = (x - preprocessing.mean) / (preprocessing.std + preprocessing.eps)
            else:
                variance = x.double().var(unbiased=False)
                x = (
                    (x.double() - x.double().mean()) / (variance + preprocessing.eps).sqrt()
                ).float()
            pairs.append((name, ours, x.numpy()))
    return pairs


def _ask(session: Session, rows: list[Samples]) -> list[_Answer]:
    """The session's answer to each row of one batch, or in words why there is none."""
    try:
        outputs = session.run(*pad_batch(rows))
    except BundleError as error:  # of the batch: a runtime does not say which row it was
        what = error.subject
        name = what.name if isinstance(what, Path) else what  # the report goes to other machines
        return [f"{name}: expected {error.expected}, found {error.found}"] * len(rows)
    answers: list[_Answer] = []
    for row in range(len(rows)):
        some = slice(row, row + 1)
        logits = None if outputs.region_logits is None else outputs.region_logits[some]
        finite = all(np.isfinite(x).all() for x in (outputs.vad[some], logits) if x is not None)
        answers.append(
            Outputs(outputs.vad[some], logits)
            if finite
            else "outputs: expected finite numbers, found NaN or infinity"
        )
    return answers


def _difference(reference: Outputs, candidate: _Answer) -> dict[str, Any]:
    told = {"reference_vad": [round(float(v), 6) for v in reference.vad[0]]}
    if isinstance(candidate, str):
        return {"vad_max": None, "logits_max": None, **told, "failure": candidate}
    logits = None
    if reference.region_logits is not None and candidate.region_logits is not None:
        logits = float(np.abs(reference.region_logits - candidate.region_logits).max())
    vad = float(np.abs(reference.vad - candidate.vad).max())
    return {"vad_max": vad, "logits_max": logits, **told}
