"""No file is removed or moved while this process maps it: Windows refuses that.

Linux does not, but tells what is mapped at that moment.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Weights lie in a file of their own, as those of large models do.
WATCHED = """
import json, os, sys
from edge_ser_export.trace import capture
capture.EXTERNAL_DATA_BYTES = 1 << 16
from edge_ser.cli import main

report = {"gone": 0, "data": 0, "mapped": []}

def watch(event, args):
    if event not in ("shutil.rmtree", "os.rename", "os.remove"):
        return
    root = os.path.realpath(args[0])
    with open("/proc/self/maps") as maps:
        mapped = [line.split(None, 5)[5].strip() for line in maps if line.count("/")]
    report["gone"] += 1
    report["data"] += any(name.endswith(".data") for _, _, names in os.walk(root) for name in names)
    report["mapped"] += [m for m in mapped if m == root or m.startswith(root + "/")]

sys.addaudithook(watch)
code = main(sys.argv[1:])
print("report", json.dumps(report))
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="nothing tells what is mapped")
@pytest.mark.parametrize(
    "options", [("onnx-fp16",), ("onnx-int8", "--recipe", "dynamic", "--force")], ids=lambda o: o[0]
)
def test_nothing_mapped_is_moved_or_removed(options: tuple[str, ...], tmp_path: Path) -> None:
    command = ["export", "spectral", "--target", *options, "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *command], check=True, capture_output=True, text=True
    )
    assert (tmp_path / "out" / "model.onnx.data").is_file(), "weights lie beside the graph"
    report = json.loads(done.stdout.rpartition("report ")[2])
    assert report["mapped"] == []
    assert report["gone"] > 2 and report["data"] >= 2, "there were such files"
