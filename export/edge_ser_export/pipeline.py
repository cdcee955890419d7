"""`edge-ser export`: checkpoint in, proved bundle out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from edge_ser.audio import Preprocessing
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import GOLDEN, MANIFEST, PARITY, SENSITIVITY, fingerprint_of
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.writing import check_new_bundle, new_bundle, seal
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import GateError
from edge_ser.fidelity.compare import concatenate
from edge_ser.scratch import scratch_folder
from edge_ser.session import Session
from edge_ser.utterance import infer
from edge_ser.verify import verify
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.contents import describe_bundle
from edge_ser_export.graph.operators import check_operators
from edge_ser_export.graph.rewrite import store_half, strip_metadata
from edge_ser_export.memory import release_memory
from edge_ser_export.options import ExportOptions
from edge_ser_export.precision.job import Gate, Lowered, Lowering
from edge_ser_export.proof.answers import off_by
from edge_ser_export.proof.cases import used_files
from edge_ser_export.proof.evidence import Evidence
from edge_ser_export.proof.golden import UTTERANCES
from edge_ser_export.proof.parity import Parity, parity_steps
from edge_ser_export.proof.runtime import OpenSession, open_on_cpu, prove_in_runtime
from edge_ser_export.proof.score_ranks import record_ranks
from edge_ser_export.refusal import RefusedError, leave_refusal, remove_refusal
from edge_ser_export.shared import Shared, share
from edge_ser_export.suitable import check_encoder
from edge_ser_export.targets import Target, find_target
from edge_ser_runtimes.engines.plan import GRAPH, EnginePlan, plan_engine, write_engine
from edge_ser_runtimes.engines.profiles import read_profiles

# Steps besides those of the parity run.
_STEPS = 4

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A written bundle.

    Attributes:
        path: of the bundle.
        manifest: of the bundle.
        parity: comparison with the reference.
        words: what to tell its maker about other runtimes.
        notes: what to tell of how it was proved: files that were given and not used.
        replaced: whether a bundle was there before.
    """

    path: Path
    manifest: Manifest
    parity: Parity
    words: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    replaced: bool = False

    @property
    def fingerprint(self) -> str:
        """Of the bundle; see `edge_ser.bundle.files.fingerprint_of`."""
        return fingerprint_of((self.path / MANIFEST).read_bytes())


def export(
    options: ExportOptions,
    open_session: OpenSession = open_on_cpu,
    progress: Progress = lambda _: None,
) -> Exported:
    """Export a checkpoint and prove the result.

    Args:
        options: what and how.
        open_session: opens the new bundle for the proof, as a device would.
        progress: called with a word per step; `export_steps` says how often.

    Raises:
        UsageError: unknown target, or `out` is something other than a bundle.
        CheckpointError: see `checkpoints.load.load_checkpoint`.
        GateError: the bundle does not say what the checkpoint says. No bundle is written, unless
            `keep_failed`; what was tried is told beside its place, see `refusal.leave_refusal`.
    """
    (made,) = export_all([options], open_session, progress)
    if isinstance(made, GateError):
        raise made
    return made


def export_all(
    several: Sequence[ExportOptions],
    open_session: OpenSession = open_on_cpu,
    progress: Progress = lambda _: None,
) -> list[Exported | GateError]:
    """Export a checkpoint to several targets, each as if alone; what they share is made once.

    Args:
        several: as `options.for_targets` gives them.
        open_session: see `export`.
        progress: see `export`.

    Returns:
        for each the bundle, or why it is refused; other targets go on.

    Raises:
        UsageError, CheckpointError: as `export`, of any of them and before anything is written.
    """
    for options in several:
        options.check()
    progress("loading the checkpoint")
    first = several[0]
    checkpoint = load_checkpoint(first.source, first.epoch, first.neutral_radius)
    checkpoint = replace(checkpoint, name=first.name or checkpoint.name)
    preprocessing = checkpoint.config.preprocessing(first.max_seconds, first.short)
    plans = [_plan(options, checkpoint, preprocessing) for options in several]
    outs = [o.out or Path(f"{checkpoint.name}-{o.target}") for o in several]
    for out in outs:
        check_new_bundle(out)
    made: list[Exported | GateError] = []
    with scratch_folder() as folder:
        shared = share(checkpoint, preprocessing, several, folder, progress)
        for options, plan, out in zip(several, plans, outs, strict=True):
            words = progress if shared.alone else _beginning(options.target, progress)
            job = _Job(options, find_target(options.target), plan, shared, out, words)
            made.append(_export_or_refuse(job, open_session))
            shared.tidy(job.target)
    return made


