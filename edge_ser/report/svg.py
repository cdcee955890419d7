"""A little SVG: elements, escaped text, scales and axes."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edge_ser.printable import printable

# Marks of a plot, told apart by shape as well as by colour.
SHAPES = ("circle", "square", "triangle", "diamond", "cross")


def text(value: object) -> str:
    """Any value as text of a page: escaped, and without characters that do not print."""
    return html.escape(printable(value))


def element(name: str, *content: str, **attributes: object) -> str:
    """An element of markup.

    Args:
        name: of the element.
        content: markup inside; text must have been through `text`.
        attributes: `class_` is `class`, `stroke_width` is `stroke-width`; numbers are shortened,
            None is left out, and everything is escaped.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{text(shown)}"')
    return f"<{' '.join(parts)}>{''.join(content)}</{name}>"


def label(x: float, y: float, words: object, anchor: str = "start", class_: str = "") -> str:
    """Text in a drawing, at a point of its base line."""
    return element("text", text(words), x=x, y=y, text_anchor=anchor, class_=class_ or None)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def mark(shape: str, x: float, y: float, class_: str, note: str = "", size: float = 3.0) -> str:
    """One mark of a plot, with a note for who points at it."""
    title = (element("title", text(note)),) if note else ()
    if shape == "square":
        s = size * 0.9
        return element(
            "rect", *title, x=x - s, y=y - s, width=2 * s, height=2 * s, class_=f"mark {class_}"
        )
    if shape == "cross":
        s = size * 1.1
        path = f"M{x - s:.1f} {y - s:.1f}L{x + s:.1f} {y + s:.1f}"
        path += f"M{x - s:.1f} {y + s:.1f}L{x + s:.1f} {y - s:.1f}"
        return element("path", *title, d=path, class_=f"mark {class_}")
    if shape in ("triangle", "diamond"):
        s = size * 1.3
        corners = [(x, y - s), (x + s, y + s * 0.8), (x - s, y + s * 0.8)]
        if shape == "diamond":
            corners = [(x, y - s), (x + s, y), (x, y + s), (x - s, y)]
        path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"
        return element("path", *title, d=path, class_=f"mark {class_}")
    return element("circle", *title, cx=x, cy=y, r=size, class_=f"mark {class_}")


def arrow(x1: float, y1: float, x2: float, y2: float, class_: str, head: float = 6.0) -> str:
    """A line with a head at its second end."""
    turn = math.atan2(y2 - y1, x2 - x1)
    corners = [(x2, y2)]
    for side in (-0.45, 0.45):
        corners.append((x2 - head * math.cos(turn + side), y2 - head * math.sin(turn + side)))
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"
    return line(x1, y1, x2, y2, class_) + element("path", d=path, class_=f"{class_} head")


@dataclass(frozen=True)
class Scale:
    """From values to positions in a drawing.

    Attributes:
        low: value at `start`; above `high` if values fall from there.
        high: value at `end`.
        start: position.
        end: position.
        log: whether equal ratios, not equal differences, are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Position of a value; outside of the scale, of its nearer end."""
        low, high = self.low, self.high
        inside = min(max(value, min(low, high)), max(low, high))
        if self.log:
            inside, low, high = math.log(inside), math.log(low), math.log(high)
        return self.start + (self.end - self.start) * (inside - low) / (high - low)


def axes(
    x: Scale,
    y: Scale,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    names: tuple[str, str],
    show: tuple[Callable[[float], str], Callable[[float], str]] = ("{:g}".format, "{:g}".format),
    gap: float = 16.0,
) -> str:
    """Grid, numbers and names of both axes.

    Args:
        x: from left to right.
        y: from bottom to top.
        x_ticks: values with a number.
        y_ticks: values with a number.
        names: of x, below it, and of y, above its upper end.
        show: how their numbers are written.
        gap: from the frame to the base line of the numbers; the name of x is as far below them.
    """
    left, right = x.start, x.end
    bottom, top = y.start, y.end
    parts = [line(x(v), bottom, x(v), top, "grid") for v in x_ticks]
    parts += [line(left, y(v), right, y(v), "grid") for v in y_ticks]
    parts += [label(x(v), bottom + gap, show[0](v), "middle", "number") for v in x_ticks]
    parts += [label(left - 7, y(v), show[1](v), "end", "number side") for v in y_ticks]
    parts.append(label((left + right) / 2, bottom + 2.2 * gap, names[0], "middle", "name"))
    parts.append(label(2, top - gap, names[1], "start", "name"))
    parts.append(
        element("rect", x=left, y=top, width=right - left, height=bottom - top, class_="frame")
    )
    return "".join(parts)


def drawing(
    key: str,
    title: str,
    description: str,
    size: tuple[float, float],
    parts: Iterable[str],
    class_: str,
) -> str:
    """A whole drawing, as wide as the page lets it be.

    Args:
        key: a name of its own on the page.
        title: what it shows, for who cannot see it.
        description: what is to be seen in it.
        size: width and height in its own units.
        parts: markup.
        class_: of the drawing.
    """
    width, height = size
    return element(
        "svg",
        element("title", text(title), id=f"{key}-title"),
        element("desc", text(description), id=f"{key}-desc"),
        *parts,
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        viewBox=f"0 0 {width:g} {height:g}",
        class_=class_,
    )
