"""What builds an engine runs on a Jetson with the bare wheel: numpy and TensorRT alone."""

import subprocess
import sys

HEAVY = (
    "torch",
    "transformers",
    "onnx",
    "onnx_ir",
    "onnxscript",
    "onnxruntime",
    "librosa",
    "scipy",
)


def test_the_side_that_builds_imports_nothing_heavy() -> None:
    code = f"""
import importlib, pkgutil, sys
for name in {HEAVY}:
    sys.modules[name] = None  # as if they were not installed
import edge_ser_runtimes.engines as engines
names = [module.name for module in pkgutil.iter_modules(engines.__path__)]
assert {{"build", "on_device", "trtexec"}} <= set(names), names
for name in names:
    importlib.import_module("edge_ser_runtimes.engines." + name)
from edge_ser.cli import main
sys.exit(main(["build", "no-such-bundle"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-ser: error: no-such-bundle: expected a bundle")
