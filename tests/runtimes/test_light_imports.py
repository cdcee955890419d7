"""What a device must not need is not imported, and what is missing is said in one line."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch", "transformers", "onnx", "onnxscript", "optimum", "librosa", "scipy", "matplotlib",
    "tensorrt", "tensorrt_rtx", "sounddevice", "rich",
)  # fmt: skip


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_no_module_of_the_device_imports_the_export_side() -> None:
    code = f"""
import importlib, pkgutil, sys
import edge_ser, edge_ser_runtimes
names = []
for package in (edge_ser, edge_ser_runtimes):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
        names.append(found.name)
assert len(names) > 20 and "edge_ser.cli.export" in names, names
from edge_ser.cli import main
assert main(["predict", "--threads", "1", "--json"]) == 0
assert main(["verify", "--threads", "1"]) == 0
assert main(["inspect"]) == 0
assert main(["bench", "--seconds", "1", "--rounds", "2", "--processes", "0"]) == 0
heavy = [m for m in {HEAVY} if m in sys.modules]
heavy += [m for m in sys.modules if m.startswith("edge_ser_export")]
assert not heavy, heavy
"""
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_loads_no_library_but_numpy() -> None:
    code = """
import sys
import edge_ser
late = ("onnxruntime", "soundfile", "soxr", "tqdm", "argparse", "logging", "zipfile", "subprocess",
        "csv", "tempfile", "json", "hashlib", "edge_ser_runtimes", "edge_ser.bundle",
        "edge_ser.cli", "edge_ser.fidelity",
        "edge_ser.scoring", "edge_ser.segments", "edge_ser.streaming", "edge_ser.audio.ffmpeg")
print([m for m in late if m in sys.modules])
"""
    done = python(code)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_an_answer_needs_no_evidence_and_no_judge() -> None:
    code = """
import sys
import edge_ser
from edge_ser.data import sample_utterances
edge_ser.load(threads=1)(str(sample_utterances()[0]))
late = ("edge_ser.bundle.evidence", "edge_ser.bundle.provenance", "edge_ser.bundle.engine",
        "edge_ser.fidelity.labels", "edge_ser.fidelity.compare", "edge_ser.host.facts",
        "edge_ser.cli", "edge_ser.segments", "edge_ser.audio.ffmpeg", "tqdm")
print([m for m in late if m in sys.modules])
"""
    done = python(code)
    assert done.stdout == "[]\n", done.stdout + done.stderr


def test_predicting_a_file_loads_no_other_command() -> None:
    code = """
import sys
from edge_ser.cli import main
from edge_ser.data import sample_utterances
assert main(["predict", "--threads", "1", str(sample_utterances()[0])]) == 0
late = ("edge_ser.cli.verify", "edge_ser.cli.doctor", "edge_ser.cli.train", "edge_ser.doctor",
        "edge_ser.report", "edge_ser.bench", "edge_ser.bundle.evidence", "tqdm")
print([m for m in late if m in sys.modules])
"""
    done = python(code)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


def test_the_package_has_what_it_promises() -> None:
    code = """
import edge_ser
for name in edge_ser.__all__:
    getattr(edge_ser, name)
namespace = {}
exec("from edge_ser import *", namespace)
assert namespace["load"] is edge_ser.load
print(edge_ser.__version__)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") == 2


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        ("torch", ["export"], "edge-ser[export]"),
        ("torch", ["train", "labels.csv", "--audio", "."], "edge-ser[export]"),
        ("torch", ["verify", "--reference", "spectral"], "edge-ser[export]"),
        ("onnxruntime", ["predict"], ""),
    ],
)
def test_a_missing_library_is_named_with_what_to_install(
    missing: str, command: list[str], extra: str
) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None  # as if it were not installed
from edge_ser.cli import main
sys.exit(main({command!r}))
"""
    done = python(code)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-ser: error: ")
    assert f"expected the Python module `{missing}`" in line
    assert "pip install" in line and extra in line.split("pip install")[1]
    assert "[]" not in line, "an extra without name cannot be installed"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edge_ser", "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("edge-ser ")
