"""What a page says first: whether the bundle passed, what was not judged, and what was not run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_ser.bundle.engine import Engine
from edge_ser.bundle.manifest import Manifest
from edge_ser.report.data import Evidence
from edge_ser.report.device_run import DeviceRun
from edge_ser.report.document import Tone
from edge_ser.report.origin import Writing
from edge_ser.report.tables import broken_cells


@dataclass(frozen=True)
class Conclusion:
    """The verdict of a page.

    Attributes:
        tone: "good" only where everything that the bundle is for ran, and nothing broke a limit.
        words: in one sentence.
        failures: broken limits, one each.
        not_judged: what no limit decided about, and why, one each.
        not_run: what is in the bundle and did not run, what ran instead, and how to run it.
    """

    tone: Tone
    words: str
    failures: tuple[str, ...] = ()
    not_judged: tuple[str, ...] = ()
    not_run: tuple[str, ...] = ()


def conclude(
    manifest: Manifest,
    evidence: Evidence,
    runs: Sequence[DeviceRun] = (),
    written: Writing | None = None,
) -> Conclusion:
    """Judge what a page shows.

    Args:
        manifest: of the bundle.
        evidence: comparisons with the reference.
        runs: of the recorded utterances, on devices.
        written: how the page was made: whether `evidence` is of here and now, and of the engine.
    """
    failures = list(evidence.failures)
    not_judged = [*evidence.not_judged, *_only_shown(evidence)]
    # what was recorded as passed, and whose own figures break the limits, was altered or is wrong
    broken = broken_cells(evidence.groups, evidence.judged)
    if evidence.passed and broken:
        failures.append(f"recorded as passed, but out of limits: {'; '.join(broken)}")
    for number, run in enumerate(runs, 1):
        name = device_name(number, runs)
        failures += [f"{name}, {failure}" for failure in run.failures]
        not_judged += [f"{name}, {note}" for note in run.not_judged]
        if not run.passed and not run.failures:
            failures.append(f"{name}: recorded as failed")
    ran_engine = written is not None and written.ran_engine
    ran_somewhere = ran_engine or any(run.engine == "ran" for run in runs)
    not_run = (
        () if manifest.engine is None or ran_somewhere else _engine_words(manifest.engine, runs)
    )
    if failures or not evidence.passed:
        words = "Failed: do not ship it"
        return Conclusion("bad", words, tuple(failures), tuple(not_judged), not_run)
    if not_run:
        words = "Not run: the TensorRT engine. Its graph passed, which does not prove the engine"
        return Conclusion("open", words, (), tuple(not_judged), not_run)
    ran_here = runs or (written is not None and written.reference)
    when = "Passed" if ran_here else "Passed at export, and not run for this page"
    return Conclusion(
        "good", f"{when}: what was judged is within the limits", (), tuple(not_judged)
    )


def device_name(number: int, runs: Sequence[DeviceRun]) -> str:
    """What a page calls a device: one alone needs no number."""
    return f"device {number}" if len(runs) > 1 else "this device"


def _only_shown(evidence: Evidence) -> list[str]:
    """Groups and limits that nothing decides about, with why."""
    judges_agreement = any(limits.ccc is not None for limits in evidence.judged.values())
    shown = [name for name in evidence.groups if name not in evidence.judged]
    alone = [
        name
        for name in evidence.groups
        if judges_agreement and name in evidence.judged and evidence.judged[name].ccc is None
    ]
    notes = [f"{', '.join(shown)}: shown only; no limit is for it"] if shown else []
    if alone:
        points = any("vad_max" in evidence.groups[name] for name in alone)
        what = "CCC, Pearson, 99 % of VAD, mean angle" if points else "99 % of probabilities"
        notes.append(
            f"{', '.join(alone)}: agreement as a whole ({what}) is "
            "judged on the group speech; every length and extreme signals are here to find a "
            "wrong answer, and the largest difference is judged"
        )
    return notes


def _engine_words(engine: Engine, runs: Sequence[DeviceRun]) -> tuple[str, ...]:
    """Which engine did not run, what did, and how to run it."""
    what = f"{engine.precision} for {engine.made_for}, {engine.library}"
    ran = ", ".join(dict.fromkeys(run.runtime for run in runs)) or "ONNX Runtime, at export"
    instead = f"Run instead: the graph that the engine is built from ({engine.graph}), in {ran}."
    run = "edge-ser verify BUNDLE --runtime trt --report page.html"
    if not engine.file:
        return (
            f"The engine is not built yet: {what}.",
            instead,
            f"To build and run it, on {engine.device}: edge-ser build BUNDLE, then {run}.",
        )
    verified = (
        "it gave the recorded answers on the device where it was built, which this page only "
        "repeats"
        if engine.verified
        else "it has not been run anywhere"
    )
    return (
        f"{engine.file}, {what} {engine.version}: {verified}.",
        instead,
        f"To run it, on {engine.device}: {run}.",
    )
