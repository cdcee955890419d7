"""What `edge-ser bench` measured of a bundle, for its page."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ser.bench.records import Record, threads_of
from edge_ser.bundle.manifest import Manifest
from edge_ser.report.tables import plain_table

# Length of the utterance whose latency stands for all.
_TYPICAL_SECONDS = 5.0


def speeds_of(manifest: Manifest, records: Sequence[Record]) -> list[Record]:
    """The records of a bundle's graph, the newest of each measurement on each processor.

    Args:
        manifest: of the bundle.
        records: of any bundles, oldest first.
    """
    graph = next((f.sha256 for f in manifest.files if f.path == manifest.graph), "")
    newest = {
        (*record.key, record.machine.get("processor")): record
        for record in records
        if record.sha256 == graph
    }
    return list(newest.values())


def typical(records: Sequence[Record]) -> Record | None:
    """The one that stands for all: one utterance of about five seconds, fewest threads."""
    alone = [r for r in records if r.batch == 1]
    return min(alone, key=lambda r: (abs(r.seconds - _TYPICAL_SECONDS), r.threads), default=None)


def latency_words(record: Record) -> str:
    """Median time of a record, in few words."""
    return f"{record.latency.p50_ms:.1f} ms for {record.seconds:g} s, {threads_of(record)}"


def speed_table(records: Sequence[Record]) -> str:
    """A row per measurement."""
    head = ("machine", "runtime", "length", "batch", "threads", "p50 ms", "95 % of it", "p99 ms")
    rows = [
        (
            str(r.machine.get("processor") or "unknown"),
            r.runtime, f"{r.seconds:g} s", str(r.batch), str(r.threads),
            f"{r.latency.p50_ms:.2f}", f"{r.latency.low_ms:.2f}..{r.latency.high_ms:.2f}",
            f"{r.latency.p99_ms:.2f}",
        )
        for r in records
    ]  # fmt: skip
    return plain_table(head, rows)