def _beginning(target: str, progress: Progress) -> Progress:
    """The same, of one of several targets."""
    return lambda word: progress(f"{target}: {word}")


def _export_or_refuse(job: _Job, open_session: OpenSession) -> Exported | GateError:
    try:
        exported = _export(job, open_session)
    except GateError as error:
        told = leave_refusal(error, job.options, job.shared.checkpoint.name, job.out)
        told.__cause__ = error
        return told
    remove_refusal(job.out)
    return exported


def _export(job: _Job, open_session: OpenSession) -> Exported:
    options, evidence = job.options, job.shared.evidence_of(job.target)
    with new_bundle(job.out) as work:

        def gate(graph: Path, max_batch: int | None) -> list[str]:
            rules = job.target.limits
            lowered = Lowered(job.target.precision, job.target.precision, rules, max_batch)
            draft = job.describe(lowered)
            bundle = Bundle(graph.parent, replace(draft, graph=graph.name))
            with closing(open_session(bundle)) as session:
                return evidence.judge(session, draft).failures

        lowered, judged = _write_graphs(job, gate, work)
        if lowered.refusal is not None and not options.keep_failed:
            raise RefusedError(lowered.refusal, lowered)
        manifest = job.describe(lowered)
        for name in job.target.graphs:
            check_operators(work / name, job.shared.checkpoint.config.encoder.kind)

        def judge(session: Session) -> Parity:
            return evidence.judge(session, manifest, job.progress)

        candidate = Bundle(judged.parent, replace(manifest, graph=judged.name))
        with closing(open_session(candidate)) as session:
            parity = judge(session)
        graph_bytes = sum(p.stat().st_size for p in judged.parent.glob(f"{judged.name}*"))
        refusal = lowered.refusal or (None if parity.passed else _gate_error(job.out, parity))
        if refusal is not None and not options.keep_failed:
            raise RefusedError(refusal, lowered, parity, graph_bytes)
        if lowered.refusal is not None:
            parity = replace(parity, refused=lowered.refusal.found)
        (work / PARITY).write_text(json.dumps(parity.to_dict(), indent=1) + "\n")
        manifest = manifest.with_parts(parity=parity.summary())
        is_bundles = judged.parent == work
        own = {"onnx" if is_bundles else "trt": parity.recorded}
        words: list[str] = []
        for runtime in dict.fromkeys(options.runtimes) if parity.passed else ():
            proof = prove_in_runtime(runtime, work, manifest, judge, open_session)
            manifest = proof.manifest
            words.append(proof.words)
            own[proof.computation] = proof.parity.recorded
        if not is_bundles and parity.passed:  # before the minutes of building
            evidence.golden.save(work / GOLDEN)
            bundle = Bundle(work, seal(work, manifest))
            with closing(open_session(bundle)) as session:
                own["onnx"] = _check_own_graph(bundle, session, evidence)
        evidence.golden.with_own(own).save(work / GOLDEN)
        calibration = job.shared.calibration_of(job.target)
        if is_bundles and parity.passed and calibration is not None:
            record_ranks(parity, calibration, work)
        manifest = seal(work, _add_engine(job, manifest, work))
        replaced = job.out.exists()
    if refusal is not None:
        kept = "the bundle was kept as asked"
        kept = f"{kept} and replaced the one that was there" if replaced else kept
        raise RefusedError(refusal, lowered, parity, graph_bytes, f"{kept}; do not ship it")
    return Exported(
        job.out, manifest, parity, tuple(words), _notes(options) + evidence.source.notes, replaced
    )


# --- the steps


