"""`edge-ser verify`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.documents.check import check_bom
from edge_ser.bundle.trust import Trust
from edge_ser.cli.common import (
    add_runtime_options,
    computing_words,
    needs,
    open_session,
)
from edge_ser.cli.console import print_warning, step, steps, told_warnings
from edge_ser.cli.export import add_parity_audio, parity_audio
from edge_ser.cli.isolated import add_isolated
from edge_ser.cli.outputs import Output
from edge_ser.cli.where import add_where, find_where, print_where
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import GateError, UsageError
from edge_ser.fidelity.limits import limit_words
from edge_ser.fidelity.verdict import by_limits
from edge_ser.host.facts import this_machine
from edge_ser.report.data import Evidence, Measures, load_evidence, read_evidence
from edge_ser.report.device_run import DeviceRun, run_on_device
from edge_ser.report.files import check_page_path
from edge_ser.report.origin import Writing
from edge_ser.report.page import write_report
from edge_ser.session import Session
from edge_ser.verify import agrees_on_recorded, limits_of, verify
from edge_ser.version import __version__

if TYPE_CHECKING:
    from edge_ser_runtimes.divergence import Divergence


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "verify",
        help="prove on this device that a bundle gives the reference's answers",
        description="Check every file of a bundle and run its recorded utterances here. Needs no "
        "torch. With --reference the checkpoint itself is run beside it (needs the export extra).",
    )
    parser.add_argument(
        "bundle", nargs="?", default=DEFAULT_BUNDLE, metavar="BUNDLE",
        help="directory or .zip (default: the default model)",
    )  # fmt: skip
    parser.add_argument("--reference", metavar="CKPT", help="compare with this checkpoint")
    parser.add_argument("--epoch", help="of a run directory given as reference")
    parser.add_argument(
        "--neutral-radius", type=float, metavar="R", help="of a reference with a neutral region"
    )
    add_parity_audio(parser, "your own speech")
    add_runtime_options(parser)
    add_where(parser)
    add_isolated(parser)
    parser.add_argument(
        "-o",
        "--out",
        "--report",
        dest="report",
        action=Output,
        help="write one page about the bundle's proof: HTML, or PDF where FILE ends in .pdf",
    )
    parser.add_argument(
        "--trusted-key",
        type=Path,
        action="append",
        metavar="PUB.pem",
        help="refuse the bundle unless this key signed it; may be given several times",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.report is not None:
        check_page_path(arguments.report)
    keys = arguments.trusted_key
    trust = None if keys is None else Trust.in_keys(keys, "--trusted-key")
    bundle = Bundle.open(arguments.bundle, trust)
    bundle.manifest.check_evidence()
    check_bom(bundle)
    with told_warnings():
        where = find_where(bundle, arguments)
    if where is not None and not arguments.json:
        # before a verdict that ends the command
        print_where(where, bool(arguments.reference or arguments.against))
    if arguments.reference:
        with ExitStack() as stack:
            return _against_reference(bundle, arguments, stack, where)
    for name in ("epoch", "neutral_radius", "parity_audio"):
        if getattr(arguments, name) not in (None, ()):
            raise UsageError(
                f"--{name.replace('_', '-')}", expected="--reference beside it", found="none"
            )
    evidence = load_evidence(bundle) if arguments.report is not None else None
    with closing(_open(bundle, arguments)) as session:
        here = run_on_device(bundle, session, *computing_words(session, arguments))
    if arguments.json:
        signed = {} if bundle.signer is None else {"signed_by": bundle.signer.id}
        print(json.dumps(here.to_dict() | signed | _where_record(where), indent=1))
    else:
        files = len(bundle.manifest.files)
        print(f"{here.bundle} ({here.target}): {files} files as recorded")
        if bundle.signer is not None:
            print(f"signed by {bundle.signer.path} ({bundle.signer.id})")
        for group, figures in here.measures.items():
            outside = any(failure.startswith(f"{group}: ") for failure in here.failures)
            print(f"{group:<9}{_line(figures)}: {'OUTSIDE' if outside else 'within'} its limits")
        for note in (*here.not_judged, *here.notes):
            print(f"note     {note}")
        for limits, names in by_limits(here.judged).items():
            manifest = bundle.manifest
            words = limit_words(limits, manifest.has_dimensions, bool(manifest.categories))
            print(f"limits of {', '.join(names)}: {words}")
        print(f"fingerprint {here.fingerprint}")
    if evidence is not None:
        _report(arguments, bundle, session, evidence, [here])
    if not here.passed:
        raise _failed(bundle, here.failures)
    if not arguments.json:
        unrun = "; the engine was not run" if here.engine == "not run" else ""
        print(f"verified: this device gives the reference's answers, with {here.runtime}{unrun}")
    return 0


def _where_record(where: Divergence | None) -> dict[str, Any]:
    return {} if where is None else {"where": where.to_dict()}


def _open(bundle: Bundle, arguments: argparse.Namespace) -> Session:
    with told_warnings():
        return open_session(bundle, arguments.runtime, arguments.threads, arguments.provider)


def _report(
    arguments: argparse.Namespace,
    bundle: Bundle,
    session: Session,
    evidence: Evidence,
    runs: Sequence[DeviceRun] = (),
    reference: str = "",
) -> None:
    """Write the page; of a failed verification, too."""
    runtime, ran_engine = computing_words(session, arguments)
    written = Writing(
        datetime.now(timezone.utc),
        this_machine(),
        f"{runtime}, edge-ser {__version__}",
        reference,
        ran_engine,
    )
    write_report(arguments.report, bundle, evidence, runs, written)
    if not arguments.json:
        print(f"report: {arguments.report}")


def _line(figures: Measures) -> str:
    logits = f", logits {figures['logits_max']:.1e}" if "logits_max" in figures else ""
    words = f"{figures['count']:.0f} utterances: largest difference "
    if "vad_max" in figures:
        changed = figures["flips_far"] + figures["flips_near"]
        words += f"VAD {figures['vad_max']:.1e}{logits}, {changed:.0f} regions changed"
    if "probability_max" in figures:
        changed = figures["category_flips_far"] + figures["category_flips_near"]
        words += ", " if "vad_max" in figures else ""
        words += f"probabilities {figures['probability_max']:.1e}, {changed:.0f} categories changed"
    return words


def _against_reference(
    bundle: Bundle, arguments: argparse.Namespace, stack: ExitStack, where: Divergence | None
) -> int:
    with needs("export", "verify --reference"):
        from edge_ser_export.builtin import existing_checkpoint

        # torch comes after what may be refused without it
        existing_checkpoint(arguments.reference, arguments.epoch)
        from edge_ser_export.checkpoints.load import load_checkpoint
        from edge_ser_export.proof.answers import off_by
        from edge_ser_export.proof.parity import parity_steps, run_parity
        from edge_ser_export.proof.reference import (
            Recorded,
            Reference,
            answer_speech,
            reference_answers,
        )
        from edge_ser_export.proof.speech import ProofSpeech, find_speech, recorded_speech

        checkpoint = load_checkpoint(arguments.reference, arguments.epoch, arguments.neutral_radius)
        # told before the minutes of comparing
        other = _tell_another(bundle, arguments.reference, checkpoint.sha256)
        session = stack.enter_context(closing(_open(bundle, arguments)))
        manifest = bundle.manifest
        own_files = parity_audio(arguments.parity_audio) if arguments.parity_audio else []
        export_speech = recorded_speech(bundle)
        speech = find_speech(export_speech, own_files)
        golden = bundle.golden()
        limits, notes = limits_of(bundle)
        total = parity_steps(speech.speech, len(speech.agreement), len(golden.names))
        with steps(total, quiet=arguments.json) as bar:
            # the checkpoint's own preparation of audio, not the bundle's: that is judged too
            p = manifest.preprocessing
            own = checkpoint.config.preprocessing(p.max_seconds, p.short)
            for what, right, found in (
                ("pre-processing", own, p),
                ("regions", checkpoint.config.partition, manifest.partition),
                ("heads", tuple(checkpoint.config.heads), tuple(manifest.heads)),
            ):
                if right != found:
                    raise (
                        _other_answers(bundle, f"another {what}")
                        if other
                        else _not_the_same(what, bundle, right, found)
                    )
            reference = Reference(checkpoint.model, checkpoint.prepare)
            recorded = Recorded.of(golden, own, agrees_on_recorded(bundle), reference)
            expected = reference_answers(
                reference, own, speech.speech, lambda word: step(bar, word), recorded
            )
            parity = run_parity(
                expected,
                session,
                manifest.partition,
                limits,
                lambda word: step(bar, word),
                speech=answer_speech(reference, own, speech.agreement),
                source=ProofSpeech.of(
                    speech.speech,
                    speech.agreement,
                    None if export_speech is None else export_speech.recorded,
                ),
                missing=speech.missing,
            )
    if arguments.json:
        record = {"fingerprint": bundle.fingerprint, **parity.to_dict(), **_where_record(where)}
        print(json.dumps(record, indent=1))
    elif parity.passed or not other:
        print(parity.table())
        for note in notes:
            print_warning(note)
        print(f"fingerprint {bundle.fingerprint}")
    if arguments.report is not None:
        # as it would be read from a file: tuples are lists there
        evidence = read_evidence(json.loads(json.dumps(parity.to_dict())), "parity")
        _report(arguments, bundle, session, evidence, reference=checkpoint.sha256)
    if not parity.passed:
        if not other:
            raise _failed(bundle, parity.failures)
        worst = parity.worst
        off = off_by(worst)
        raise _other_answers(bundle, f"{off} ({worst['group']}, {worst['name']})")
    verdict = verify(bundle, session)
    if not verdict.passed:
        raise _failed(bundle, verdict.failures)
    if not arguments.json:
        print("verified: this device gives the checkpoint's answers")
    return 0


def _tell_another(bundle: Bundle, reference: str, sha256: str) -> bool:
    """Whether the bundle was made from another checkpoint than it is compared with; tells so."""
    recorded = bundle.manifest.provenance.checkpoint.sha256
    if recorded is None or recorded == sha256:
        return False
    print_warning(
        f"wrong checkpoint? {bundle.manifest.name} was made from another than "
        f"{reference}: expected sha256 {recorded!s:.16}..., found {sha256:.16}..."
    )
    return True


def _other_answers(bundle: Bundle, difference: str) -> GateError:
    return GateError(
        f"verification of {bundle.manifest.name}",
        expected="the checkpoint that it was made from",
        found=f"another one, which differs: {difference}",
        advice="give the checkpoint that it was made from",
    )


def _not_the_same(what: str, bundle: Bundle, reference: object, found: object) -> GateError:
    return GateError(
        f"{what} of {bundle.manifest.name}",
        expected=f"the checkpoint's: {reference}",
        found=str(found),
        advice="do not ship this bundle for this checkpoint",
    )


def _failed(bundle: Bundle, failures: Sequence[str]) -> GateError:
    return GateError(
        f"verification of {bundle.manifest.name}",
        expected="the reference's answers",
        found="; ".join(failures),
        advice="do not ship this bundle on this device; --where names the tensor that differs",
    )
