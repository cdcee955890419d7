"""Children run nothing that lies in the folder that the user stands in."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_ser.host.child import code_command, module_command
from edge_ser.host.nvidia import find_driver

ROOT = Path(__file__).parents[3]


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory full of modules that must not be imported."""
    for name in ("json", "numpy", "onnxruntime", "ctypes", "time", "runpy", "typing", "edge_ser"):
        path = tmp_path / name if name == "edge_ser" else tmp_path
        path.mkdir(exist_ok=True)
        file = path / ("__init__.py" if name == "edge_ser" else f"{name}.py")
        file.write_text(f"raise SystemExit('{name} of the working directory was imported')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.usefixtures("trap")
def test_code_and_its_arguments() -> None:
    code = "import json, sys, edge_ser; print(json.dumps([sys.argv[1:], edge_ser.__file__]))"
    arguments, file = json.loads(ask(code_command(code, "a", "b c")))
    assert arguments == ["a", "b c"]
    assert Path(file).is_relative_to(ROOT)


@pytest.mark.usefixtures("trap")
def test_a_module_as_if_by_its_name() -> None:
    assert ask(module_command("edge_ser", "--version")).startswith("edge-ser ")
    assert json.loads(ask(module_command("json.tool", "--compact", str(plain()))))["a"] == 1


def plain() -> Path:
    path = Path("plain.txt")
    path.write_text('{"a": 1}')
    return path


def test_the_trap_is_one(trap: Path) -> None:
    """Without isolation, the same child would run what lies there."""
    done = subprocess.run(
        [sys.executable, "-c", "import json"], capture_output=True, text=True, check=False, cwd=trap
    )
    assert "json of the working directory was imported" in done.stderr


@pytest.mark.usefixtures("trap")
def test_paths_that_the_user_gave_are_kept(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine.py").write_text("ANSWER = 7\n")
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    assert ask(code_command("import mine; print(mine.ANSWER)")) == "7"


@pytest.mark.usefixtures("trap")
def test_the_driver_is_asked() -> None:
    found = find_driver(libraries=("libnone-at-all.so.1",))
    assert found.trouble == "no libnone-at-all.so.1"


def test_nothing_else_starts_python() -> None:
    """Elsewhere, `-c` and `-m` stand in no list of arguments: children come from one place."""
    started = []
    for folder in ("edge_ser", "export", "runtimes", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                # by itself, it is an option of another program
                if isinstance(node, ast.List | ast.Tuple) and any(
                    isinstance(e, ast.Constant) and e.value in ("-c", "-m") for e in node.elts
                ):
                    started.append(path.relative_to(ROOT).as_posix())
    assert started == ["edge_ser/host/child.py"]
