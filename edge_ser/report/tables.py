"""The tables of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_ser.emotion.scale import DIMENSIONS
from edge_ser.fidelity.limits import MIN_JUDGED, SMALL, Limits, brief, percent
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
        whole: whether the limit is about a group as a whole, which may be too small to be judged.
        unit: behind the value and the limit.
    """

    title: str
    key: str
    form: str = ""
    limit: str = ""
    least: bool = False
    whole: bool = False
    unit: str = ""


_MEASURES = (
    _Measure("Comparisons", "count", "{:.0f}"),
    _Measure("of them speech, judged as a whole", "judged", "{:.0f}"),
    _Measure("VAD, largest difference", "vad_max", limit="vad"),
    _Measure("VAD, 99 % within", "vad_p99", limit="vad_p99", whole=True),
    _Measure("VAD, mean difference", "vad_mean"),
    *(
        _Measure(f"{name} of {d}", f"{key}.{d}", "{:.6f}", key, least=True, whole=True)
        for name, key in (("CCC", "ccc"), ("Pearson", "pearson"))
        for d in DIMENSIONS
    ),
    _Measure("Region logits, largest difference", "logits_max", limit="region_logits"),
    _Measure("Angle, mean", "angle_mean_degrees", limit="angle_mean_degrees", whole=True, unit="°"),
    _Measure("Angle, 99 % within", "angle_p99_degrees", unit="°"),
    _Measure("Angle, largest", "angle_max_degrees", unit="°"),
    _Measure("Radius, mean difference", "radius_mean"),
    _Measure("Radius, largest difference", "radius_max"),
    _Measure("Head names the same region", "head_agreement", "{:.1%}"),
)


def measures_table(groups: Mapping[str, Measures], limits: Limits) -> str:
    """A row per measure, a column per group, and the limits; broken ones are marked.

    Args:
        groups: measures of each group, by name.
        limits: of the bundle.
    """
    differences = "{:.1e}" if limits.vad < SMALL else "{:.4f}"
    rows = []
    for m in _MEASURES:
        if not any(m.key in values for values in groups.values()):
            continue
        limit = getattr(limits, m.limit) if m.limit else None
        form = m.form or differences
        cells = [_cell(m, form, values, limit, name) for name, values in groups.items()]
        word = "" if limit is None else f"{'at least ' if m.least else ''}{brief(limit)}{m.unit}"
        rows.append(_measures_row(m.title, cells, word))
    for title, kind in (("outside", "far"), ("inside", "near")):
        cells, word = [], ""
        for group, values in groups.items():
            changed, total = values.get(f"flips_{kind}", 0), values.get(f"regions_{kind}", 0)
            broken = kind == "far" and _flips_broken(values, limits)
            cells.append(_value(f"{changed:.0f} of {total:.0f}", broken, group))
        if kind == "far":
            word = percent(limits.flip_rate) if limits.flip_rate else "none"
        name = f"Regions changed, {title} the margin of {limits.margin:.2g}"
        rows.append(_measures_row(name, cells, word))
    return _measures_table((*groups, "limit"), rows)


def _cell(measure: _Measure, form: str, values: Measures, limit: float | None, group: str) -> str:
    value = values.get(measure.key)
    if value is None:
        return _measured("–", group)
    words = form.format(value) + measure.unit
    if limit is None:
        return _value(words, False, group)
    if measure.whole and values.get("judged", 0) < MIN_JUDGED:
        return _measured(f"({words})", group, "unjudged")
    return _value(words, value < limit if measure.least else value > limit, group)


def _flips_broken(values: Measures, limits: Limits) -> bool:
    if limits.flip_rate == 0:
        return values.get("flips_far", 0) > 0
    judged = values.get("judged", 0) >= MIN_JUDGED
    return judged and values.get("flip_rate", 0) > (limits.flip_rate or 0)


def _value(words: str, broken: bool, group: str) -> str:
    return _measured(f"✗ {words}", group, "bad") if broken else _measured(words, group)


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


def facts_table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and what there is to say of each, in sentences that may be long."""
    body = element("tbody", *(_row(name, [element("td", text(words))]) for name, words in rows))
    return element("table", body, class_="facts")


def label_table(labels: Measures) -> str:
    """Agreement with labels before and after, per dimension."""
    columns = (("before", ".4f"), ("after", ".4f"), ("change", "+.4f"))
    rows = [
        _row(
            d.capitalize(),
            [element("td", f"{labels.get(f'{side}.{d}', 0):{form}}") for side, form in columns],
        )
        for d in DIMENSIONS
    ]
    return _table(("CCC with the labels", *(side for side, _ in columns)), rows)


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
    rest = element("p", f"And {more} nearer to a boundary.") if more else ""
    return _table(head, rows, "words") + rest


def _row(title: str, cells: Iterable[str]) -> str:
    return element("tr", element("th", text(title), scope="row"), *cells)


def _table(head: Iterable[str], rows: Iterable[str], class_: str | None = None) -> str:
    """A table that scrolls by itself where the page is too narrow for it."""
    names = element("tr", *(element("th", text(h), scope="col") for h in head))
    table = element("table", element("thead", names), element("tbody", *rows), class_=class_)
    return element("div", table, class_="scroll", tabindex=0)
