"""What several findings about a machine build on, asked once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_ser.host.cpu import instruction_sets, integer_preset
from edge_ser.host.facts import available_memory
from edge_ser.host.nvidia import Driver, Jetson, TensorRt, find_driver, find_jetson, find_tensorrt
from edge_ser.host.packages import is_installed

_ROOT = Path("/")
# module -> package of the extra "export"
EXPORT_PACKAGES = {
    "torch": "torch",
    "transformers": "transformers",
    "safetensors": "safetensors",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "librosa": "librosa",
    "matplotlib": "matplotlib",
}


@dataclass(frozen=True)
class Survey:
    """What was found out once.

    Attributes:
        driver: of NVIDIA's GPUs.
        tensorrt: what is installed of it.
        jetson: JetPack, if this is one.
        integers: see `cpu.integer_preset`.
        instructions: instruction sets that decide the speed of matrix products.
        free_bytes: memory that a new process can have; None where nothing tells.
        exports: whether all of the extra "export" is installed.
    """

    driver: Driver
    tensorrt: TensorRt
    jetson: Jetson | None
    integers: str | None
    instructions: tuple[str, ...]
    free_bytes: int | None = None
    exports: bool = False


def survey(root: Path = _ROOT) -> Survey:
    """Ask this machine.

    Nothing heavy is imported, and the CUDA driver is asked in a process of its own.

    Args:
        root: of the file system.
    """
    return Survey(
        driver=find_driver(root),
        tensorrt=find_tensorrt(root),
        jetson=find_jetson(root),
        integers=integer_preset(cpuinfo=root / "proc/cpuinfo"),
        instructions=instruction_sets(root / "proc/cpuinfo"),
        free_bytes=available_memory(root),
        exports=all(is_installed(module) for module in EXPORT_PACKAGES),
    )
