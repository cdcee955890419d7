"""`edge-ser report`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edge_ser.bench.records import Record, read_history
from edge_ser.bundle.bundle import Bundle
from edge_ser.cli.common import add_runtime_options, computing_words, open_session
from edge_ser.cli.console import print_warning, told_warnings
from edge_ser.cli.outputs import Output
from edge_ser.errors import DeviceError, GateError, MissingExtraError, UsageError
from edge_ser.host.facts import this_machine
from edge_ser.report.conclusion import Conclusion, conclude
from edge_ser.report.data import Evidence, load_evidence
from edge_ser.report.device_run import DeviceRun, read_device_run, run_on_device
from edge_ser.report.document import Tone
from edge_ser.report.files import check_page_path, write_page
from edge_ser.report.index import IndexRow, index_page
from edge_ser.report.origin import Writing
from edge_ser.report.page import write_report
from edge_ser.report.speed import latency_words, speeds_of, typical
from edge_ser.version import __version__


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "report",
        help="write a page to sign about a bundle, or an index of several bundles and devices",
        description="One bundle: a page about its proof, run here, with the results of other "
        "devices (files of `edge-ser verify --json`) drawn over it. Several: an index with a row "
        "each, and their pages beside it. Exits with 1 if something on it failed.",
    )
    parser.add_argument(
        "subjects",
        nargs="*",
        type=Path,
        metavar="BUNDLE|RESULT.json",
        help="at least one: bundles, and what edge-ser verify BUNDLE --json printed on devices",
    )
    parser.add_argument(
        "-o", "--out", action=Output, required=True, help="report.html or report.pdf"
    )
    parser.add_argument(
        "--bench", type=Path, metavar="FILE", help="history of edge-ser bench --json, for latencies"
    )
    parser.add_argument(
        "--no-run", action="store_true", help="do not run the bundles here; show what is recorded"
    )
    add_runtime_options(parser)
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Subject:
    """A bundle, and what devices answered with it.

    Attributes:
        path: as given.
        bundle: opened.
        evidence: of its export.
        runs: on this device, if it ran here, then on the others.
        speeds: as measured.
    """

    path: Path
    bundle: Bundle
    evidence: Evidence
    runs: tuple[DeviceRun, ...]
    speeds: list[Record]


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    out: Path = arguments.out
    results = [read_device_run(p) for p in arguments.subjects if p.suffix == ".json"]
    paths = [p for p in arguments.subjects if p.suffix != ".json"]
    _check(arguments)
    records = [] if arguments.bench is None else read_history(arguments.bench)
    opened = [(path, Bundle.open(path)) for path in paths]
    subjects = [_subject(p, b, results, records, arguments) for p, b in opened]
    known = {subject.bundle.fingerprint for subject in subjects}
    strangers = [result for result in results if result.fingerprint not in known]
    if len(subjects) == 1 and not strangers:
        conclusions = [_write(out, subjects[0])]
    else:
        rows = _rows(out, subjects) + [_row_of(result) for result in strangers]
        for number, subject in enumerate(subjects, 1):
            _write(_page_path(out, number, subject), subject)
        write_page(out, index_page(rows, _writing("")))
        conclusions = [row.conclusion for row in rows]
    print(f"report: {out}")
    failures = [failure for c in conclusions if c.tone == "bad" for failure in c.failures]
    if any(c.tone == "bad" for c in conclusions):
        raise GateError(
            f"report {out}",
            expected="the reference's answers",
            found="; ".join(failures) or "a failed proof",
            advice="do not ship it; the page says more",
        )
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what can be refused before anything runs."""
    out: Path = arguments.out
    if not arguments.subjects:
        raise UsageError("report", expected="a BUNDLE or a RESULT.json", found="none")
    check_page_path(out)


def _subject(
    path: Path,
    bundle: Bundle,
    results: Sequence[DeviceRun],
    records: Sequence[Record],
    arguments: argparse.Namespace,
) -> _Subject:
    """Run a bundle here, unless that is not wanted or not possible, and collect the rest."""
    runs = [] if arguments.no_run else _run_here(path, bundle, arguments)
    runs += [result for result in results if result.fingerprint == bundle.fingerprint]
    speeds = speeds_of(bundle.manifest, records)
    return _Subject(path, bundle, load_evidence(bundle), tuple(runs), speeds)


def _run_here(path: Path, bundle: Bundle, arguments: argparse.Namespace) -> list[DeviceRun]:
    try:
        with told_warnings():
            session = open_session(bundle, arguments.runtime, arguments.threads, arguments.provider)
    except (DeviceError, MissingExtraError) as error:
        print_warning(f"{path}: not run here: {error}")
        return []
    with closing(session):
        return [run_on_device(bundle, session, *computing_words(session, arguments))]


def _writing(runtime: str) -> Writing:
    words = ", ".join(filter(None, [runtime, f"edge-ser {__version__}"]))
    return Writing(datetime.now(timezone.utc), this_machine(), words)


def _write(path: Path, subject: _Subject) -> Conclusion:
    runtime = subject.runs[0].runtime if subject.runs else ""
    return write_report(
        path, subject.bundle, subject.evidence, subject.runs, _writing(runtime), subject.speeds
    )


# --- the index


def _page_path(out: Path, number: int, subject: _Subject) -> Path:
    """Of a bundle's page, beside the index."""
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in subject.path.resolve().stem)
    return out.with_name(f"{out.stem}-{number}-{name}{out.suffix}")


def _rows(out: Path, subjects: Sequence[_Subject]) -> list[IndexRow]:
    """A row per bundle and device; of a bundle that ran nowhere, one with its export's proof."""
    rows = []
    for number, subject in enumerate(subjects, 1):
        page = _page_path(out, number, subject).name
        bundle, evidence = subject.bundle, subject.evidence
        for device_run in subject.runs or [None]:
            runs = [] if device_run is None else [device_run]
            processor = None if device_run is None else device_run.machine.processor or None
            record = typical([r for r in subject.speeds if _is_of(r, processor)])
            rows.append(
                IndexRow(
                    name=bundle.manifest.name,
                    fingerprint=bundle.fingerprint,
                    target=bundle.manifest.target,
                    device="" if device_run is None else _device(device_run),
                    size_bytes=bundle.size_bytes,
                    latency="" if record is None else latency_words(record),
                    ccc=evidence.least_ccc,
                    vad_max=evidence.largest if device_run is None else device_run.farthest,
                    conclusion=conclude(bundle.manifest, evidence, runs),
                    page=page,
                )
            )
    return rows


def _is_of(record: Record, processor: str | None) -> bool:
    return processor in (None, record.machine.get("processor"))


def _device(run: DeviceRun) -> str:
    return f"{run.machine}; {run.runtime}"


def _row_of(run: DeviceRun) -> IndexRow:
    """Of a device's result whose bundle is not here."""
    tone: Tone = "bad" if not run.passed else "open" if run.engine == "not run" else "good"
    return IndexRow(
        name=run.bundle,
        fingerprint=run.fingerprint,
        target=run.target,
        device=_device(run),
        size_bytes=run.size_bytes,
        latency="",
        ccc=None,
        vad_max=run.farthest,
        conclusion=Conclusion(tone, "", run.failures, run.not_judged),
    )
