"""What a refused export leaves beside the place of its bundle: a page, and the same as JSON."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from edge_ser.bundle.evidence import Attempt, Calibration, Lowering
from edge_ser.errors import EdgeSerError, GateError
from edge_ser.host.facts import this_machine
from edge_ser.report.data import Damage
from edge_ser.report.origin import Writing
from edge_ser.report.refusal import Refusal, write_refusal
from edge_ser_export.calibration.draw import ENOUGH_CLIPS
from edge_ser_export.command import spell_command
from edge_ser_export.options import ExportOptions
from edge_ser_export.precision.int8 import MIN_INTEGER_SHARE
from edge_ser_export.precision.job import Lowered
from edge_ser_export.precision.options import PrecisionOptions
from edge_ser_export.proof.parity import Parity
from edge_ser_export.targets import TARGETS, Target, find_target

_NOTHING_WRITTEN = "no bundle was written"


class RefusedError(GateError):
    """A bundle that must not be shipped, with what was known of it by then.

    Args:
        refusal: why.
        lowered: what became of the graph.
        parity: its comparison with the reference; None: it was not made any more.
        graph_bytes: of the graph that was compared, with its weights.
        outcome: what became of the bundle, in words.
    """

    def __init__(
        self,
        refusal: GateError,
        lowered: Lowered,
        parity: Parity | None = None,
        graph_bytes: int | None = None,
        outcome: str = _NOTHING_WRITTEN,
    ) -> None:
        super().__init__(
            refusal.subject,
            expected=refusal.expected,
            found=refusal.found,
            advice=refusal.advice,
        )
        self.lowered, self.parity = lowered, parity
        self.graph_bytes, self.outcome = graph_bytes, outcome


def refusal_page(out: Path) -> Path:
    """Where the page about a refused export to `out` lies; the JSON lies beside it."""
    return out.with_name(f"{out.name}.refused.html")


def remove_refusal(out: Path) -> None:
    """Remove what an earlier export to the same place left, which is no longer true."""
    page = refusal_page(out)
    for path in (page, page.with_suffix(".json")):
        path.unlink(missing_ok=True)


def leave_refusal(error: GateError, options: ExportOptions, name: str, out: Path) -> GateError:
    """Write the page and the JSON.

    Args:
        error: that ended the export; a `RefusedError` knows what was tried.
        options: of the export.
        name: of the model.
        out: where the bundle was to go.

    Returns:
        what to raise instead: it says what became of the bundle, and where the page is.
    """
    outcome = error.outcome if isinstance(error, RefusedError) else _NOTHING_WRITTEN
    refusal = _describe(error, options, name, outcome)
    page = refusal_page(out)
    written = Writing(datetime.now(timezone.utc), this_machine(), "onnxruntime")
    try:
        write_refusal(page, refusal, written)
        where = f"every attempt, and what to try, is in {page}"
    except EdgeSerError as failure:  # the gate's words count for more than the page
        where = f"and there is no page about it ({failure})"
    words = [error.advice, outcome, where]
    return GateError(
        error.subject,
        expected=error.expected,
        found=error.found,
        advice="; ".join(w for w in words if w),
    )


def _describe(error: GateError, options: ExportOptions, name: str, outcome: str) -> Refusal:
    target = find_target(options.target)
    attempts: tuple[Attempt, ...] = ()
    ranking: tuple[Damage, ...] = ()
    calibration: Calibration | None = None
    if isinstance(error, RefusedError):
        lowered = error.lowered
        record = Lowering.from_dict(lowered.record)
        attempts, calibration = record.candidates or (), record.calibration
        if error.parity is not None:
            attempts = (*attempts, _compared(error, record))
        elif not attempts:
            attempts = (_lowered_only(error, record),)
        ranking = tuple(Damage(**row) for row in (lowered.sensitivity or {}).get("groups", ()))
    return Refusal(
        name=name,
        target=target.name,
        expected=error.expected,
        found=error.found,
        limits=target.limits,
        advice=tuple(next_steps(options, error)),
        attempts=attempts,
        ranking=ranking,
        calibration=calibration,
        command=spell_command(options, names_only=False),
        outcome=outcome,
        least_share=MIN_INTEGER_SHARE if target.precision == "int8" else None,
    )


def _compared(error: RefusedError, record: Lowering) -> Attempt:
    """The graph that the gate judged, as an attempt."""
    parity = error.parity
    assert parity is not None  # asked by the caller
    whole = parity.summary().agreement
    groups = parity.groups
    return Attempt(
        recipe=f"{record.recipe or error.lowered.precision}, at the gate",
        kept_in_float32=record.kept_in_float32,
        bytes=error.graph_bytes,
        passed=False,
        failures=tuple(parity.failures),
        integer_share=record.integer_share,
        speed=record.speed,
        ccc=None if whole is None else whole.ccc,
        angle_mean_degrees=None if whole is None else whole.angle_mean_degrees,
        vad_p99=None if whole is None else groups[whole.group].p99,
        vad_max=max((f.largest for f in groups.values()), default=None),
        vad_max_padded=groups["padded"].largest if "padded" in groups else None,
    )


def _lowered_only(error: RefusedError, record: Lowering) -> Attempt:
    """A graph that was refused before it was compared."""
    return Attempt(
        recipe=record.recipe,
        kept_in_float32=record.kept_in_float32,
        bytes=record.graph["after"].bytes if record.graph is not None else None,
        passed=False,
        failures=(f"expected {error.expected}, found {error.found}",),
        speed=record.speed,
    )


# --- what to try


def next_steps(options: ExportOptions, error: GateError) -> list[str]:
    """What to try after a refusal, each with its command, the most promising first.

    Args:
        options: that were refused.
        error: that ended the export.
    """
    told = error.lowered if isinstance(error, RefusedError) else None
    record = Lowering() if told is None else Lowering.from_dict(told.record)
    base = replace(options, keep_failed=False)
    target, precision = find_target(options.target), options.precision
    slow = record.speed is not None and record.speed.outcome == "slower"
    tries: list[tuple[str, ExportOptions]] = []
    if slow and not precision.force:
        forced = replace(base, precision=replace(precision, force=True))
        tries.append(("write it for another machine", forced))
    if target.tunable and precision.recipe != "auto":
        free = replace(base, precision=replace(precision, recipe="auto"))
        tries.append(("let the export choose the recipe", free))
    if (clips := _too_few(record)) is not None:
        words = f"calibrate on more than {clips} clips of speech like that of the device"
        tries.append((words, replace(base, calibration=Path("DIR"))))
    for other in _more_precise(target):
        changed = replace(base, target=other.name, precision=PrecisionOptions())
        if not other.measures:
            changed = replace(
                changed, calibration=None, calibration_audio=None, calibration_split=None
            )
        tries.append((f"export in {other.precision}", changed))
    if options.runtimes:
        tries.append(("prove it in ONNX Runtime alone", replace(base, runtimes=())))
    if not options.keep_failed:
        words = "keep the nearest bundle, to study it and not to ship"
        tries.append((words, replace(base, keep_failed=True)))
    return [f"{words}: {spell_command(o, names_only=False)}" for words, o in tries]


def _too_few(record: Lowering) -> int | None:
    """Clips that ranges were measured and judged on, where more of them may help."""
    speech, shares = record.calibration, [a.integer_share for a in record.candidates or ()]
    # ranges are not what is wrong where integers do not reach
    reached = [s for s in shares if s is not None and (s.encoder or 0) >= MIN_INTEGER_SHARE]
    if speech is None or not reached:
        return None
    clips = (speech.fit or 0) + (speech.judge or 0)
    return clips if clips < 2 * ENOUGH_CLIPS else None


def _more_precise(target: Target) -> list[Target]:
    """Targets of the same kind with narrower limits, the next one first."""
    same_kind = (t for t in TARGETS.values() if t.has_engine == target.has_engine)
    narrower = (t for t in same_kind if t.limits.vad < target.limits.vad)
    return sorted(narrower, key=lambda t: -t.limits.vad)
