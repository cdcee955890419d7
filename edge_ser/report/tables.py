"""The tables of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.fidelity.labels import LabelFidelity
from edge_ser.fidelity.limits import FAR_FROM_BOUNDARY, SMALL, Limits, brief, percent
from edge_ser.report.charts import Flip
from edge_ser.report.data import Measures
from edge_ser.report.svg import element, text

# Changed regions are listed up to here; the drawing has all of them.
_MOST_LISTED = 20


@dataclass(frozen=True)
class _Measure:
    """A row of the table.

    Attributes:
        title: for people.
        key: of the value.
        form: of the value; empty: that of differences, which depends on how large they may be.
        limit: its name, if there is one.
        least: whether smaller values, not larger ones, break the limit.
        unit: behind the value and the limit.
    """

    title: str
    key: str
    form: str = ""
    limit: str = ""
    least: bool = False
    unit: str = ""


_MEASURES = (
    _Measure("Comparisons", "count", "{:.0f}"),
    _Measure("of them speech, judged as a whole", "judged", "{:.0f}"),
    _Measure("VAD, largest difference", "vad_max", limit="vad"),
    _Measure("VAD, 99 % within", "vad_p99", limit="vad_p99"),
    _Measure("VAD, mean difference", "vad_mean"),
    *(
        _Measure(f"{name} of {d}", f"{key}.{d}", "{:.6f}", key, least=True)
        for name, key in (("CCC", "ccc"), ("Pearson", "pearson"))
        for d in DIMENSIONS
    ),
    _Measure("Region logits, largest difference", "logits_max", limit="region_logits"),
    _Measure("Angle, mean", "angle_mean_degrees", limit="angle_mean_degrees", unit="°"),
    _Measure("Angle, 99 % within", "angle_p99_degrees", unit="°"),
    _Measure("Angle, largest", "angle_max_degrees", unit="°"),
    _Measure("Radius, mean difference", "radius_mean"),
    _Measure("Radius, largest difference", "radius_max"),
    _Measure("Head names the same region", "head_agreement", "{:.1%}"),
    _Measure("Probabilities, largest difference", "probability_max", limit="vad"),
    _Measure("Probabilities, 99 % within", "probability_p99", limit="vad_p99"),
    _Measure("Probabilities, mean difference", "probability_mean"),
    _Measure("Divergence of probabilities, mean, in nats", "divergence_mean", limit="divergence"),
    _Measure("Same most probable category", "category_agreement", "{:.1%}"),
)


@dataclass(frozen=True)
class _Flips:
    """Classes that change, outside a margin and within it.

    Attributes:
        what: changes.
        of: a measure that only models with such classes have.
        far: measures of those outside: that changed, and all.
        near: the same of those within.
        rate: measure of the share that changed outside.
        away: what outside is, with the margin.
        close: what within is.
    """

    what: str
    of: str
    far: tuple[str, str]
    near: tuple[str, str]
    rate: str
    away: str
    close: str


_FLIPS = (
    _Flips(
        "Regions", "vad_max", ("flips_far", "regions_far"), ("flips_near", "regions_near"),
        "flip_rate", FAR_FROM_BOUNDARY, "within {:.2g} of one",
    ),
    _Flips(
        "Categories", "probability_max", ("category_flips_far", "categories_far"),
        ("category_flips_near", "categories_near"), "category_flip_rate",
        "the first ahead by more than {:.2g}", "ahead by less",
    ),
)  # fmt: skip
CellState = Literal["plain", "kept", "broken", "unjudged"]
# What the marks in the table stand for.
LEGEND = (
    ("✗", "breaks a limit that judges this group"),
    ("( )", "shown, not judged: the limit is not for this group, or the group is too small for it"),
    ("≤ ≥", "the limit of this group, which is another than that in the last column"),
    ("–", "not measured"),
    ("VAD", "valence, arousal and dominance, as the model gives them on 0 to 1"),
    ("CCC", "concordance with the reference: 1 is the same answer, 0 no relation"),
    ("angle, radius", "of the answer as a point, seen from neutral: which emotion, how strong"),
    ("divergence", "Kullback-Leibler, of the probabilities from the reference's: 0 is the same"),
    ("borderline", "an answer so near to another class that rounding may move it across"),
)
# How a mark or a word is found in the table.
_MARKED = {
    "✗": (">✗ ",), "( )": (">(",), "≤ ≥": ("≤", "≥"), "–": (">–<",), "VAD": (">VAD",),
    "CCC": (">CCC",), "angle, radius": (">Angle", ">Radius"), "divergence": (">Divergence",),
    "borderline": ("borderline",),
}  # fmt: skip


def measures_table(
    groups: Mapping[str, Measures], limits: Limits, judged: Mapping[str, Limits]
) -> str:
    """A row per measure, a column per group, and the limits; broken ones are marked.

    Args:
        groups: measures of each group, by name.
        limits: of the bundle.
        judged: what decided: limits by name of the group; a limit that is None there was not
            judged, and a group that is not there is only shown.
    """
    differences = "{:.1e}" if limits.vad < SMALL else "{:.4f}"
    rows = []
    for m in _MEASURES:
        if not any(m.key in values for values in groups.values()):
            continue
        limit = getattr(limits, m.limit) if m.limit else None
        form = m.form or differences
        cells = [
            _cell(
                f"{form.format(values[m.key])}{m.unit}{_own_limit(m, limit, own)}",
                _state(m, values, limits, own),
                name,
            )
            if m.key in values
            else _measured("–", name)
            for name, values in groups.items()
            for own in (judged.get(name),)
        ]
        word = "" if limit is None else f"{'at least ' if m.least else ''}{brief(limit)}{m.unit}"
        rows.append(_measures_row(m.title, cells, word))
    flips = percent(limits.flip_rate) if limits.flip_rate else "none"
    for kind in _FLIPS:
        if not any(kind.of in values for values in groups.values()):
            continue
        cells = [
            _cell(_changed(values, kind.far), _flip_state(values, judged.get(name), kind), name)
            for name, values in groups.items()
        ]
        title = f"{kind.what} changed, {kind.away.format(limits.margin)}"
        rows.append(_measures_row(title, cells, flips))
        cells = [_cell(_changed(values, kind.near), "plain", n) for n, values in groups.items()]
        title = f"{kind.what} changed, borderline: {kind.close.format(limits.margin)}"
        rows.append(_measures_row(title, cells, ""))
    return _measures_table((*groups, "limit"), rows)


def _changed(values: Measures, keys: tuple[str, str]) -> str:
    changed, total = (values.get(key, 0) for key in keys)
    return f"{changed:.0f} of {total:.0f}"


def broken_cells(groups: Mapping[str, Measures], judged: Mapping[str, Limits]) -> list[str]:
    """What `measures_table` marks as broken, in words."""
    broken = []
    for name, limits in judged.items():
        values = groups.get(name, {})
        broken += [
            f"{name}: {m.title}"
            for m in _MEASURES
            if m.key in values and _state(m, values, limits, limits) == "broken"
        ]
        broken += [
            f"{name}: {flips.what.lower()} changed"
            for flips in _FLIPS
            if _flip_state(values, limits, flips) == "broken"
        ]
    return broken


def legend(table: str) -> str:
    """What the marks and words in a `measures_table` stand for."""
    entries = (
        element("div", element("dt", text(mark)), element("dd", text(words)))
        for mark, words in LEGEND
        if any(sign in table for sign in _MARKED[mark])
    )
    return element("dl", *entries, class_="legend")


def _own_limit(measure: _Measure, limit: float | None, own: Limits | None) -> str:
    """A group's own limit, where it is another than that of the table."""
    other = getattr(own, measure.limit) if own is not None and measure.limit else None
    if other is None or other == limit:
        return ""
    return f" {'≥' if measure.least else '≤'} {brief(other)}{measure.unit}"


