"""How to get what is missing, in the words of every message that says so."""

from __future__ import annotations

# JetPack's package of TensorRT's Python module
JETSON_TENSORRT = "apt install python3-libnvinfer"


def pip_extra(extra: str) -> str:
    """The command that installs an extra.

    Args:
        extra: of edge-ser, such as `export` or `trt`.
    """
    return f"pip install 'edge-ser[{extra}]'"


def pip_package(name: str) -> str:
    """The command that installs a package.

    Args:
        name: of the package, with a version where one is needed: `onnxruntime>=1.24`.
    """
    return f"pip install '{name}'" if ">" in name else f"pip install {name}"


def pip_again(name: str) -> str:
    """The command that installs a package anew, whatever lies there.

    Args:
        name: of the package.
    """
    return f"pip install --force-reinstall {name}"


# TensorRT for RTX; its wheels are for x86-64
RTX_TENSORRT = f"{pip_extra('trt')} (x86-64)"
# one of the two packages hides the other's providers
GPU_ONNXRUNTIME = f"pip uninstall onnxruntime; {pip_package('onnxruntime-gpu')}"
