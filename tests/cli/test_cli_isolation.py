"""Commands whose children are started from a folder full of modules that must not be run."""

import json
import subprocess
from pathlib import Path

import pytest

from edge_ser.host.child import module_command


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder that holds json.py, numpy.py and edge_ser/, which stop whoever imports them."""
    (tmp_path / "edge_ser").mkdir()
    for name in ("json.py", "numpy.py", "onnxruntime.py", "edge_ser/__init__.py"):
        (tmp_path / name).write_text(f"raise SystemExit('{name} was imported')\n")
    return tmp_path


def test_doctor(trap: Path) -> None:
    command = module_command("edge_ser", "doctor", "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=trap)
    assert done.returncode == 0, done.stderr
    findings = {f["name"]: f for f in json.loads(done.stdout)["findings"]}
    assert "ended with status" not in findings["NVIDIA GPU"]["found"]
    assert findings["default model"]["state"] in ("ok", "advice")


def test_the_cold_start_of_bench(trap: Path) -> None:
    command = module_command(
        *("edge_ser", "bench", "--json", "-", "--seconds", "0.5", "--threads", "1"),
        *("--rounds", "2", "--processes", "1"),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=trap)
    assert done.returncode == 0, done.stderr
    (record,) = (json.loads(line) for line in done.stdout.splitlines())
    assert record["fresh"]["first_result_ms"] > 0
