"""What `edge-ser export` says of bundles for several targets: a line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge_ser.cli.console import print_error
from edge_ser.cli.export_words import export_record
from edge_ser.errors import GateError

if TYPE_CHECKING:
    from edge_ser_export.options import ExportOptions
    from edge_ser_export.pipeline import Exported

_COLUMNS = ("target", "MB", "ms", "lowest CCC", "max", "verdict")


def print_several(
    several: Sequence[ExportOptions], made: Sequence[Exported | GateError], as_json: bool
) -> int:
    """Print a table, or all of it as JSON; why a target is refused goes to stderr.

    Args:
        several: the options of each target.
        made: what became of each.
        as_json: print that instead of the table.

    Returns:
        the exit code: 1 if any is refused.
    """
    refused = [one for one in made if isinstance(one, GateError)]
    for error in refused:
        print_error(error)
    both = list(zip(several, made, strict=True))
    if as_json:
        print(json.dumps({"bundles": [_record(*one) for one in both]}, indent=1))
    else:
        float32_ms = next((ms for one in made for ms in _times(one)[1:]), None)
        print(_table([_row(*one, float32_ms) for one in both]))
    return refused[0].exit_code if refused else 0


def _record(options: ExportOptions, made: Exported | GateError) -> dict[str, Any]:
    if isinstance(made, GateError):
        bundle = None if options.out is None else str(options.out)
        return {"target": options.target, "bundle": bundle, "passed": False, "refused": str(made)}
    return {"target": options.target, **export_record(made)}


def _times(made: Exported | GateError) -> tuple[float | None, ...]:
    """Milliseconds of the bundle and of float32 for a stretch of speech; none if not timed."""
    lowered = None if isinstance(made, GateError) else made.manifest.lowered
    if lowered is None or lowered.speed is None:
        return ()
    return lowered.speed.candidate_ms, lowered.speed.baseline_ms


def _row(
    options: ExportOptions, made: Exported | GateError, float32_ms: float | None
) -> tuple[str, ...]:
    if isinstance(made, GateError):
        return options.target, "-", "-", "-", "-", "refused"
    size = sum(f.bytes for f in made.manifest.files) / 1e6
    timed = _times(made)
    # the others were timed against the graph that this bundle holds
    ms = timed[0] if timed else float32_ms if options.target == "onnx-fp32" else None
    whole = made.parity.summary().agreement
    lowest = None if whole is None else min((whole.ccc or {}).values(), default=None)
    worst = max(f.largest for f in made.parity.groups.values())
    return (
        options.target,
        f"{size:.1f}",
        "-" if ms is None else f"{ms:.1f}",
        "-" if lowest is None else f"{lowest:.4f}",
        f"{worst:.1e}",
        f"passed: {made.path}",
    )


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as they must be; numbers stand right."""
    lines = [_COLUMNS, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    right = range(1, len(_COLUMNS) - 1)
    return "\n".join(
        "  ".join(
            cell.rjust(widths[i]) if i in right else cell.ljust(widths[i])
            for i, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )
