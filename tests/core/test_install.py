"""How to install what is missing: said in the same words by everyone."""

from pathlib import Path

import pytest

from edge_ser.errors import MissingExtraError
from edge_ser.install import GPU_ONNXRUNTIME, RTX_TENSORRT, pip_extra, pip_package

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pip_extra("export"), "pip install 'edge-ser[export]'"),
        (pip_package("soxr"), "pip install soxr"),
        (pip_package("onnxruntime>=1.24"), "pip install 'onnxruntime>=1.24'"),
        (RTX_TENSORRT, "pip install 'edge-ser[trt]' (x86-64)"),
        (GPU_ONNXRUNTIME, "pip uninstall onnxruntime; pip install onnxruntime-gpu"),
        (MissingExtraError("x", "openvino", "openvino").advice,
         "run: pip install 'edge-ser[openvino]'"),
        (MissingExtraError("x", "soxr", "").advice, "run: pip install soxr"),
    ],
)  # fmt: skip
def test_commands(given: str, words: str) -> None:
    assert given == words


def test_no_message_has_its_own_words() -> None:
    """Commands of pip stand in one file; docstrings of packages may name one for their readers."""
    holders = {
        path.relative_to(ROOT).as_posix()
        for folder in ("edge_ser", "export", "runtimes")
        for path in (ROOT / folder).rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "pip install " in line and not line.startswith('"""')
    }
    assert holders - {"export/edge_ser_export/builtin.py"} == {"edge_ser/install.py"}