def _state(measure: _Measure, values: Measures, limits: Limits, own: Limits | None) -> CellState:
    """How a value stands to the limit of its group."""
    limit = getattr(own, measure.limit) if own is not None and measure.limit else None
    if limit is None:
        is_judged = bool(measure.limit) and getattr(limits, measure.limit) is not None
        return "unjudged" if is_judged else "plain"
    value = values[measure.key]
    broken = value < limit if measure.least else value > limit
    return "broken" if broken else "kept"


def _flip_state(values: Measures, own: Limits | None, flips: _Flips) -> CellState:
    if own is None or own.flip_rate is None:
        return "unjudged"
    if own.flip_rate == 0:
        return "broken" if values.get(flips.far[0], 0) > 0 else "kept"
    return "broken" if values.get(flips.rate, 0) > own.flip_rate else "kept"


def _cell(words: str, state: CellState, group: str) -> str:
    if state == "broken":
        return _measured(f"✗ {words}", group, "bad")
    if state == "unjudged":
        return _measured(f"({words})", group, "unjudged")
    return _measured(words, group)


# Where the page is narrow, a row of measures becomes a block of its own, so that nothing lies
# beyond the edge. Each cell tells the style sheet its column, and screen readers what it still is.


def _measured(words: str, column: str, class_: str | None = None) -> str:
    return element("td", text(words), class_=class_, role="cell", data_column=column)


