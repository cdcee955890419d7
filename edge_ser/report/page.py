"""One page about a bundle: how it was proved, in tables and drawings.

A single HTML file without scripts and without anything to load: it can be mailed, archived, and
read on a machine without a network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edge_ser.bench.records import Record
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import Manifest
from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.fidelity.limits import Limits, limit_words
from edge_ser.report.charts import (
    flips,
    key_list,
    length,
    scatter,
    sensitivity,
    sphere,
    styles,
)
from edge_ser.report.conclusion import Conclusion, conclude, device_name
from edge_ser.report.data import Damage, Evidence, Utterance, load_damage
from edge_ser.report.deployed import deployed_section
from edge_ser.report.device_run import DeviceRun
from edge_ser.report.document import bullets, document, header, paragraph, section, verdict
from edge_ser.report.files import write_page
from edge_ser.report.origin import Writing, bundle_rows, writing_rows
from edge_ser.report.signing import signing_section
from edge_ser.report.speed import speed_table
from edge_ser.report.svg import element, text
from edge_ser.report.tables import facts_table, flip_table, label_table, legend, measures_table
from edge_ser.version import __version__

_GROUPS = {
    "single": "one utterance per run, of all lengths from a frame on, and extreme signals",
    "padded": "the same in padded batches",
    "files": "audio files from end to end",
    "speech": "more speech, one utterance per run: agreement as a whole is judged on it",
}
# Of a device's run.
_DEVICE_GROUPS = {
    "single": "one utterance per run, against the reference's recorded answers",
    "padded": "all as one padded batch, against the same",
    "recorded": "one utterance per run, against the reference's recorded answers",
    "batched": "in padded batches, against the same",
    "own": "both, against the bundle's own answers where it was exported",
}


def write_report(
    path: Path,
    bundle: Bundle,
    evidence: Evidence,
    runs: Sequence[DeviceRun] = (),
    written: Writing | None = None,
    speeds: Sequence[Record] = (),
) -> Conclusion:
    """Write the page; what is at `path` is replaced when the new page is complete.

    Args:
        path: file to write: HTML, or PDF where it ends in `.pdf`.
        bundle: what the page is about.
        evidence: comparisons with the reference, of the bundle's `parity.json` or just made.
        runs: of the recorded utterances, on this device or others.
        written: when, where and with what; None: the page does not say.
        speeds: what `edge-ser bench` measured of it.

    Returns:
        what the page says first.

    Raises:
        BundleError: what the bundle holds for the page is damaged.
        UsageError: the file cannot be written.
    """
    manifest, damage = bundle.manifest, load_damage(bundle)
    html = page(manifest, evidence, damage, runs, written, bundle.fingerprint, speeds)
    write_page(path, html)
    return conclude(manifest, evidence, runs, written)


def page(
    manifest: Manifest,
    evidence: Evidence,
    damage: Sequence[Damage] = (),
    runs: Sequence[DeviceRun] = (),
    written: Writing | None = None,
    fingerprint: str = "",
    speeds: Sequence[Record] = (),
) -> str:
    """The page as HTML.

    Args:
        manifest: of the bundle.
        evidence: comparisons with the reference.
        damage: cost of lower precision per part of the model, if it was measured.
        runs: of the recorded utterances, on this device or others.
        written: when, where and with what; None: the page does not say.
        fingerprint: of the bundle; empty: not known.
        speeds: what `edge-ser bench` measured of it.
    """
    first = conclude(manifest, evidence, runs, written)
    sections = [_header(manifest, fingerprint, first)]
    if written is not None:
        sections.append(section("This page", facts_table(writing_rows(written, bool(runs)))))
    sections += [
        section("This bundle", facts_table(bundle_rows(manifest))),
        _comparison(evidence, manifest),
        *_device_sections(runs, manifest.limits),
    ]
    if speeds:
        sections.append(
            section(
                "Speed",
                paragraph("Of samples in memory to emotions, as edge-ser bench measured it."),
                speed_table(speeds),
            )
        )
    if evidence.labels is not None:
        sections.append(
            section(
                "Agreement with labels",
                paragraph(f"{evidence.labels.count} labelled utterances of the group speech."),
                label_table(evidence.labels),
            )
        )
    sections += _drawings(manifest, evidence, runs)
    if damage:
        sections.append(_damage(damage))
    lost = [f"{u.name} ({u.group}): {u.failure}" for u in evidence.utterances if u.failure]
    if lost:
        sections.append(section("Not answered", bullets(lost)))
    reference = "" if written is None else written.reference
    sections.append(deployed_section(manifest, evidence, runs, fingerprint, reference))
    writer = f"edge-ser {__version__}"
    sections.append(signing_section(manifest, evidence, fingerprint, writer, written))
    sections.append(element("footer", paragraph(f"Licence of the weights: {manifest.licence}.")))
    return document(f"{manifest.name}, {manifest.target}", sections)


def _header(manifest: Manifest, fingerprint: str, first: Conclusion) -> str:
    size = sum(f.bytes for f in manifest.files) / 1e6
    facts = [
        ("target", manifest.target),
        ("precision", manifest.precision),
        ("stored weights", manifest.weight_storage),
        ("size", f"{size:.1f} MB"),
    ]
    if manifest.has_dimensions:
        facts.append(("regions", str(len(manifest.partition.regions))))
    if manifest.categories:
        facts.append(("categories", str(len(manifest.categories))))
    if fingerprint:
        facts.append(("fingerprint", fingerprint))
    content = [
        verdict(first.words, first.tone),
        bullets(first.failures, "bad"),
        bullets(first.not_run, "open"),
    ]
    if first.not_judged:
        content.append(element("h2", text("Not judged")))
        content.append(bullets(first.not_judged))
    summary = manifest.architecture.get("summary", manifest.family)
    return header(manifest.name, summary, facts, *content)


def _comparison(evidence: Evidence, manifest: Manifest) -> str:
    limits = manifest.limits
    table = measures_table(evidence.groups, limits, evidence.judged)
    groups = [f"{name}: {_GROUPS[name]}" for name in evidence.groups if name in _GROUPS]
    return section(
        "Comparison with the reference",
        paragraph(f"{len(evidence.utterances)} comparisons, in groups."),
        bullets(groups),
        table,
        legend(table),
        paragraph(
            f"Limits: {limit_words(limits, manifest.has_dimensions, bool(manifest.categories))}."
        ),
    )


def _device_sections(runs: Sequence[DeviceRun], limits: Limits) -> list[str]:
    """The recorded utterances on each device."""
    sections = []
    for number, run in enumerate(runs, 1):
        rows = [
            ("device", str(run.machine)),
            ("runtime", f"{run.runtime}, Python {run.machine.python}"),
            ("date", run.date),
        ]
        if run.engine != "none":
            rows.append(("engine", run.engine))
        rows += [("note", note) for note in run.notes]
        groups = [f"{g}: {_DEVICE_GROUPS[g]}" for g in run.groups if g in _DEVICE_GROUPS]
        table = measures_table(run.measures, limits, run.judged)
        sections.append(
            section(
                f"On {device_name(number, runs)}",
                paragraph("The recorded utterances, run there."),
                facts_table(rows),
                bullets(groups),
                table,
                legend(table),
            )
        )
    return sections


def _drawings(manifest: Manifest, evidence: Evidence, runs: Sequence[DeviceRun]) -> list[str]:
    """Scores, the sphere, and differences against length; devices over the export's marks."""
    # the largest group first, so that it does not hide the others
    sizes = Counter(u.group for u in evidence.utterances)
    exported = sorted(evidence.utterances, key=lambda u: -sizes[u.group])
    devices = _device_utterances(runs)
    utterances = [*exported, *devices]
    style = styles((u.group for u in evidence.utterances), (u.group for u in devices))
    drawn = [u for u in utterances if u.candidate_vad is not None]
    changed = flips(drawn, manifest.partition)
    without = paragraph(
        "No answers of the candidate are recorded. Bundles of earlier versions have none: export "
        "again to see them drawn."
    )
    none = paragraph(f"No region changed in {len(drawn)} comparisons.")
    scatters = element(
        "div",
        *(
            element("figure", element("figcaption", name.capitalize()), scatter(i, drawn, style))
            for i, name in enumerate(DIMENSIONS)
        ),
        class_="three",
    )
    key = key_list(style, any(u.extreme for u in evidence.utterances))
    points = [
        section("Scores", key + scatters if drawn else without),
        section(
            "Emotion sphere",
            paragraph(
                "Directions of the reference's answers, seen from neutral. Regions that changed "
                "are marked, with an arrow to the candidate's answer."
            ),
            key,
            element("figure", sphere(utterances, changed, manifest.partition, style)),
            without if not drawn else flip_table(changed) if changed else none,
        ),
    ]
    sections = points if manifest.has_dimensions else []
    if any(u.seconds for u in evidence.utterances):
        chart = length(evidence.utterances, manifest.limits, style)
        sections.append(section("Difference against length", key, element("figure", chart)))
    return sections


def _device_utterances(runs: Sequence[DeviceRun]) -> list[Utterance]:
    """Answers of devices, in the form of the comparisons that were recorded."""
    return [
        Utterance(device_name(number, runs), a.name, a.reference_vad, a.vad)
        for number, run in enumerate(runs, 1)
        for a in run.answers
    ]


def _damage(damage: Sequence[Damage]) -> str:
    total = sum(d.macs for d in damage)
    wide = [d for d in damage if d.kept == "float32"]
    share = sum(d.macs for d in wide) / total if total else 0.0
    return section(
        "Sensitivity",
        paragraph(
            "99th percentile of the answers' difference, on 0..1, when one part alone is computed "
            f"in lower precision. {len(wide)} of {len(damage)} parts are kept in float32, with "
            f"{share:.1%} of the multiplications."
        ),
        element(
            "ul",
            *(
                element("li", element("span", "", class_=f"swatch {class_}"), words)
                for class_, words in (("lowered", "lower precision"), ("kept", "kept in float32"))
            ),
            class_="key-list",
        ),
        element("figure", sensitivity(damage)),
    )
