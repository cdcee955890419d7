"""Records as tables: for a terminal, for Markdown, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from edge_ser.bench.compare import Comparison, Span
from edge_ser.bench.records import Record, one_per_system, threads_of
from edge_ser.bench.stages import STAGES
from edge_ser.measure.stats import DISTURBED, DISTURBED_SHARE, FEWEST_ROUNDS, TOO_FEW
from edge_ser.printable import csv_cells

Rows = list[tuple[str, ...]]
# Share of interrupted runs that is worth a word; a quiet machine has a few percent.
_BUSY = 0.15

_CSV = (
    "time", "run", "system", "runtime", "bundle", "target", "precision", "seconds", "batch",
    "threads", "p10_ms", "p50_ms", "low_ms", "high_ms", "p90_ms", "p99_ms", "rounds", "stable",
    "preempted", "rtf", "throughput", "against", "ratio", "ratio_low", "ratio_high", "verdict",
    "gops", "peak_share", "first_result_ms", "load_ms", "peak_rss_mb", "device_mb", "size_mb",
    *(f"{stage}_ms" for stage in STAGES), "joules", "processor", "cores",
)  # fmt: skip


def latency_rows(records: Sequence[Record]) -> Rows:
    """A header and a row per record, systems of the same length next to each other."""
    many = {n: len({getattr(r, n) for r in records}) > 1 for n in ("batch", "threads")}
    shared = any(r.against for r in records)
    header = ["length", *(n for n in many if many[n]), "system", "p50 ms", "95 % of it"]
    header += ["p90", "p99", "RTF", "x real time"]
    header += ["of the peak"] * any(r.work and r.work.peak_share for r in records)
    header += [f"time, {_first(records)} = 1"] * shared
    rows: Rows = [tuple(header)]
    order = {r.system: i for i, r in reversed(list(enumerate(records)))}
    for r in sorted(records, key=lambda r: (r.seconds, r.batch, r.threads, order[r.system])):
        t = r.latency
        row = [f"{r.seconds:g} s", *(f"{getattr(r, n)}" for n in many if many[n]), r.system]
        # a median that was not to be had within the time is marked, not hidden
        row += [figure(t.p50_ms) + ("" if t.stable else " ~"), between(t.low_ms, t.high_ms)]
        row += [figure(t.p90_ms), figure(t.p99_ms), f"{r.rtf:.2g}", figure(r.throughput)]
        if "of the peak" in header:
            share = r.work.peak_share if r.work else None
            row.append("-" if share is None else f"{share:.0%}")
        if shared:
            row.append(_against(r))
        rows.append(tuple(row))
    return rows


def system_rows(records: Sequence[Record]) -> Rows:
    """A header and a row per system: what does not depend on the length, and one split of time."""
    firsts = one_per_system(records)
    energy = any(r.energy for r in records)
    gpu = any(r.fresh and r.fresh.device_mb for r in records)
    seconds = split_length(records)
    header = ["system", "first result", "load", "peak RSS", *(["GPU"] * gpu), "size"]
    header += [f"{stage} ms" for stage in STAGES] + [f"J for {seconds:g} s"] * energy
    several = len({r.threads for r in records}) > 1
    rows: Rows = [tuple(header)]
    for r in firsts:
        split = next(
            (s for s in records
             if (s.system, s.threads, s.seconds) == (r.system, r.threads, seconds)), r,
        )  # fmt: skip
        fresh = r.fresh
        row = [f"{r.system}, {threads_of(r)}" if several else r.system]
        row.append(f"{fresh.first_result_ms:.0f} ms" if fresh else "-")
        row.append(f"{figure(r.load_ms)} ms")
        row.append(f"{fresh.peak_rss_mb:.0f} MB" if fresh and fresh.peak_rss_mb else "-")
        if gpu:
            row.append(f"{fresh.device_mb:.0f} MB" if fresh and fresh.device_mb else "-")
        row.append(f"{r.size_mb:.2f} MB" if r.size_mb < 10 else f"{r.size_mb:.0f} MB")
        row += [figure(split.stages_ms[s]) if s in split.stages_ms else "-" for s in STAGES]
        if energy:
            row.append(f"{split.energy.joules:.3g}" if split.energy else "-")
        rows.append(tuple(row))
    return rows


def change_rows(comparison: Comparison) -> Rows:
    """A header and a row per figure, worst first among regressions, then in order."""
    rows: Rows = [("what", "figure", "before", "now", "ratio", "verdict")]
    ranked = sorted(comparison.changes, key=lambda c: (not c.regression, -c.ratio.value))
    for c in ranked:
        word = "REGRESSION" if c.regression else c.verdict
        low, high = c.ratio.low, c.ratio.high
        ratio = f"{c.ratio.value:.3f}" + (f" ({low:.3f}..{high:.3f})" if low != high else "")
        rows.append((c.place, c.metric, _span(c.old), _span(c.new), ratio, word))
    return rows


def split_length(records: Sequence[Record]) -> float:
    """The length whose split of time is shown: the middle one."""
    lengths = sorted({r.seconds for r in records})
    return lengths[len(lengths) // 2]


def notes(records: Sequence[Record]) -> list[str]:
    """What the tables need said: how they were made, and what could not be measured."""
    first = records[0]
    fresh = next((r.fresh for r in records if r.fresh), None)
    lines = [machine_line(first)]
    lines += busy_note(records)
    line = "p50: samples in memory to emotions, median of all runs"
    if not all(r.latency.stable for r in records):
        line += "; ~ not yet stable when its time was over"
    lines.append(line)
    if any(r.against for r in records):
        lines.append("ratios: of runs in the same round; = means that no difference was found")
    if any(r.against and r.against.verdict == TOO_FEW for r in records):
        lines.append(f"? of fewer than {FEWEST_ROUNDS} rounds nothing can be said: measure longer")
    if any(r.against and r.against.verdict == DISTURBED for r in records):
        lines.append(
            f"? other programs interrupted more than {DISTURBED_SHARE:.0%} of the runs: measure on "
            "a quiet machine"
        )
    if any(r.work and r.work.peak_share for r in records):
        lines.append("of the peak: time of the model's matrix products alone, over its time")
    split = f"read .. answer: one file of 48 kHz, {split_length(records):g} s"
    if fresh is not None:
        split = (
            f"first result: from starting Python, {fresh.seconds:g} s of speech, "
            f"median of {fresh.processes} process{'es' if fresh.processes > 1 else ''}, "
            f"files cached; peak RSS: {fresh.memory_batch} x {fresh.memory_seconds:g} s\n{split}"
        )
    lines += split.splitlines()
    return lines + list(dict.fromkeys(n for r in records for n in r.notes))


def busy_note(records: Sequence[Record]) -> list[str]:
    """What must be said of figures from a machine that did something else as well."""
    busy = max(r.latency.preempted for r in records)
    if busy <= _BUSY:
        return []
    return [f"the machine was busy: up to {busy:.0%} of a row's runs were interrupted"]


def machine_line(record: Record) -> str:
    """The machine in one line."""
    m, state = record.machine, record.before
    parts = [f"{m.get('processor')}, {m.get('cores')} cores"]
    clocks = state.get("clock_mhz")
    if clocks:
        parts.append(f"{max(clocks)} MHz")
    parts += [f"{n} {state[k]}" for n, k in (("governor", "governor"), ("mode", "power_mode"))
              if k in state]  # fmt: skip
    libraries = m.get("libraries", {})
    parts += [f"{n} {libraries[n]}" for n in ("onnxruntime", "torch", "openvino") if n in libraries]
    return ", ".join(parts)


def text(rows: Rows, flush_left: Sequence[int] = (0,)) -> str:
    """Aligned for a terminal; the columns named are flush left, numbers flush right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i in flush_left else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(rows: Rows, flush_left: Sequence[int] = (0,)) -> str:
    """The same as Markdown."""
    header, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    line = ["---" if i in flush_left else "---:" for i in range(len(header))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, line, *body))


