"""Foreign text where people and programs read it: on terminals, in lines, in tables.

A name comes from a bundle or a folder and may hold anything: a line feed that begins a line of its
own, a sequence that a terminal obeys, a formula that a spreadsheet computes.
"""

from __future__ import annotations

# How spreadsheets tell a formula; a tab or a line feed before it changes nothing for them.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def printable(text: object) -> str:
    """One line; a character that does not print is spelt out, as Python does it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def csv_text(text: str) -> str:
    """A cell of text that no spreadsheet computes: an apostrophe comes before what it would."""
    return printable(f"'{text}" if text.startswith(_FORMULA_STARTS) else text)


def csv_cells(cells: list[object]) -> list[object]:
    """A row of a table: text by `csv_text`, numbers as they are."""
    return [csv_text(cell) if isinstance(cell, str) else cell for cell in cells]
