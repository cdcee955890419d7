"""What tests of training share: label tables of the sample clips, and the files of a run."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

COLUMNS = ("FileName", "EmoAct", "EmoVal", "EmoDom", "Split_Set")
Row = dict[str, str]
Train = Callable[..., int]


def write_labels(path: Path, rows: list[Row], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_samples(clips: Path) -> list[Row]:
    with (clips / "samples.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def split_rows(clips: Path) -> list[Row]:
    """Sixteen clips to train on, and parts of them again for the other splits."""
    samples = read_samples(clips)
    parts = {"Train": samples, "Development": samples[:8], "Test1": samples[8:13]}
    return [{**row, "Split_Set": split} for split, rows in parts.items() for row in rows]


def history_of(run: Path) -> list[dict[str, Any]]:
    found = json.loads((run / "history.json").read_text())
    assert isinstance(found, list)
    return found


def best_of(run: Path) -> dict[str, Any]:
    records = [h["development"] for h in history_of(run)]
    return max(records, key=lambda d: sum(d["ccc"].values()))


def best_epoch(run: Path) -> int:
    return int(next(h["epoch"] for h in history_of(run) if h["development"] == best_of(run)))


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "best.safetensors")


def last_of(run: Path) -> dict[str, Any]:
    state = torch.load(run / "last.pt", weights_only=True)
    assert isinstance(state, dict)
    return state


def same_weights(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)
