"""Does a bundle run here? It is opened, and answers its recorded utterances."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import closing

from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import EdgeSerError
from edge_ser.host.finding import Finding
from edge_ser.host.survey import Survey
from edge_ser.session import Session
from edge_ser.verify import RECORDED, verify
from edge_ser_runtimes.diagnosis import misfits


def check_bundle(
    bundle: Bundle, name: str, survey: Survey, open_session: Callable[[Bundle], Session]
) -> Finding:
    """Open a bundle as a user would, and compare its answers with the recorded ones.

    Args:
        bundle: whose files are as recorded.
        name: by which it was asked for.
        survey: this machine.
        open_session: of the registry of runtimes.
    """
    target = bundle.manifest.target
    # weights are in memory at least once; to run out of it would take this process along
    if survey.free_bytes is not None and bundle.size_bytes > survey.free_bytes:
        return Finding(
            "bundle", name, "fails",
            f"{target}: {bundle.size_bytes / 1e9:.2f} GB of weights, "
            f"{survey.free_bytes / 1e9:.2f} GB of memory free",
            "use a smaller model, or --target onnx-int8",
        )  # fmt: skip
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with closing(open_session(bundle)) as session:
                verdict = verify(bundle, session)
        except EdgeSerError as error:
            why = f"{target}: {error.subject}: expected {error.expected}, found {error.found}"
            advice = "; ".join(filter(None, [error.advice, misfits(bundle, survey, error.advice)]))
            return Finding("bundle", name, "fails", _one_line(why), _one_line(advice))
    if not verdict.passed:
        return Finding(
            "bundle", name, "fails", f"{target}: answers differ: {'; '.join(verdict.failures)}",
            _one_line(_wrong_answers(bundle, survey)),
        )  # fmt: skip
    worst = max(verdict.groups.values(), key=lambda r: r.largest)
    count = verdict.groups[RECORDED].count
    answers = f"{target}: {count} recorded answers, {worst.measure} within {worst.largest:.1e}"
    # a runtime that stands in for another, or integers made for another processor, say so
    warned = [_one_line(str(w.message)) for w in caught if w.category is UserWarning]
    advice = "; ".join([*warned, *([misfits(bundle, survey, " ".join(warned))] if warned else [])])
    return Finding("bundle", name, "advice" if warned else "ok", answers, advice.strip("; "))


def _wrong_answers(bundle: Bundle, survey: Survey) -> str:
    lowered = bundle.manifest.lowered
    made_for = lowered.cpu.name if lowered is not None and lowered.cpu is not None else None
    if made_for and survey.integers and made_for != survey.integers:
        return f"export again with --cpu {survey.integers}: it was made for {made_for}"
    return misfits(bundle, survey) or "do not use it on this device; export again"


def _one_line(text: str) -> str:
    return " ".join(text.split())
