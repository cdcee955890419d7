"""An evaluation as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ser.bench.tables import Rows, text
from edge_ser.scoring.categories import CategoryScores
from edge_ser.scoring.evaluate import Evaluation, ReferenceScores

_CORNER = "label \\ answer"


def page(evaluation: Evaluation) -> str:
    """All of it: the scores, the regions, and the comparison with a reference."""
    clips = evaluation.clips
    parts = [
        f"{evaluation.bundle} ({evaluation.target}): {len(clips.files)} clips of "
        f"{clips.table}, split {clips.split}"
    ]
    if evaluation.dimensions:
        parts.append(text(_dimension_rows(evaluation)))
    kinds = (("of the point", evaluation.geometric), ("of the head", evaluation.head))
    for name, scores in kinds:
        if scores is not None:
            table = text(_confusion_rows(evaluation.regions, scores.confusion))
            parts.append(f"region {name}: {scores.accuracy:.1%} right\n{table}")
    if evaluation.categories is not None:
        parts += _category_parts(evaluation.categories)
    if evaluation.reference is not None:
        parts.append(_reference_text(evaluation.reference))
    return "\n\n".join(parts)


def _dimension_rows(evaluation: Evaluation) -> Rows:
    rows: Rows = [("", "CCC", "95 % interval", "Pearson", "MAE", "RMSE")]
    for name, s in evaluation.dimensions.items():
        interval = f"{s.ccc_low:.3f} .. {s.ccc_high:.3f}"
        figures = (f"{s.ccc:.3f}", interval, f"{s.pearson:.3f}", f"{s.mae:.2f}", f"{s.rmse:.2f}")
        rows.append((name, *figures))
    return rows


def _category_parts(scores: CategoryScores) -> list[str]:
    """The means, each category, and which is taken for which."""
    rows: Rows = [("category", "clips", "recall", "precision", "F1")]
    for name, category in scores.each.items():
        figures = (category.recall, category.precision, category.f1)
        rows.append(
            (name, str(category.clips), *("-" if f is None else f"{f:.3f}" for f in figures))
        )
    parts = [
        f"categories: UAR {scores.uar:.3f} (95 % interval {scores.uar_low:.3f} .. "
        f"{scores.uar_high:.3f}), macro-F1 {scores.macro_f1:.3f}, accuracy {scores.accuracy:.1%} "
        f"of {scores.clips} clips\n{text(rows)}",
        text(_confusion_rows(scores.names, scores.confusion)),
    ]
    if scores.others:
        others = ", ".join(f"{name} ({count})" for name, count in scores.others.items())
        parts.append(f"without a part in it, as the model has no such category: {others}")
    return parts


def _confusion_rows(regions: Sequence[str], counts: Sequence[Sequence[int]]) -> Rows:
    """Only classes that have a label or an answer, as finer grids have dozens."""
    shown = [i for i in range(len(regions)) if any(counts[i]) or any(row[i] for row in counts)]
    rows: Rows = [(_CORNER, *(regions[i] for i in shown))]
    return rows + [(regions[i], *(str(counts[i][j] or ".") for j in shown)) for i in shown]


def _reference_text(reference: ReferenceScores) -> str:
    fidelity, labels = reference.fidelity, reference.labels
    rows: Rows = [("", "CCC with it", "its CCC with labels", "here", "change")]
    for name in labels.before:
        agreement = (fidelity.ccc or {}).get(name, 1.0)
        before, after, change = labels.before[name], labels.after[name], labels.change[name]
        rows.append((name, f"{agreement:.4f}", f"{before:.3f}", f"{after:.3f}", f"{change:+.4f}"))
    return (
        f"against the answers in {reference.source} ({fidelity.count} clips): largest difference "
        f"VAD {fidelity.vad_max:.1e}, {fidelity.flips_far + fidelity.flips_near} regions changed\n"
        + text(rows)
    )
