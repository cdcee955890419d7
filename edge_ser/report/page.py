"""One page about a bundle: how it was proved, in tables and drawings.

A single HTML file without scripts and without anything to load: it can be mailed, archived, and
read on a machine without a network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import Manifest
from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.fidelity.limits import Limits, limit_words
from edge_ser.fidelity.verdict import Verdict
from edge_ser.report.charts import (
    Style,
    flips,
    key_mark,
    length,
    scatter,
    sensitivity,
    sphere,
    styles,
)
from edge_ser.report.data import Damage, Evidence, load_damage, measures
from edge_ser.report.document import bullets, document, header, paragraph, section, verdict
from edge_ser.report.files import write_whole
from edge_ser.report.origin import Writing, bundle_rows, writing_rows
from edge_ser.report.svg import element, text
from edge_ser.report.tables import facts_table, flip_table, label_table, measures_table

_GROUPS = {
    "single": "one utterance per run, of all lengths",
    "padded": "the same in padded batches",
    "files": "audio files from end to end",
    "speech": "more speech, one utterance per run",
}


def write_report(
    path: Path,
    bundle: Bundle,
    evidence: Evidence,
    here: Verdict | None = None,
    written: Writing | None = None,
) -> None:
    """Write the page; what is at `path` is replaced when the new page is complete.

    Args:
        path: HTML file to write.
        bundle: what the page is about.
        evidence: comparisons with the reference, of the bundle's `parity.json` or just made.
        here: on the recorded answers on this machine, if that was tried.
        written: when, where and with what; None: the page does not say.

    Raises:
        BundleError: what the bundle holds for the page is damaged.
        UsageError: the file cannot be written.
    """
    content = page(bundle.manifest, evidence, load_damage(bundle), here, written)
    write_whole(path, content)


def page(
    manifest: Manifest,
    evidence: Evidence,
    damage: Sequence[Damage] = (),
    here: Verdict | None = None,
    written: Writing | None = None,
) -> str:
    """The page as HTML.

    Args:
        manifest: of the bundle.
        evidence: comparisons with the reference.
        damage: cost of lower precision per part of the model, if it was measured.
        here: on the recorded answers on this machine, if that was tried.
        written: when, where and with what; None: the page does not say.
    """
    limits = manifest.limits
    style = styles(u.group for u in evidence.utterances)
    # the largest group first, so that it does not hide the others
    sizes = Counter(u.group for u in evidence.utterances)
    utterances = sorted(evidence.utterances, key=lambda u: -sizes[u.group])
    drawn = [u for u in utterances if u.candidate_vad is not None]
    changed = flips(drawn, manifest.partition)
    sections = [
        _header(manifest, evidence, here),
        section("This page", facts_table(writing_rows(written))) if written is not None else "",
        section("This bundle", facts_table(bundle_rows(manifest))),
        _comparison(evidence, limits),
    ]
    if here is not None:
        results = {group: measures(r.to_dict()) for group, r in here.groups.items()}
        sections.append(
            section(
                "On this machine",
                paragraph("The recorded utterances, run here, against the recorded answers."),
                measures_table(results, limits),
            )
        )
    if evidence.labels is not None:
        count = f"{evidence.labels.get('count', 0):.0f}"
        sections.append(
            section(
                "Agreement with labels",
                paragraph(f"{count} labelled utterances of the group speech."),
                label_table(evidence.labels),
            )
        )
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
    key = _key(style, any(u.extreme for u in evidence.utterances))
    sections.append(section("Scores", key + scatters if drawn else without))
    sections.append(
        section(
            "Emotion sphere",
            paragraph(
                "Directions of the reference's answers, seen from neutral. Regions that changed "
                "are marked, with an arrow to the candidate's answer."
            ),
            key,
            element("figure", sphere(utterances, changed, manifest.partition, style)),
            without if not drawn else flip_table(changed) if changed else none,
        )
    )
    if any(u.seconds for u in evidence.utterances):
        sections.append(
            section(
                "Difference against length",
                key,
                element("figure", length(utterances, limits, style)),
            )
        )
    if damage:
        sections.append(_damage(damage))
    lost = [f"{u.name} ({u.group}): {u.failure}" for u in evidence.utterances if u.failure]
    if lost:
        sections.append(section("Not answered", bullets(lost)))
    sections.append(element("footer", paragraph(f"Licence of the weights: {manifest.licence}.")))
    return document(f"{manifest.name}, {manifest.target}", sections)


def _header(manifest: Manifest, evidence: Evidence, here: Verdict | None) -> str:
    failures = list(evidence.failures)
    if here is not None:
        failures += [f"this machine, {failure}" for failure in here.failures]
    passed = evidence.passed and not failures
    words = "Passed: the differences are within the limits" if passed else "Failed: do not ship it"
    size = sum(f.bytes for f in manifest.files) / 1e6
    facts = (
        ("target", manifest.target),
        ("precision", manifest.precision),
        ("stored weights", manifest.weight_storage),
        ("size", f"{size:.1f} MB"),
        ("regions", len(manifest.partition.regions)),
    )
    return header(
        manifest.name,
        manifest.architecture.get("summary", manifest.family),
        facts,
        verdict(words, "good" if passed else "bad"),
        bullets(failures, "bad"),
        bullets([f"Note: {note}" for note in evidence.not_judged]),
    )


def _comparison(evidence: Evidence, limits: Limits) -> str:
    told = [f"{name}: {_GROUPS[name]}" for name in evidence.groups if name in _GROUPS]
    return section(
        "Comparison with the reference",
        paragraph(f"{len(evidence.utterances)} comparisons. {'; '.join(told)}."),
        measures_table(evidence.groups, limits),
        paragraph(f"Limits: {limit_words(limits)}."),
        paragraph("In parentheses: not judged, because the group is too small.")
        if evidence.not_judged
        else "",
    )


def _damage(damage: Sequence[Damage]) -> str:
    total = sum(d.macs for d in damage)
    kept = [d for d in damage if d.kept == "float32"]
    share = sum(d.macs for d in kept) / total if total else 0.0
    return section(
        "Sensitivity",
        paragraph(
            "99th percentile of the difference of VAD when one part alone is computed in lower "
            f"precision. {len(kept)} of {len(damage)} parts are kept in float32, with {share:.1%} "
            "of the multiplications."
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


def _key(style: Style, extreme: bool) -> str:
    entries = [key_mark(*mark) + text(group) for group, mark in style.items()]
    if extreme:
        entries.append(key_mark("circle", "extreme plain") + "hollow: hardly speech")
    return element("ul", *(element("li", e) for e in entries), class_="key-list")
