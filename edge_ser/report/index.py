"""Several bundles or devices on one page: a row each, with links to their own pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from edge_ser.report.conclusion import Conclusion
from edge_ser.report.document import Tone, document, header, paragraph, section, verdict
from edge_ser.report.origin import Writing, place_rows
from edge_ser.report.svg import element, text
from edge_ser.report.tables import facts_table

_SHORT = {"good": "passed", "bad": "failed", "open": "engine not run"}
_COLUMNS = ("target", "device", "size", "latency", "CCC", "largest VAD", "verdict")
# Cells whose words may be broken into lines.
_LONG = ("device",)


@dataclass(frozen=True)
class IndexRow:
    """A bundle, or a bundle on a device.

    Attributes:
        name: of the bundle.
        fingerprint: of it.
        target: of it.
        device: that it ran on, in words; empty: it did not run, the proof of its export is shown.
        size_bytes: of its files.
        latency: in words; empty: not measured.
        ccc: least concordance with the reference of the three dimensions, of the group that is
            judged as a whole; None: not known.
        vad_max: largest difference on the device, or else at export, on 0..1; None: not known.
        conclusion: of its page.
        page: file name of its page, beside the index; empty: it has none.
    """

    name: str
    fingerprint: str
    target: str
    device: str
    size_bytes: int
    latency: str
    ccc: float | None
    vad_max: float | None
    conclusion: Conclusion
    page: str = ""


def index_page(rows: Sequence[IndexRow], written: Writing | None = None) -> str:
    """The page as HTML.

    Args:
        rows: in the order of the page.
        written: when and where; None: the page does not say.
    """
    tones = [row.conclusion.tone for row in rows]
    facts = [(word, tones.count(tone)) for tone, word in _SHORT.items() if tone in tones]
    tone: Tone = "bad" if "bad" in tones else "open" if "open" in tones else "good"
    first = {
        "good": f"Passed: all {len(rows)}",
        "open": "Not run: a TensorRT engine; the rest passed",
        "bad": f"Failed: {tones.count('bad')} of {len(rows)}; do not ship those",
    }
    sections = [
        header("Bundles and devices", f"{len(rows)} rows", facts, verdict(first[tone], tone)),
        section(
            "Overview",
            _table(rows),
            paragraph(
                "CCC: concordance with the reference at export, of the worst of arousal, dominance "
                "and valence; 1 is the same answer. Largest VAD: the largest difference of "
                "valence, arousal or dominance on the device, or at export where it did not run, "
                "on 0 to 1. The fingerprint stands for every byte of a bundle."
            ),
        ),
    ]
    if written is not None:
        sections.append(section("This page", facts_table(place_rows(written))))
    return document("Bundles and devices", sections)


def _table(rows: Sequence[IndexRow]) -> str:
    heads = (element("th", text(c), scope="col") for c in ("bundle", *_COLUMNS))
    table = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *(_row(row) for row in rows)),
        class_="cards index",
    )
    return element("div", table, class_="scroll", tabindex=0)


def _row(row: IndexRow) -> str:
    name = text(row.name)
    link = element("a", name, href=quote(row.page)) if row.page else name
    tone = row.conclusion.tone
    cells = (
        row.target,
        row.device or "not run; proof of the export",
        f"{row.size_bytes / 1e6:.2f} MB",
        row.latency or "–",
        "–" if row.ccc is None else f"{row.ccc:.6f}",
        "–" if row.vad_max is None else f"{row.vad_max:.1e}",
        _SHORT[tone],
    )
    return element(
        "tr",
        element("th", link, element("small", text(row.fingerprint)), scope="row"),
        *(
            element(
                "td",
                text(words),
                class_=tone if column == "verdict" else "long" if column in _LONG else None,
                data_column=column,
            )
            for column, words in zip(_COLUMNS, cells, strict=True)
        ),
    )
