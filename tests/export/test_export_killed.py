"""What a killed export leaves in the folder of temporary files: nothing, after the next one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SCRATCH = """
from edge_ser.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "model.onnx").write_bytes(bytes(1000))
    print(folder, flush=True)
    input()
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals, and locks of folders")


def test_scratch_of_a_killed_process_is_removed_by_the_next(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    for _ in range(2):
        with subprocess.Popen(
            [sys.executable, "-c", _SCRATCH], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as child:  # fmt: skip
            assert child.stdout is not None
            folder = Path(child.stdout.readline().strip())
            assert folder.is_dir()
            assert len(list(tmp_path.iterdir())) == 1
            child.kill()
    subprocess.run(
        [sys.executable, "-c", _SCRATCH], env=environment, input="\n", text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
