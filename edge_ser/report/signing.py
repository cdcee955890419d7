"""What somebody signs: exactly which bundle, made of what, proved on which speech."""

from __future__ import annotations

from edge_ser.bundle.evidence import Calibration
from edge_ser.bundle.files import MANIFEST
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.provenance import Row
from edge_ser.report.data import Evidence
from edge_ser.report.document import section
from edge_ser.report.origin import Writing, place_rows
from edge_ser.report.svg import element, text
from edge_ser.report.tables import facts_table

_FIELDS = ("Name", "Role", "Date", "Signature")


def signing_section(
    manifest: Manifest,
    evidence: Evidence,
    fingerprint: str,
    written_by: str,
    written: Writing | None = None,
) -> str:
    """The part of a page that is signed.

    Args:
        manifest: of the bundle.
        evidence: the comparisons of the page.
        fingerprint: of the bundle; empty: not known.
        written_by: product and version that wrote the page.
        written: when and where; None: not told.
    """
    rows = signing_rows(manifest, evidence, fingerprint, written_by)
    lines = (
        element("div", element("span", text(name)), element("span", "", class_="line"))
        for name in _FIELDS
    )
    return section(
        "To sign",
        facts_table([*rows, *(place_rows(written) if written is not None else [])]),
        element("div", *lines, class_="signature"),
    )


def signing_rows(
    manifest: Manifest, evidence: Evidence, fingerprint: str, written_by: str
) -> list[Row]:
    """Names and values; see `signing_section`."""
    origin = manifest.provenance
    rows = [("model", f"{manifest.name}, {manifest.target}, {manifest.precision}")]
    if fingerprint:
        rows += [
            ("fingerprint", fingerprint),
            (MANIFEST, f"sha256 {fingerprint} (the fingerprint)"),
        ]
    hashes = {entry.path: entry.sha256 for entry in manifest.files}
    named = [manifest.graph, f"{manifest.graph}.data"]
    if manifest.engine is not None:
        named += [manifest.engine.graph, manifest.engine.file]
    rows += [(name, f"sha256 {hashes[name]}") for name in dict.fromkeys(named) if name in hashes]
    rows.append(("made from", f"checkpoint sha256 {origin.checkpoint.sha256 or 'unknown'}"))
    exported_by = origin.versions.get("edge-ser")
    product = f"exported by edge-ser {exported_by}" if exported_by else "exporter unknown"
    product += f" at {origin.date}" if origin.date else ""
    rows.append(("product", f"{product}; page by {written_by}"))
    calibration = manifest.lowered.calibration if manifest.lowered is not None else None
    rows.append(("calibration", "none" if calibration is None else calibration_words(calibration)))
    rows += [("speech", words) for words in _speech(evidence)]
    return rows


def calibration_words(calibration: Calibration) -> str:
    """The speech that ranges were measured on, in one sentence."""
    source = calibration.source or "an unnamed source"
    synthetic = " (synthetic speech, the package's own)" if calibration.default else ""
    words = f"{calibration.fit} utterances of {source}{synthetic}, judged on {calibration.judge}"
    fingerprint = (
        f"; fingerprint of all {calibration.fingerprint}" if calibration.fingerprint else ""
    )
    return f"{words} others{fingerprint}"


def _speech(evidence: Evidence) -> list[str]:
    """Lists of the speech that the comparisons were made on."""
    if evidence.speech:
        return [speech.words for speech in evidence.speech]
    names = [u.name for u in evidence.utterances if u.group in ("speech", "files")]
    return [f"as named by the comparisons: {', '.join(dict.fromkeys(names))}"] if names else []
