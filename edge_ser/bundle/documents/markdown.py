"""Markdown from foreign text: what a manifest says stays text, whatever it is made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from edge_ser.bundle.provenance import Row
from edge_ser.printable import printable

# What Markdown, or HTML in it, could take for a mark inside a line.
_MARKS = re.compile(r"([\\`*_\[\]<>|&#~$])")


def plain(text: object) -> str:
    """One line of text, with every mark of Markdown escaped."""
    return _MARKS.sub(r"\\\1", printable(text))


def table(rows: Iterable[Row], names: Row = ("what", "as recorded")) -> str:
    """Two columns under their names."""
    lines = [f"| {names[0]} | {names[1]} |", "|---|---|"]
    lines += [f"| {plain(name)} | {plain(value)} |" for name, value in rows]
    return "\n".join(lines)


def front_matter(values: Mapping[str, str | Sequence[str]]) -> str:
    """The YAML that a model card begins with; every text quoted as JSON, which YAML reads."""
    lines = ["---"]
    for key, value in values.items():
        if isinstance(value, str):
            lines.append(f"{key}: {_quoted(value)}")
        else:
            lines += [f"{key}:", *(f"- {_quoted(item)}" for item in value)]
    return "\n".join([*lines, "---"])


def _quoted(text: str) -> str:
    return json.dumps(printable(text), ensure_ascii=False)


def page(*blocks: str) -> str:
    """Blocks with an empty line between them."""
    return "\n\n".join(blocks) + "\n"
