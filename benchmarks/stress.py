r"""Do the built-in checkpoints hold under noise, rooms, lines and codecs, and does INT8?

    python benchmarks/make_corpus.py CORPUS --train 0 --dev 0 --test 100 \
        --flite-train 0 --flite-test 0
    python benchmarks/stress.py CORPUS BUNDLES

BUNDLES holds `spectral-onnx-fp32`, `spectral-onnx-int8`, `wavlm-tiny-onnx-fp32` and
`wavlm-tiny-onnx-int8`, as `edge-ser export` writes them. Runs `edge-ser stress` of each INT8 bundle
against its float32 one and writes `results/stress.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import RESULTS, machine_line

from edge_ser.host.child import module_command

CHECKPOINTS = ("spectral", "wavlm-tiny")


def measure(corpus: Path, bundles: Path, name: str) -> dict[str, Any]:
    """All figures of one checkpoint's INT8 bundle against its float32 one."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "stress.json")
        command = module_command(
            "edge_ser", "stress", str(bundles / f"{name}-onnx-int8"),
            "--against", str(bundles / f"{name}-onnx-fp32"), "--audio", str(corpus / "audio"),
            "--labels", str(corpus / "labels.csv"), "--threads", "1", "--json", str(out),
        )  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        figures: dict[str, Any] = json.loads(out.read_text())
        return figures


def worst(change: dict[str, Any] | None) -> str:
    return "" if change is None else f"{min(change['ccc'].values()):.3f}"


def table(figures: dict[str, Any]) -> str:
    rows = [
        "| condition | VAD | angle | regions | CCC | CCC with labels | INT8: VAD | regions | CCC |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, scores in figures["conditions"].items():
        change, against = scores["change"], scores["against"]
        moved = ["", "", ""]
        if change is not None:
            moved = [f"{change['vad']:.3f}", f"{change['angle']:.1f}°", f"{change['flips']:.0%}"]
        cells = [name, *moved, worst(change), worst(scores["labels"])]
        cells += [f"{against['vad']:.4f}", f"{against['flips']:.0%}", worst(against)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("bundles", type=Path)
    given = parser.parse_args()
    parts = []
    for name in CHECKPOINTS:
        figures = measure(given.corpus, given.bundles, name)
        parts.append(
            f"## {figures['bundle']} ({figures['target']})\n\n{figures['clips']} clips, "
            f"{figures['seconds']:.0f} s.\n\n{table(figures)}"
        )
    page = f"""# Whether the built-in checkpoints hold

Made by `python benchmarks/stress.py`: {machine_line()}. Synthetic clips that no
checkpoint was trained on, under the conditions of `edge-ser stress`. The first figures compare
the INT8 bundle's answers with its own to the clean clips, "CCC with labels" with the prosody that
was asked for, and "INT8" compares them with the float32 bundle's answers to the same samples. VAD
is the mean absolute change of the three dimensions, on 0 to 1; CCC is of the worst dimension.

{chr(10).join(f"{part}{chr(10)}" for part in parts)}"""
    print(page)
    (RESULTS / "stress.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