@dataclass(frozen=True)
class _Job:
    """What is exported, and how."""

    options: ExportOptions
    target: Target
    plan: EnginePlan | None
    shared: Shared
    out: Path
    progress: Progress

    def describe(self, lowered: Lowered) -> Manifest:
        """The manifest before the proof, of a graph of some precision."""
        shared = self.shared
        return describe_bundle(
            shared.checkpoint, self.options, shared.preprocessing, lowered, shared.architecture
        )


def _plan(
    options: ExportOptions, checkpoint: Checkpoint, preprocessing: Preprocessing
) -> EnginePlan | None:
    """Of the engine, if there is one; what the checkpoint shows to be impossible is refused."""
    target = find_target(options.target)
    check_encoder(target, checkpoint.config.encoder.kind)
    if not target.has_engine:
        return None
    plan = plan_engine(target.precision, options.engine)
    read_profiles(plan.profiles, preprocessing)
    return plan


def _write_graphs(job: _Job, gate: Gate, work: Path) -> tuple[Lowered, Path]:
    """Write the target's graphs; what became of them, and the one that the gate judges."""
    traced = job.shared.hand_over(job.target, work)
    lowered, judged = job.target.lower(
        Lowering(
            job.target.name,
            traced,
            work,
            traced.parent,
            job.shared.calibration_of(job.target),
            job.shared.checkpoint.config.partition,
            job.options.lowering,
            job.plan,
            job.progress,
            gate,
        )
    )
    release_memory()
    job.progress("cleaning the graph")
    # the engine builder gets its graph typed, and as it is
    half = job.shared.checkpoint.half and not job.target.has_engine
    storage = {name: _finish_graph(work / name, half) for name in job.target.graphs}
    if lowered.sensitivity is not None:
        (work / SENSITIVITY).write_text(json.dumps(lowered.sensitivity, indent=1) + "\n")
    if job.target.in_place:
        lowered = replace(lowered, storage=storage[GRAPH])
    return lowered, judged


def _add_engine(job: _Job, manifest: Manifest, work: Path) -> Manifest:
    """Build the engine, or note that the device has to; nothing where the target has none."""
    if job.plan is None:
        return manifest
    release_memory()
    job.progress("building the engine" if job.plan.backend else "writing the build bundle")
    return manifest.with_parts(engine=write_engine(job.plan, work, job.shared.preprocessing))


def _notes(options: ExportOptions) -> tuple[str, ...]:
    """What else is worth telling."""
    used, given = len(used_files(options.speech)), len(options.speech)
    if used == given:
        return ()
    return (
        f"of {given} files of speech {used} were used for lengths, padding and files; "
        "--calibration judges agreement on more of them",
    )


def _check_own_graph(bundle: Bundle, session: Session, evidence: Evidence) -> Outputs:
    """Its answers to the recorded utterances: what was judged is another form of the graph."""
    failures = verify(bundle, session).failures
    if failures:
        raise GateError(
            f"graph of {bundle.manifest.name}",
            expected="the recorded answers",
            found="; ".join(failures),
            advice="use a target of higher precision",
        )
    recorded = evidence.expected.recorded
    assert recorded is not None  # see `_ask_reference`
    return concatenate([infer(session, [case.samples]) for case in recorded.cases])


def export_steps(options: ExportOptions) -> int | None:
    """How often `export` of one target reports progress; None where a search decides."""
    if find_target(options.target).in_place:
        return _STEPS + parity_steps(options.speech, recorded=UTTERANCES + 1)
    return None


def _finish_graph(path: Path, half: bool) -> str:
    """Clean the traced file, which stays where it is; returns the type of the stored weights."""
    # weights in a file of their own stay there untouched: only the small graph is rewritten
    model = onnx.load(path, load_external_data=False)
    strip_metadata(model)
    stored = half and store_half(model)
    onnx.save(model, path)
    return "float16" if stored else "float32"


def _gate_error(out: Path, parity: Parity) -> GateError:
    worst = parity.worst
    off = off_by(worst)
    return GateError(
        f"parity gate of {out.name}",
        expected="the checkpoint's answers",
        found=f"{'; '.join(parity.failures)}; worst utterance: {worst['name']} "
        f"({worst['group']}, {off})",
    )