def _measures_row(title: str, cells: Iterable[str], limit: str) -> str:
    head = element("th", text(title), scope="row", role="rowheader")
    return element("tr", head, *cells, _measured(limit, "limit", "limit"), role="row")


def _measures_table(columns: Iterable[str], rows: Iterable[str]) -> str:
    heads = (element("th", text(c), scope="col", role="columnheader") for c in ("", *columns))
    head = element("thead", element("tr", *heads, role="row"), role="rowgroup")
    body = element("tbody", *rows, role="rowgroup")
    table = element("table", head, body, class_="measures", role="table")
    return element("div", table, class_="scroll", tabindex=0)


def figures_table(
    columns: Sequence[str], rows: Iterable[tuple[str, Sequence[tuple[str, bool]], str]]
) -> str:
    """Figures in rows that become blocks where the page is narrow.

    Args:
        columns: what the figures are.
        rows: of what; the figures in words, each with whether it breaks a limit; and that limit.
    """
    body = [
        _measures_row(
            title,
            [
                _cell(words, "broken" if is_broken else "plain", column)
                for column, (words, is_broken) in zip(columns, cells, strict=True)
            ],
            limit,
        )
        for title, cells, limit in rows
    ]
    return _measures_table((*columns, "limit"), body)


def facts_table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what there is to say of each, in sentences that may be long."""
    body = element("tbody", *(_row(name, [element("td", text(words))]) for name, words in rows))
    return element("table", body, class_="facts")


def label_table(labels: LabelFidelity) -> str:
    """Agreement with labels before and after, per dimension."""
    columns = (
        ("before", labels.before, ".4f"),
        ("after", labels.after, ".4f"),
        ("change", labels.change, "+.4f"),
    )
    rows = [
        _row(
            d.capitalize(),
            [element("td", f"{cccs[d]:{form}}" if d in cccs else "–") for _, cccs, form in columns],
        )
        for d in DIMENSIONS
    ]
    return _table(("CCC with the labels", *(side for side, _, _ in columns)), rows)


def flip_table(changed: Sequence[Flip]) -> str:
    """Regions that changed, as far as there is room, and how many more there are."""
    head = ("changed region", "group", "before", "after", "distance to boundary")
    rows = [
        _row(
            f.utterance.name,
            [
                element("td", text(words))
                for words in (f.utterance.group, f.before, f.after, f"{f.margin:.3f}")
            ],
        )
        for f in changed[:_MOST_LISTED]
    ]
    more = len(changed) - len(rows)
    more_words = element("p", f"And {more} nearer to a boundary.") if more else ""
    return _table(head, rows, "words") + more_words


def plain_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Words in rows, the first of each its heading."""
    body = [_row(first, [element("td", text(w)) for w in rest]) for first, *rest in rows]
    return _table(head, body)


def _row(title: str, cells: Iterable[str]) -> str:
    return element("tr", element("th", text(title), scope="row"), *cells)


def _table(head: Iterable[str], rows: Iterable[str], class_: str | None = None) -> str:
    """A table that scrolls by itself where the page is too narrow for it."""
    names = element("tr", *(element("th", text(h), scope="col") for h in head))
    table = element("table", element("thead", names), element("tbody", *rows), class_=class_)
    return element("div", table, class_="scroll", tabindex=0)
