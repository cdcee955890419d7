"""What a saved checkpoint is, as bytes."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from helpers.tiny_models import joint_config, random_joint
from safetensors import safe_open

from edge_ser_export.checkpoints.own_format import save_checkpoint

SAVE = """
import sys
from pathlib import Path
from helpers.tiny_models import joint_config, random_joint
from edge_ser_export.checkpoints.own_format import save_checkpoint
for path in sys.argv[1:]:
    save_checkpoint(random_joint(joint_config("spectral")), Path(path))
"""


def test_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    """In processes of their own, since the order of a hash table changes with the process."""
    for name in "ab":
        paths = [str(tmp_path / f"{name}{index}.safetensors") for index in range(4)]
        done = subprocess.run(
            [sys.executable, "-c", SAVE, *paths], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    contents = [p.read_bytes() for p in tmp_path.iterdir()]
    assert len(contents) == 8
    assert len(set(contents)) == 1


def test_header_is_in_order_and_read_by_others(tmp_path: Path) -> None:
    """With a name that is not ASCII, which JSON can be spelt with in two lengths."""
    path = tmp_path / "x.safetensors"
    model = random_joint(joint_config("spectral", weights_licence="Ließ-1.0"))
    save_checkpoint(model, path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"]) == ["config", "format", "version"]
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["config"])["weights_licence"] == "Ließ-1.0"
        assert set(file.keys()) == set(model.state_dict())
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
