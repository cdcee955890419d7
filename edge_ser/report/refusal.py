"""What an export leaves that was refused: every attempt, the ranking, and what to try.

Two files beside each other, a page for people and the same as JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_ser.bundle.evidence import Attempt, Calibration
from edge_ser.fidelity.limits import Limits, limit_words
from edge_ser.report.charts import sensitivity
from edge_ser.report.data import Damage
from edge_ser.report.document import bullets, document, header, paragraph, section, verdict
from edge_ser.report.files import write_whole
from edge_ser.report.origin import Writing, place_rows
from edge_ser.report.signing import calibration_words
from edge_ser.report.svg import element, text
from edge_ser.report.tables import facts_table

# Names of parts in a cell; the JSON has all of them.
_MOST_NAMED = 3
# Broken limits in a cell, likewise.
_MOST_BROKEN = 3


@dataclass(frozen=True)
class Refusal:
    """An export that was refused.

    Attributes:
        name: of the model.
        target: asked for, such as `onnx-int8`.
        expected: by the gate, in words.
        found: instead, in words.
        limits: that judged the attempts; None in it: not judged, as on too few utterances.
        advice: what to try, one sentence each, the most promising first.
        attempts: recipes tried, in their order; empty where there was but one way.
        ranking: cost of lower precision per part of the model; empty where it was not measured.
        calibration: speech that the attempts were made and judged on; None: there was none.
        command: that was refused; empty: not told.
        outcome: what became of the bundle, in words.
        least_share: of the encoder that must be in integers, 0..1; None: no such limit.
    """

    name: str
    target: str
    expected: str
    found: str
    limits: Limits
    advice: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    ranking: tuple[Damage, ...] = ()
    calibration: Calibration | None = None
    command: str = ""
    outcome: str = "no bundle was written"
    least_share: float | None = None

    @property
    def nearest(self) -> Attempt | None:
        """The attempt with the fewest broken limits, of those the one that differs least."""
        return min(
            self.attempts,
            key=lambda a: (len(a.failures or ()), a.vad_p99 if a.vad_p99 is not None else 1.0),
            default=None,
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without what was not measured."""
        data = asdict(self, dict_factory=lambda items: {k: v for k, v in items if v is not None})
        return {"refused": True, **data, "limits": self.limits.to_dict()}


def write_refusal(
    page: Path, refusal: Refusal, written: Writing | None = None
) -> tuple[Path, Path]:
    """Write the page, and the same as JSON beside it.

    Args:
        page: of the page, such as `NAME.refused.html`; the other ends in `.json` instead.
        refusal: what to tell.
        written: when and where; None: the page does not say.

    Returns:
        paths of the page and of the JSON.

    Raises:
        UsageError: one of them cannot be written.
    """
    data = page.with_suffix(".json")
    write_whole(data, json.dumps(refusal.to_dict(), indent=1, ensure_ascii=False) + "\n")
    write_whole(page, refusal_page(refusal, written))
    return page, data


def refusal_page(refusal: Refusal, written: Writing | None = None) -> str:
    """The page as HTML.

    Args:
        refusal: what to tell.
        written: when and where; None: the page does not say.
    """
    attempts = refusal.attempts
    facts = [("target", refusal.target), ("attempts", len(attempts))] if attempts else [
        ("target", refusal.target)
    ]  # fmt: skip
    sections = [
        header(
            refusal.name,
            f"Refused: {refusal.outcome}.",
            facts,
            verdict(f"Refused: expected {refusal.expected}", "bad"),
            bullets([f"Found: {refusal.found}"], "bad"),
        )
    ]
    if refusal.advice:
        steps = element("ul", *(element("li", _step(words)) for words in refusal.advice))
        sections.append(section("What to try", steps))
    if attempts:
        sections.append(
            section(
                "Attempts",
                paragraph(
                    "In the order in which they were tried, against the float32 model's answers. "
                    "✗ marks what breaks a limit; ★ the attempt that came nearest."
                ),
                _attempt_table(refusal),
                paragraph(f"Limits: {limit_words(refusal.limits)}."),
                paragraph(
                    "CCC: concordance with the float32 model, of the worst of arousal, dominance "
                    "and valence; 1 is the same answer. VAD: valence, arousal and dominance, on 0 "
                    "to 1: the difference that 99 % of the utterances keep within, and the "
                    "largest, alone or in padded batches. Speed: times float32's on this machine, "
                    "one thread; measured only of what kept the limits."
                ),
            )
        )
    if refusal.ranking:
        sections.append(
            section(
                "Ranking of the parts",
                paragraph(
                    "99th percentile of the difference of VAD when one part alone is computed in "
                    "lower precision: what costs most is kept in float32 first."
                ),
                element("figure", sensitivity(refusal.ranking)),
            )
        )
    rows = [("command", refusal.command)] if refusal.command else []
    if refusal.calibration is not None:
        rows.append(("calibration", calibration_words(refusal.calibration)))
    rows += place_rows(written) if written is not None else []
    if rows:
        sections.append(section("This page", facts_table(rows)))
    return document(f"{refusal.name}, {refusal.target}: refused", sections)


