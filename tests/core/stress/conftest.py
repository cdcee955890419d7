from pathlib import Path

import pytest
from helpers.rounded_twin import rounded_twin

import edge_ser
from edge_ser.stress.clips import Clips, describe_clips
from edge_ser.stress.perturbations import choose
from edge_ser.stress.run import Stress, stress
from edge_ser_export.builtin import default_calibration_samples

CONDITIONS = ("noise-10db", "babble", "quieter-20db", "speed-90", "gsm")


@pytest.fixture(scope="session")
def speech() -> Path:
    return default_calibration_samples()


@pytest.fixture(scope="session")
def groups(tmp_path_factory: pytest.TempPathFactory, speech: Path) -> Path:
    """Two speakers, of which one clip belongs to none."""
    path = tmp_path_factory.mktemp("groups") / "groups.csv"
    names = sorted(p.name for p in speech.glob("*.flac"))[:-1]
    path.write_text("file,group\n" + "".join(f"{n},{n[:3]}\n" for n in names))
    return path


@pytest.fixture(scope="session")
def clips(speech: Path, groups: Path) -> Clips:
    files = sorted(speech.glob("*.flac"))
    return describe_clips(speech, files, groups, speech / "samples.csv")


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default bundle with rounded weights."""
    return rounded_twin(tmp_path_factory.mktemp("twin") / "rounded")


@pytest.fixture(scope="session")
def result(ser: edge_ser.Recognizer, twin: Path, clips: Clips) -> Stress:
    """The rounded bundle against the default one."""
    with edge_ser.load(twin, threads=1) as rounded:
        return stress(rounded, clips, choose(CONDITIONS), ser)