def csv_text(records: Sequence[Record]) -> str:
    """All records, a header first; numbers in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV)
    for r in records:
        t, a, f, w = r.latency, r.against, r.fresh, r.work
        row: list[object] = [r.time, r.run, r.system, r.runtime, r.bundle, r.target, r.precision]
        row += [
            r.seconds,
            r.batch,
            r.threads,
            t.p10_ms,
            t.p50_ms,
            t.low_ms,
            t.high_ms,
            t.p90_ms,
            t.p99_ms,
        ]
        row += [t.rounds, t.stable, t.preempted, r.rtf, r.throughput]
        row += [a.system, a.ratio, a.low, a.high, a.verdict] if a else [""] * 5
        row += [w.gops, w.peak_share] if w else ["", ""]
        row += [f.first_result_ms if f else "", r.load_ms]
        row += [f.peak_rss_mb, f.device_mb] if f else ["", ""]
        row += [r.size_mb, *(r.stages_ms.get(s, "") for s in STAGES)]
        row += [r.energy.joules if r.energy else "", r.machine.get("processor", "")]
        row += [r.machine.get("cores", "")]
        writer.writerow(csv_cells(["" if cell is None else cell for cell in row]))
    return out.getvalue()


def figure(value: float) -> str:
    """A number with three digits that count."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def between(low: float, high: float) -> str:
    """An interval."""
    return f"{figure(low)}..{figure(high)}"


def _span(span: Span) -> str:
    alone = span.low == span.high
    return figure(span.value) + ("" if alone else f" ({between(span.low, span.high)})")


def _first(records: Sequence[Record]) -> str:
    return next((r.against.system for r in records if r.against), "")


def _against(record: Record) -> str:
    a = record.against
    if a is None:
        return "1"
    sign = {"no difference": "= ", TOO_FEW: "? ", DISTURBED: "? "}.get(a.verdict, "")
    return f"{sign}{a.ratio:.2f} ({a.low:.2f}..{a.high:.2f}) {a.verdict}"
