"""Virtual environments of the peers, made from the package index by pip."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from edge_ser.host.child import module_command

# As their own documentation says to install them. torch is pinned, so that a CPU wheel in a folder
# of PIP_FIND_LINKS is taken. Optimum's exporter wants Transformers below 4.58.
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "edge-ser": ("numpy", "onnxruntime", "soundfile", "soxr", "tqdm"),
    "torch": (
        "torch==2.13.0", "transformers>=4.48,<4.58", "safetensors", "soundfile", "soxr", "tqdm"
    ),
    # apart from the others, as it brings a torchvision that Transformers would trip over
    "timm": ("torch==2.13.0", "timm", "onnx", "onnxscript", "onnxruntime"),
    "optimum": (
        "torch==2.13.0", "transformers<4.58", "optimum==2.1.0", "optimum-onnx==0.1.0", "onnxruntime"
    ),
    "openvino": ("openvino", "nncf"),
    "audonnx": ("audonnx",),
}  # fmt: skip
_STAMP = "installed.json"


@dataclass(frozen=True)
class Environment:
    """One environment.

    Attributes:
        name: key of `ENVIRONMENTS`.
        python: its interpreter.
        versions: of the packages in it.
        bytes: of its packages on disk.
        error: why it could not be made; "" where it could.
    """

    name: str
    python: Path
    versions: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    error: str = ""


def make(name: str, folder: Path) -> Environment:
    """Make an environment, or take the one that an earlier run left in `folder`.

    Args:
        name: key of `ENVIRONMENTS`.
        folder: of all environments.
    """
    root = folder / name
    python = root / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    stamp = root / _STAMP
    wanted = list(ENVIRONMENTS[name])
    if not stamp.exists() or json.loads(stamp.read_text())["wanted"] != wanted:
        print(f"environment {name}: {' '.join(wanted)}", file=sys.stderr, flush=True)
        error = _run(*module_command("venv", "--clear", str(root))) or install(python, wanted)
        if error:
            return Environment(name, python, error=error)
        listed = subprocess.run(
            module_command("pip", "list", "--format=json", python=str(python)),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        versions = {p["name"]: p["version"] for p in json.loads(listed.stdout)}
        stamp.write_text(json.dumps({"wanted": wanted, "versions": versions}))
    versions = json.loads(stamp.read_text())["versions"]
    size = sum(f.stat().st_size for f in root.rglob("*") if f.is_file() and not f.is_symlink())
    return Environment(name, python, versions, size)


def install(python: Path, wanted: list[str]) -> str:
    """Install packages by pip; why that failed, or "" where it did not."""
    return _run(*module_command("pip", "install", "-q", "--no-input", *wanted, python=str(python)))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    said = (done.stderr or done.stdout).splitlines()
    errors = [line for line in said if line.lower().startswith("error")]
    why = (errors or said or [f"status {done.returncode}"])[0]
    return f"cannot be installed: {why.strip()}"
