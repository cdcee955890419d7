import os
from pathlib import Path

import pytest

# read when Transformers is first imported; nothing here may wait for a network
os.environ["HF_HUB_OFFLINE"] = "1"

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"


@pytest.fixture(scope="session")
def clips() -> Path:
    """Folder of sixteen clips of two voices, with `samples.csv`."""
    return SAMPLES


@pytest.fixture(scope="session")
def speech(clips: Path) -> tuple[Path, ...]:
    """A few of the clips."""
    return tuple(sorted(clips.glob("*.flac"))[::5])