def _step(words: str) -> str:
    """Advice, with the command in it as one."""
    why, colon, command = words.partition(": edge-ser ")
    if not colon:
        return text(words)
    return text(f"{why}: ") + element("code", text(f"edge-ser {command}"))


def _attempt_table(refusal: Refusal) -> str:
    """A row per attempt: size, speed, and how far its answers are off."""
    body, nearest = [], refusal.nearest
    for attempt in refusal.attempts:
        star = "★ " if attempt is nearest else ""
        head = element(
            "th",
            text(f"{star}{attempt.recipe or 'unnamed'}"),
            element("small", text(_kept(attempt))),
            scope="row",
        )
        cells = [
            element(
                "td", text(words), class_="bad" if words[0] == "✗" else None, data_column=column
            )
            for column, words in _figures(attempt, refusal).items()
        ]
        cells.append(
            element("td", text(_broken(attempt)), class_="why", data_column="broken limits")
        )
        body.append(element("tr", head, *cells))
    columns = ("recipe", *_figures(Attempt(), refusal), "broken limits")
    heads = (element("th", text(c), scope="col") for c in columns)
    table = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *body),
        class_="cards",
    )
    return element("div", table, class_="scroll", tabindex=0)


def _broken(attempt: Attempt) -> str:
    """The first broken limits of an attempt, and how many more there are."""
    failures = attempt.failures or ()
    more = len(failures) - _MOST_BROKEN
    words = "; ".join(failures[:_MOST_BROKEN])
    return f"{words}; and {more} more" if more > 0 else words


def _kept(attempt: Attempt) -> str:
    """Which parts an attempt leaves in float32, the first of them by name."""
    parts = attempt.kept_in_float32
    if not parts:
        return "" if parts is None else "nothing kept in float32"
    more = f" and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
    return f"in float32: {', '.join(parts[:_MOST_NAMED])}{more}"


def _figures(attempt: Attempt, refusal: Refusal) -> dict[str, str]:
    """Cells by column: what was not measured as a dash, what breaks a limit with a cross."""
    limits = refusal.limits
    share = attempt.integer_share.encoder if attempt.integer_share is not None else None
    speedup = attempt.speed.speedup if attempt.speed is not None else None
    worst_ccc = min(attempt.ccc.values(), default=None) if attempt.ccc else None
    largest = [v for v in (attempt.vad_max, attempt.vad_max_padded) if v is not None]
    return {
        "MB": _cell(None if attempt.bytes is None else attempt.bytes / 1e6, "{:.2f}"),
        "in integers": _cell(share, "{:.1%}", refusal.least_share, least=True),
        "speed": _cell(speedup, "{:.2f}×"),
        "CCC": _cell(worst_ccc, "{:.4f}", limits.ccc, least=True),
        "mean angle": _cell(attempt.angle_mean_degrees, "{:.2f}°", limits.angle_mean_degrees),
        "99 %": _cell(attempt.vad_p99, "{:.4f}", limits.vad_p99),
        "largest": _cell(max(largest, default=None), "{:.4f}", limits.vad),
    }


def _cell(value: float | None, form: str, limit: float | None = None, least: bool = False) -> str:
    if value is None:
        return "–"
    broken = limit is not None and (value < limit if least else value > limit)
    return f"{'✗ ' if broken else ''}{form.format(value)}"
