"""Whether the deployed model is the trained one: the question, and what the page answers it by.

It is what Automotive SPICE 4.0 asks in MLE.4, machine learning model testing: the deployed model is
derived from the trained one, and tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_ser.bundle.evidence import Lowering
from edge_ser.bundle.files import BOM, GOLDEN, MANIFEST, PARITY
from edge_ser.bundle.manifest import Manifest
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import SMALL, brief
from edge_ser.report.data import Evidence
from edge_ser.report.device_run import DeviceRun
from edge_ser.report.document import paragraph, section
from edge_ser.report.svg import element, text

_COLUMNS = ("question", "evidence", "figure", "where in the bundle")
_UNTOLD = "not stated"


@dataclass(frozen=True)
class Evident:
    """A part of the question.

    Attributes:
        question: in words.
        evidence: what answers it.
        figure: what was measured or recorded.
        place: where it is in the bundle.
    """

    question: str
    evidence: str
    figure: str
    place: str


def deployed_section(
    manifest: Manifest,
    evidence: Evidence,
    runs: Sequence[DeviceRun] = (),
    fingerprint: str = "",
    reference: str = "",
) -> str:
    """The part of a page that answers it.

    Args:
        manifest: of the bundle.
        evidence: the comparisons of the page.
        runs: of the recorded utterances, on devices.
        fingerprint: of the bundle; empty: not known.
        reference: sha256 of the checkpoint that was compared with here and now; empty: the
            comparisons are those recorded at export.
    """
    rows = evident(manifest, evidence, runs, fingerprint, reference)
    heads = (element("th", text(c), scope="col") for c in _COLUMNS)
    table = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *(_row(row) for row in rows)),
        class_="cards deployed",
    )
    return section(
        "Is the deployed model the trained one?",
        paragraph(
            "What Automotive SPICE 4.0 asks of the deployed model in MLE.4 (BP4 derive it, BP5 "
            "test it, BP6 trace it), and where this bundle answers. The trained model is the "
            "checkpoint. Whether a project follows that process is for its assessors to say."
        ),
        element("div", table, class_="scroll", tabindex=0),
    )


def evident(
    manifest: Manifest,
    evidence: Evidence,
    runs: Sequence[DeviceRun] = (),
    fingerprint: str = "",
    reference: str = "",
) -> list[Evident]:
    """The rows; see `deployed_section`."""
    checkpoint = manifest.provenance.checkpoint
    compared = "this page, run with --reference" if reference else PARITY
    is_named = bool(reference) and checkpoint.sha256 not in (None, reference)
    trained = f"sha256 {reference or checkpoint.sha256 or _UNTOLD}"
    rows = [
        Evident(
            "Which model was trained?",
            "hash of the checkpoint",
            f"{trained}, another than it was exported from" if is_named else trained,
            f"{MANIFEST}: provenance.checkpoint",
        ),
        Evident(
            "How was the deployed one derived? (BP4)",
            "the command, and the recipe of its precision",
            f"{manifest.provenance.made_by}; {_recipe(manifest.lowered)}",
            f"{MANIFEST}: provenance, lowered",
        ),
        _same_answers(manifest, evidence, compared),
        _same_as_a_whole(evidence, compared),
        Evident(
            "On which test data?",
            "names and hashes of the speech",
            _speech(evidence),
            f"{compared}: speech",
        ),
        _against_labels(evidence, compared),
        _on_devices(manifest, runs),
        Evident(
            "Is what was tested what is delivered? (BP6)",
            "one number over the hashes of all files",
            f"fingerprint {fingerprint or _UNTOLD}",
            f"{MANIFEST}: files; {BOM}" if _has(manifest, BOM) else f"{MANIFEST}: files",
        ),
    ]
    return rows


def _has(manifest: Manifest, name: str) -> bool:
    return any(entry.path == name for entry in manifest.files)


def _recipe(lowered: Lowering | None) -> str:
    if lowered is None:
        return "precision not lowered"
    return f"recipe: {lowered.recipe or _UNTOLD}"


def _same_answers(manifest: Manifest, evidence: Evidence, place: str) -> Evident:
    largest, limit = evidence.largest, manifest.limits.vad
    figure = "no answer at all"
    if largest is not None:
        count = len(evidence.utterances)
        apart = f"{largest:.1e}" if limit < SMALL else f"{largest:.4f}"
        figure = f"{count} comparisons: at most {apart} apart, limit {brief(limit)}"
    if not evidence.passed:
        figure += "; FAILED"
    return Evident(
        "Does it give the trained model's answers? (BP5)",
        "every comparison, on 0 to 1",
        figure,
        f"{place}: utterances, groups",
    )


def _same_as_a_whole(evidence: Evidence, place: str) -> Evident:
    ccc_limits = [limits.ccc for limits in evidence.judged.values() if limits.ccc is not None]
    limit = f", limit {max(ccc_limits):g}" if ccc_limits else ", shown and not judged"
    worst_ccc = evidence.least_ccc
    return Evident(
        "Do they agree as a whole? (BP5)",
        "concordance (CCC) of both, of the worst dimension",
        _UNTOLD if worst_ccc is None else f"{worst_ccc:.6f}{limit}",
        f"{place}: groups",
    )


def _speech(evidence: Evidence) -> str:
    if not evidence.speech:
        return _UNTOLD
    names = [f"{len(speech.files)} files of {speech.source}" for speech in evidence.speech]
    return ", ".join(dict.fromkeys(names))


def _against_labels(evidence: Evidence, place: str) -> Evident:
    labels = evidence.labels
    return Evident(
        "Do both agree with labels? (BP5)",
        "CCC with the labels, trained and deployed",
        "no labels were given" if labels is None else _label_words(labels),
        f"{place}: labels",
    )


def _label_words(labels: LabelFidelity) -> str:
    words = [
        f"{name} {trained:.3f} and {labels.after[name]:.3f}"
        for name, trained in labels.before.items()
        if name in labels.after
    ]
    return f"{', '.join(words)} ({labels.count} utterances)"


def _on_devices(manifest: Manifest, runs: Sequence[DeviceRun]) -> Evident:
    figures = [
        f"{run.machine}: {'passed' if run.passed else 'FAILED'}, at most {run.farthest:.1e} apart"
        for run in runs
    ]
    return Evident(
        "Does it do so on the device? (BP5)",
        "recorded answers of the trained model, repeated there",
        "; ".join(figures) or "not run for this page",
        GOLDEN if _has(manifest, GOLDEN) else "none recorded",
    )


def _row(row: Evident) -> str:
    cells = zip(_COLUMNS[1:], (row.evidence, row.figure, row.place), strict=True)
    return element(
        "tr",
        element("th", text(row.question), scope="row"),
        *(element("td", text(words), class_="long", data_column=name) for name, words in cells),
    )
