"""A page as one HTML document: its head, its style, and the blocks that every page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from edge_ser.report.svg import element, text

# How a verdict looks: "open" is neither good nor bad, such as what was not run.
Tone = Literal["good", "bad", "open"]


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page without scripts and without anything to load.

    Args:
        title: in words; escaped here.
        sections: markup of the body.
    """
    head = (
        '<meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        # nothing may be loaded, whatever a name in the bundle tries
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{text(title)}</title><style>{_style_sheet()}</style>"
    )
    body = element("main", "\n".join(sections))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _style_sheet() -> str:
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")


def header(
    title: object, summary: object, facts: Iterable[tuple[str, object]], *content: str
) -> str:
    """What a page begins with.

    Args:
        title: what the page is about.
        summary: in one line.
        facts: names and values, in a row of boxes.
        content: markup below them, such as a verdict.
    """
    boxes = [element("div", element("dt", text(k)), element("dd", text(v))) for k, v in facts]
    return element(
        "header", element("h1", text(title)), paragraph(summary), element("dl", *boxes), *content
    )


def verdict(words: str, tone: Tone) -> str:
    """What came out, in one sentence."""
    return element("p", text(words), class_=f"verdict {tone}")


def section(title: str, *content: str) -> str:
    """A part of a page with its heading; the content is markup."""
    return element("section", element("h2", text(title)), *content)


def paragraph(words: object) -> str:
    """A sentence or more."""
    return element("p", text(words))


def bullets(words: Sequence[str], class_: str | None = None) -> str:
    """Sentences, one each; nothing where there are none."""
    return element("ul", *(element("li", text(w)) for w in words), class_=class_) if words else ""
