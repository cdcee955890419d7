"""An emotion recogniser on a device contacts nobody, and leaves no identifier behind."""

import ast
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.system_calls import Traced, needs_strace, trace

from edge_ser.data import sample_utterances
from edge_ser.host.offline import import_onnxruntime, import_openvino

ROOT = Path(__file__).parents[3]
LIBRARIES = ("onnxruntime", "openvino")
PRODUCT = ("edge_ser", "export/edge_ser_export", "runtimes/edge_ser_runtimes")
OFFLINE = ROOT / "edge_ser/host/offline.py"
# Telemetry waits for a while before it sends what it has.
LIFE_SECONDS = "20"
PREDICT = """
import sys, time
import edge_ser
with_sound, runtime, seconds = sys.argv[1:]
print(edge_ser.load(runtime=runtime, threads=1)(with_sound).region.name)
time.sleep(float(seconds))
"""
# as far as it comes without a GPU
START_TENSORRT = """
import sys, time
from edge_ser_runtimes.engines.backend import load_backend
trt = load_backend("rtx").module
assert trt.Builder(trt.Logger(trt.Logger.ERROR)).create_network(0) is not None
time.sleep(float(sys.argv[1]))
"""


def environment() -> dict[str, str]:
    """Of this process, without what turns telemetry off: importing the library here has set it."""
    return {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}


def imported(tree: ast.AST) -> list[str]:
    """Modules that the code imports, also by name, but for those that only types need."""
    names: list[str] = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
            ("import_module", "__import__")
        ):
            names += [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
        names += imported(node)
    return names


@pytest.mark.parametrize("folder", [*PRODUCT, "benchmarks"])
def test_the_libraries_are_imported_in_one_place(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        direct = {n for n in imported(ast.parse(file.read_text())) if n.split(".")[0] in LIBRARIES}
        assert not direct or file == OFFLINE, f"{file.relative_to(ROOT)} imports {direct}"


@pytest.mark.parametrize("folder", PRODUCT)
def test_no_child_imports_the_libraries_itself(folder: str) -> None:
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str):
                found = re.search(rf"(?:import|from) (?:{'|'.join(LIBRARIES)})\b", text)
                assert not found, f"{file.relative_to(ROOT)}:{node.lineno}"


@pytest.mark.parametrize(
    "code",
    [
        "import onnxruntime as ort",
        "def f():\n    from onnxruntime.quantization import QuantType",
        "importlib.import_module('openvino')",
        "__import__('openvino')",
    ],
)
def test_every_way_of_importing_is_seen(code: str) -> None:
    assert [n.split(".")[0] in LIBRARIES for n in imported(ast.parse(code))] == [True]


@needs_strace
def test_a_process_that_reaches_for_the_network_and_home_is_seen(tmp_path: Path) -> None:
    code = """
import os, pathlib, socket
pathlib.Path.home().joinpath("id").write_text("1")
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect(("127.0.0.1", 53))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 53))
socket.socket(socket.AF_UNIX).connect_ex("/run/systemd/resolve/io.systemd.Resolve")
"""
    seen = trace(["-c", code], tmp_path, environment())
    assert (seen.status, len(seen.contacts), seen.written) == (0, 3, ["id"])


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Traced]:
    """What a process with each runtime did in its life, as the processes wait side by side."""
    file = str(sample_utterances()[0])
    arguments = {
        "onnx": ["-c", PREDICT, file, "onnx", LIFE_SECONDS],
        "openvino": ["-c", PREDICT, file, "openvino", LIFE_SECONDS],
        "trt": ["-c", START_TENSORRT, LIFE_SECONDS],
    }
    with ThreadPoolExecutor(len(arguments)) as together:
        traces = {
            runtime: together.submit(
                trace, command, tmp_path_factory.mktemp(runtime), environment()
            )
            for runtime, command in arguments.items()
        }
    return {runtime: future.result() for runtime, future in traces.items()}


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnx", "openvino", "trt"])
def test_a_process_contacts_nobody_and_writes_nothing_in_its_life(
    runtime: str, lives: dict[str, Traced]
) -> None:
    life = lives[runtime]
    assert life.status == 0, life.output
    assert life.contacts == []
    assert life.written == []


@needs_strace
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict"],
        ["verify"],
        ["doctor"],
        ["bench", "--rounds", "1", "--max-time", "1", "--processes", "1", "--seconds", "1"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_contact_nobody_and_write_nothing(arguments: list[str], tmp_path: Path) -> None:
    seen = trace(["-m", "edge_ser", *arguments], tmp_path, environment())
    assert seen.status == 0, seen.output
    assert seen.contacts == []
    assert seen.written == []


@needs_strace
@pytest.mark.slow
def test_an_export_contacts_nobody(tmp_path: Path) -> None:
    out = str(tmp_path / "bundle")
    arguments = ["-m", "edge_ser", "export", "--runtime", "openvino", "-o", out]
    seen = trace(arguments, tmp_path, environment())
    assert seen.status == 0, seen.output
    assert seen.contacts == []
    assert not [name for name in seen.written if "onnx" in name or "intel" in name]


def test_a_library_that_is_loaded_already_is_told_to_be_quiet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(
        import_onnxruntime(), "disable_telemetry_events", lambda: asked.append(True)
    )
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    import_onnxruntime()
    assert asked == [True]
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_the_telemetry_package_is_hidden_from_openvino_alone() -> None:
    code = """
import sys
from edge_ser.host.offline import import_openvino
openvino = import_openvino()
loaded = [name for name in sys.modules if name.startswith("openvino_telemetry")]
assert loaded == [], loaded
from openvino.tools.ovc import telemetry_utils
assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
import openvino_telemetry  # still there for others
"""
    pytest.importorskip("openvino_telemetry", reason="OpenVINO came without its telemetry")
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(), timeout=60)


def test_nncf_finds_no_telemetry_either(tmp_path: Path) -> None:
    # what NNCF does as it is imported: benchmarks alone need it, so that it is not installed here
    (tmp_path / "nncf.py").write_text(
        "try:\n    import openvino_telemetry\n    sends = True\n"
        "except ImportError:\n    sends = False\n"
    )
    (tmp_path / "openvino_telemetry.py").write_text("")
    code = (
        "from edge_ser.host.offline import import_nncf\n"
        "assert import_nncf().sends is False\n"
        "import openvino_telemetry  # still there for others"
    )
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    quiet = environment() | {"PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", code], check=True, env=quiet, timeout=60)


def test_a_telemetry_package_of_the_caller_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = type(sys)("openvino_telemetry")
    monkeypatch.setitem(sys.modules, "openvino_telemetry", theirs)
    assert import_openvino().__name__ == "openvino"
    assert sys.modules["openvino_telemetry"] is theirs
