import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ser_export.builtin import default_calibration_samples

Rows = list[dict[str, Any]]


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """A folder with twelve recordings, in two subfolders."""
    folder = tmp_path / "speech"
    for number, path in enumerate(sorted(default_calibration_samples().glob("*.flac"))[:12]):
        place = folder / f"{number % 2}" / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return folder


@pytest.fixture(scope="session")
def rows_in() -> Callable[[Path], Rows]:
    """What a folder of answers holds, in the order of the names."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="extra ray is not installed")

    def read(out: Path) -> Rows:
        rows: Rows = parquet.read_table(out).to_pylist()
        return sorted(rows, key=lambda row: (row["path"], row["start"] or 0.0))

    return read
