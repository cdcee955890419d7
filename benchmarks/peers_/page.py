"""The table and the picture of the peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS = "edge-ser"
REFERENCE = "PyTorch eager"
_COLORS = {
    "ours": ("#1b7f5c", "edge-ser"),
    "same": ("#7c93b2", "the same model elsewhere"),
    "other": ("#c9c9c9", "another model, or a part of it"),
}


def table(record: dict[str, Any]) -> str:
    """One size as Markdown, fastest first; what could not be measured at the end, with the reason.

    Args:
        record: of one size, see `peers.measure_size`.
    """
    lines = [
        f"## {record['size']}, {record['seconds']:g} s of speech",
        "",
        "| system | ms | interval | time over PyTorch's | file MB | peak memory MB | installed MB "
        "| largest difference of VAD |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for s in _sorted(record):
        name = f"**{s['name']}**" if s["name"].startswith(OURS) else s["name"]
        note = f" ({s['note']})" if s["note"] else ""
        if s["error"]:
            lines.append(f"| {name}{note} | {s['error'].replace('|', '/')} | | | | | | |")
            continue
        ratio = s["ratio"]
        against = "1" if s["name"] == REFERENCE else "-"
        if ratio is not None and s["name"] != REFERENCE:
            against = f"{ratio['value']:.2f} ({ratio['low']:.2f}..{ratio['high']:.2f})"
        difference = "-" if s["difference"] is None else f"{s['difference']:.1e}"
        lines.append(
            f"| {name}{note} | {s['ms']['value']:.2f} "
            f"| {s['ms']['low']:.2f}..{s['ms']['high']:.2f} "
            f"| {against} | {s['file_bytes'] / 1e6:.1f} | {s['rss_bytes'] / 1e6:.0f} "
            f"| {s['installed_bytes'] / 1e6:.0f} | {difference} |"
        )
    lines += ["", *_claims(record)]
    return "\n".join(lines)


def _claims(record: dict[str, Any]) -> list[str]:
    """What the paired rounds allow to say, and no more."""
    lines = []
    for ours, found in record["verdicts"].items():
        parts = [
            f"{verdict} than {', '.join(names)}"
            for verdict in ("faster", "slower")
            if (names := [n for n, v in found.items() if v == verdict])
        ]
        same = [n for n, v in found.items() if v == "no difference"]
        parts += [f"no difference found to {', '.join(same)}"] if same else []
        lines.append(f"- {ours}: {'; '.join(parts)}.")
    load = record["state"]["before"].get("load_1min")
    busy = "" if load is None else f", load average {load:g} on the machine when they began"
    return [
        f"{record['rounds']} rounds{busy}; claims at 99 % confidence:",
        "",
        *lines,
    ]


def _sorted(record: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(
        record["systems"], key=lambda s: (bool(s["error"]), s["ms"]["value"] if s["ms"] else 0.0)
    )


def draw(records: list[dict[str, Any]], path: Path) -> None:
    """One panel a size: bars of latency, whiskers of the median's interval, file sizes in words.

    Args:
        records: of the sizes.
        path: PNG or SVG to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    panels = [[s for s in _sorted(r) if not s["error"]] for r in records]
    heights = [len(p) for p in panels]
    figure = Figure(figsize=(9, 1.1 * len(panels) + 0.36 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axis, record, systems in zip(axes[:, 0], records, panels, strict=True):
        ms = [s["ms"]["value"] for s in systems]
        whiskers = [
            [s["ms"]["value"] - s["ms"]["low"] for s in systems],
            [s["ms"]["high"] - s["ms"]["value"] for s in systems],
        ]
        axis.barh(
            range(len(systems)), ms, xerr=whiskers, height=0.66,
            color=[_color(s) for s in systems], error_kw={"ecolor": "#333333", "capsize": 2},
        )  # fmt: skip
        axis.set_yticks(
            range(len(systems)),
            [s["name"] + (f"\n({s['note']})" if s["note"] else "") for s in systems],
            fontsize=8,
        )
        for label, s in zip(axis.get_yticklabels(), systems, strict=True):
            label.set_fontweight("bold" if s["name"].startswith(OURS) else "normal")
        axis.invert_yaxis()
        edge = max(s["ms"]["high"] for s in systems)
        for row, s in enumerate(systems):
            axis.text(
                s["ms"]["high"] + 0.012 * edge, row,
                f"{_brief(s['ms']['value'])} ms, {_brief(s['file_bytes'] / 1e6)} MB",
                va="center", fontsize=8,
            )  # fmt: skip
        axis.set_xlim(0, 1.3 * edge)
        axis.set_title(
            f"{record['size']}: {record['seconds']:g} s of speech, one thread",
            loc="left", fontsize=10,
        )  # fmt: skip
        axis.set_xlabel("milliseconds, median; file size beside it", fontsize=8)
        axis.tick_params(axis="x", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(
        handles=[Patch(color=color, label=label) for color, label in _COLORS.values()],
        loc="outside lower center", ncols=len(_COLORS), fontsize=8, frameon=False,
    )  # fmt: skip
    figure.savefig(path, dpi=140)


def _brief(value: float) -> str:
    """Three digits, and never an exponent."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _color(system: dict[str, Any]) -> str:
    if system["name"].startswith(OURS):
        return _COLORS["ours"][0]
    return _COLORS["other" if system["other_model"] else "same"][0]
