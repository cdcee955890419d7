"""One page about how far a bundle's answers move, with pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from edge_ser.report.charts import Style, flips, key_list, sphere, styles
from edge_ser.report.data import Utterance, Vad
from edge_ser.report.document import Tone, bullets, document, header, paragraph, section, verdict
from edge_ser.report.origin import Writing, place_rows
from edge_ser.report.svg import SHAPES, element, text
from edge_ser.report.tables import facts_table, figures_table, flip_table
from edge_ser.stress.budgets import Budget, change_figure, change_of, is_beyond, of_condition
from edge_ser.stress.charts import panel, top_of
from edge_ser.stress.perturbations import CONDITIONS, KINDS
from edge_ser.stress.run import Outcome, Stress
from edge_ser.stress.scores import Change, moved_farthest
from edge_ser.stress.tables import change_cells

# Columns, and the figure that a budget limits in each.
_COLUMNS = {
    "VAD": "vad", "angle": "angle", "regions": "flips", "CCC": "ccc", "bias": "bias",
}  # fmt: skip
_FLIPS, _DISAGREEMENT = "regions changed", "1 − CCC"
# Clips on the sphere: more would be one cloud.
_MOST_DRAWN = 150
_WORST_NAMED = 3

Share = Callable[[Outcome], float | None]


def stress_page(
    stress: Stress,
    budgets: Sequence[Budget] = (),
    broken: Sequence[str] = (),
    written: Writing | None = None,
) -> str:
    """The page as HTML.

    Args:
        stress: what became of the answers.
        budgets: that were set.
        broken: which of them do not hold, in words.
        written: when and where; None: the page does not say.
    """
    sections = [
        _header(stress, budgets, broken),
        section(
            "From the clean answers",
            paragraph(
                "Each clip is answered clean, and again under each condition. Regions changed: "
                "share of the clips whose emotion lies in another region of the sphere. CCC: "
                "concordance of both answers, of the worst of arousal, dominance and valence; 1 "
                "is the same answer. VAD: mean absolute change of the three, on 0 to 1; bias: the "
                "mean change of the one that moves most to one side."
            ),
            *_changes(stress, "", budgets),
        ),
    ]
    if stress.against:
        sections.append(
            section(
                f"From {stress.against}",
                paragraph(
                    f"The answers of {stress.bundle} ({stress.target}) to the same samples, under "
                    f"the same condition, compared with those of {stress.against}."
                ),
                *_changes(stress, "against.", budgets),
            )
        )
    if stress.clips.labels is not None:
        sections.append(
            section(
                "From what people heard",
                paragraph(
                    f"Compared with the labels of {len(stress.clips.labels)} clips, which were "
                    "given to the clean speech. Regions: share of the answers in another region "
                    "than the label."
                ),
                *_changes(stress, "labels.", budgets),
            )
        )
    if stress.clean.groups:
        sections.append(_groups(stress, budgets))
    sections += _sphere(stress)
    if stress.not_tried:
        lines = [f"{name}: {reason}" for name, reason in stress.not_tried.items()]
        sections.append(section("Not tried", bullets(lines)))
    if stress.unusable:
        sections.append(section("Not answered", bullets(stress.unusable)))
    rows = [("bundle", f"{stress.bundle}, {stress.target}"), ("fingerprint", stress.fingerprint)]
    rows += place_rows(written) if written is not None else []
    sections.append(section("This page", facts_table(rows)))
    return document(f"{stress.bundle}, {stress.target}: stress", sections)


def _header(stress: Stress, budgets: Sequence[Budget], broken: Sequence[str]) -> str:
    facts: list[tuple[str, object]] = [
        ("target", stress.target),
        ("clips", len(stress.clips.files)),
        ("speech", f"{stress.seconds:.0f} s"),
        ("conditions", len(stress.outcomes)),
    ]
    if stress.clean.groups:
        facts.append(("groups", len(stress.clean.groups)))
    tone: Tone = "bad" if broken else "good" if budgets else "open"
    words = {
        "bad": f"Failed: {len(broken)} figures beyond their budgets",
        "good": f"Passed: {len(budgets)} budgets kept",
        "open": "Not judged: no budget was set",
    }
    worst = [f"{o.name} ({_flips_of(o):.0%})" for o in _by_flips(stress)[:_WORST_NAMED]]
    return header(
        stress.bundle,
        "How far the answers move when something happens to the speech.",
        facts,
        verdict(words[tone], tone),
        bullets(broken, "bad"),
        paragraph(f"Most regions change under {', '.join(worst)}.") if worst else "",
    )


# --- one kind of comparison


def _changes(stress: Stress, side: str, budgets: Sequence[Budget]) -> list[str]:
    """The key, a panel per kind and a table of one side: changes from clean, against, labels."""
    style = styles((_FLIPS, _DISAGREEMENT))
    series: dict[str, Share] = {
        _FLIPS: lambda o: _share(change_of(o.scores, side), "flips"),
        _DISAGREEMENT: lambda o: _disagreement(change_of(o.scores, side)),
    }
    key = side.removesuffix(".") or "clean"
    return [
        key_list(style),
        _panels(key, stress.outcomes, series, style),
        _table(stress, side, budgets),
    ]


def _panels(
    key: str, outcomes: Sequence[Outcome], series: Mapping[str, Share], style: Style
) -> str:
    """A panel for each kind that was tried, with one axis for all."""
    by_name = {o.name: o for o in outcomes}
    tried = [c for c in CONDITIONS if c.name in by_name]
    shares = {name: {c: of(by_name[c.name]) for c in tried} for name, of in series.items()}
    top = top_of([v for values in shares.values() for v in values.values() if v is not None])
    figures = []
    for kind in dict.fromkeys(c.kind for c in tried):
        some = [c for c in tried if c.kind == kind]
        drawn = panel(
            f"{key}-{kind}",
            kind,
            [c.level for c in some],
            {name: [values[c] for c in some] for name, values in shares.items()},
            style,
            top,
        )
        figures.append(element("figure", element("figcaption", text(KINDS[kind].title)), drawn))
    return element("div", *figures, class_="three")


def _table(stress: Stress, side: str, budgets: Sequence[Budget]) -> str:
    """A row per condition; of the clean clips too, where they are compared with something."""
    rows = []
    for outcome in (stress.clean, *stress.outcomes):
        change = change_of(outcome.scores, side)
        if change is None:
            continue
        own = [b for b in of_condition(budgets, outcome.name) if not b.of_groups]
        cells = [
            (words, _is_broken(change, side + figure, own))
            for words, figure in zip(change_cells(change), _COLUMNS.values(), strict=True)
        ]
        limits = [b.bound for b in own if b.figure in {side + f for f in _COLUMNS.values()}]
        rows.append((outcome.name, cells, ", ".join(limits)))
    return figures_table(tuple(_COLUMNS), rows)


def _is_broken(change: Change, figure: str, budgets: Sequence[Budget]) -> bool:
    value = change_figure(change, figure)
    return any(b.figure == figure and (value is None or is_beyond(value, b)) for b in budgets)


# --- groups


def _groups(stress: Stress, budgets: Sequence[Budget]) -> str:
    """A mark for each group, as far as there are shapes; figures of all of them."""
    names = list(stress.clean.groups)
    drawn = names[: len(SHAPES) - 1]
    style = styles(drawn)
    series: dict[str, Share] = {n: _flips_of_group(n) for n in drawn}
    sizes = ", ".join(f"{name} {stress.clips.groups.count(name)}" for name in names)
    left = f" Drawn are the first {len(drawn)}." if len(drawn) < len(names) else ""
    return section(
        "Group by group",
        paragraph(f"Clips of each: {sizes}.{left} How far their answers move from the clean ones."),
        key_list(style),
        _panels("groups", stress.outcomes, series, style),
        *(
            element("h3", text(title)) + _group_table(stress, figure, budgets)
            for title, figure in _group_figures(stress)
        ),
    )


def _group_figures(stress: Stress) -> list[tuple[str, str]]:
    """What tables of groups show: title, and figure as budgets call it."""
    shown = [("Regions changed", "flips"), ("CCC", "ccc"), ("Bias", "bias")]
    if stress.against:
        shown.append((f"Regions that differ from {stress.against}", "against.flips"))
    if stress.clips.labels is not None:
        shown += [("CCC with the labels", "labels.ccc"), ("Bias from the labels", "labels.bias")]
    return shown


def _flips_of_group(name: str) -> Share:
    return lambda outcome: _share(outcome.groups[name].change, "flips")


def _group_table(stress: Stress, figure: str, budgets: Sequence[Budget]) -> str:
    """One figure: a row per condition, a column per group."""
    rows = []
    side, name = figure[: figure.rfind(".") + 1], figure.rpartition(".")[2]
    column = list(_COLUMNS.values()).index(name)
    outcomes = [stress.clean, *stress.outcomes] if side else stress.outcomes
    for outcome in outcomes:
        own = [b for b in of_condition(budgets, outcome.name) if b.of_groups and b.figure == figure]
        changes = [change_of(scores, side) for scores in outcome.groups.values()]
        cells = [
            ("–", bool(own)) if c is None else (change_cells(c)[column], _is_broken(c, figure, own))
            for c in changes
        ]
        rows.append((outcome.name, cells, ", ".join(b.bound for b in own)))
    return figures_table(tuple(stress.clean.groups), rows)


# --- the sphere


def _sphere(stress: Stress) -> list[str]:
    """Where points go under the condition that changes most regions."""
    worst = next(iter(_by_flips(stress)), None)
    if worst is None:
        return []
    order = moved_farthest(stress.clean.vad, worst.vad)[:_MOST_DRAWN].tolist()
    clips = stress.clips
    utterances = [
        Utterance(
            group=clips.groups[i] or "clips",
            name=clips.names[i],
            reference_vad=_point(stress.clean, i),
            candidate_vad=_point(worst, i),
        )
        for i in order
    ]
    changed = flips(utterances, stress.partition)
    style = styles(u.group for u in utterances)
    some = f" Of {len(clips.files)} clips the {len(order)} that moved most." if (
        len(order) < len(clips.files)
    ) else ""  # fmt: skip
    return [
        section(
            f"Where answers go: {worst.name}",
            paragraph(
                "Directions of the clean answers, seen from neutral. Regions that changed under "
                f"this condition, the worst of all, have an arrow to the new answer.{some}"
            ),
            key_list(style),
            element("figure", sphere(utterances, changed, stress.partition, style)),
            flip_table(changed) if changed else paragraph("No region changed."),
        )
    ]


def _point(outcome: Outcome, index: int) -> Vad:
    arousal, dominance, valence = outcome.vad[index].tolist()
    return arousal, dominance, valence


def _by_flips(stress: Stress) -> list[Outcome]:
    """Conditions, the one that changes most regions first."""
    compared = [o for o in stress.outcomes if o.scores.change is not None]
    return sorted(compared, key=lambda o: -_flips_of(o))


def _flips_of(outcome: Outcome) -> float:
    return _share(outcome.scores.change, "flips") or 0.0


def _share(change: Change | None, figure: str) -> float | None:
    return None if change is None else change_figure(change, figure)


def _disagreement(change: Change | None) -> float | None:
    ccc = _share(change, "ccc")
    return None if ccc is None else min(1.0, 1 - ccc)
