"""What this machine has, and lacks, for each target and runtime.

Nothing heavy is imported: versions come from the metadata of installed packages, and the CUDA
driver is asked in a process of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edge_ser.doctor.tensorrt import building, running
from edge_ser.host.cpu import BFLOAT16, instruction_sets, integer_preset
from edge_ser.host.facts import available_memory, machine
from edge_ser.host.nvidia import (
    Driver,
    Jetson,
    TensorRt,
    find_driver,
    find_jetson,
    find_tensorrt,
    version,
)
from edge_ser.host.offline import import_onnxruntime
from edge_ser.install import pip_extra, pip_package

State = Literal["ok", "missing", "advice", "fails"]
_ROOT = Path("/")
# A large model in float32, loaded: 1.4 GB of weights, most of them once more as packed.
_ENOUGH_BYTES = 3_000_000_000
# module -> package of the extra "export"
_EXPORT = {
    "torch": "torch",
    "transformers": "transformers",
    "safetensors": "safetensors",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "librosa": "librosa",
    "matplotlib": "matplotlib",
}


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        area: what it belongs to, such as "runtime".
        name: of what was looked for.
        state: "ok"; "missing"; "advice": it works, and could be better; "fails": of a bundle.
        found: what is there.
        advice: what to do, where there is something to do.
    """

    area: str
    name: str
    state: State
    found: str
    advice: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON-ready data."""
        return asdict(self)


@dataclass(frozen=True)
class Machine:
    """What was found out once, and several findings build on.

    Attributes:
        driver: of NVIDIA's GPUs.
        tensorrt: what is installed of it.
        jetson: JetPack, if this is one.
        integers: see `cpu.integer_preset`.
        instructions: instruction sets that decide the speed of matrix products.
        free_bytes: memory that a new process can have; None where nothing tells.
    """

    driver: Driver
    tensorrt: TensorRt
    jetson: Jetson | None
    integers: str | None
    instructions: tuple[str, ...]
    free_bytes: int | None = None


def look(root: Path = _ROOT) -> Machine:
    """Ask this machine.

    Args:
        root: of the file system.
    """
    return Machine(
        driver=find_driver(root),
        tensorrt=find_tensorrt(root),
        jetson=find_jetson(root),
        integers=integer_preset(cpuinfo=root / "proc/cpuinfo"),
        instructions=instruction_sets(root / "proc/cpuinfo"),
        free_bytes=available_memory(root),
    )


def examine(here: Machine, root: Path = _ROOT) -> list[Finding]:
    """Everything but the bundles.

    Args:
        here: found by `look`.
        root: of the file system.
    """
    return [
        *_machine(here, root),
        *_runtimes(here),
        *_targets(here),
        *_libraries(),
    ]


def _machine(here: Machine, root: Path) -> Iterable[Finding]:
    facts = machine(root)
    cores = facts["cores"]
    yield Finding(
        "machine", "processor", "ok", f"{facts['processor']}, {cores} cores, {facts['system']}"
    )
    sets = ", ".join(here.instructions) or "none that is known"
    yield {
        "x86-vnni": Finding("machine", "8-bit integers", "ok", f"VNNI ({sets})"),
        "x86": Finding(
            "machine", "8-bit integers", "advice", f"no VNNI ({sets})",
            "export with --cpu x86: integers made for VNNI saturate here, and gain less speed",
        ),
        "arm64": Finding(
            "machine", "8-bit integers", "ok" if "asimddp" in here.instructions else "advice",
            f"arm64 ({sets})",
            "" if "asimddp" in here.instructions else
            "no dot products (asimddp): compare INT8 with float32 by edge-ser bench",
        ),
    }.get(here.integers or "", Finding(
        "machine", "8-bit integers", "advice", "unknown processor",
        "compare INT8 with float32 by edge-ser bench",
    ))  # fmt: skip
    free = here.free_bytes
    if free is None:
        yield Finding("machine", "free memory", "advice", "unknown", "")
    else:
        enough = free >= _ENOUGH_BYTES
        yield Finding(
            "machine", "free memory", "ok" if enough else "advice", f"{free / 1e9:.1f} GB",
            "" if enough else "enough for small models; WavLM-large in float32 needs 3 GB",
        )  # fmt: skip
    yield _gpu(here.driver)
    if here.jetson is not None:
        jetpack = here.jetson.jetpack
        yield Finding(
            "machine", "JetPack", "ok" if jetpack else "advice",
            f"{jetpack or 'package nvidia-jetpack not installed'}, Jetson Linux {here.jetson.l4t}",
            "" if jetpack else "for TensorRT, run: apt install nvidia-jetpack",
        )  # fmt: skip
    else:
        yield Finding("machine", "JetPack", "missing", "this is no Jetson")


def _gpu(driver: Driver) -> Finding:
    release = f"driver {driver.version}, " if driver.version else ""
    if driver.gpus and driver.cuda is not None:
        cards = "; ".join(f"{g.name} ({g.sm_name}, {g.memory_bytes / 1e9:.0f} GB)"
                          for g in driver.gpus)  # fmt: skip
        return Finding(
            "machine", "NVIDIA GPU", "ok", f"{cards}; {release}CUDA {_dotted(driver.cuda)}"
        )
    return Finding(
        "machine", "NVIDIA GPU", "missing", f"{release}{driver.trouble}",
        "only for trt targets: install NVIDIA's driver"
        if driver.cuda is None else "only for trt targets: see what nvidia-smi says",
    )  # fmt: skip


def _runtimes(here: Machine) -> Iterable[Finding]:
    ort, why = _import(import_onnxruntime)
    if ort is None:
        yield Finding("runtime", "onnx", "missing", why, f"run: {pip_package('onnxruntime')}")
    else:
        every = [p.removesuffix("ExecutionProvider") for p in ort.get_available_providers()]
        providers = [p for p in every if p != "Azure"]  # it asks a service, and computes nothing
        yield Finding(
            "runtime", "onnx", "ok", f"ONNX Runtime {ort.__version__}, {', '.join(providers)}"
        )
    yield _openvino(here)
    yield Finding("runtime", "trt", *running(here.driver, here.tensorrt, here.jetson is not None))
    torch = version("torch")
    yield Finding(
        "runtime", "torch", "ok" if torch else "missing", torch or "not installed",
        "" if torch else f"only for the reference: {pip_extra('export')}",
    )  # fmt: skip


def _openvino(here: Machine) -> Finding:
    """The second runtime for CPUs, whose gain depends on bfloat16."""
    flags = [f for f in here.instructions if f in BFLOAT16]
    has = f"bfloat16 ({', '.join(flags)})" if flags else "no bfloat16"
    release = version("openvino")
    if release:
        return Finding("runtime", "openvino", "ok", f"OpenVINO {release}, processor has {has}")
    gain = "faster for large INT8 models here" if flags else "faster where there is bfloat16"
    return Finding(
        "runtime", "openvino", "missing", f"not installed; processor has {has}",
        f"only for --runtime openvino, {gain}: {pip_extra('openvino')}",
    )  # fmt: skip


def _targets(here: Machine) -> Iterable[Finding]:
    onnx = importlib.util.find_spec("onnxruntime") is not None
    lacking = [p for m, p in _EXPORT.items() if importlib.util.find_spec(m) is None]
    export = "runs and exports here" if not lacking else "runs here"
    for name in ("onnx-fp32", "onnx-fp16", "onnx-int8"):
        if not onnx:
            yield Finding("target", name, "missing", "onnxruntime is not installed")
        elif name == "onnx-fp16":
            yield Finding(
                "target", name, "ok", f"{export}; half the file, computed in float32 on a CPU"
            )
        elif name == "onnx-int8" and here.integers != "x86-vnni":
            yield Finding(
                "target", name, "advice", export,
                "made for this processor only: give --cpu "
                f"{here.integers or 'of the device'} when it is exported elsewhere",
            )  # fmt: skip
        else:
            yield Finding("target", name, "ok", export)
    yield Finding("target", "trt-*", *building(here.driver, here.tensorrt, here.jetson is not None))


def _libraries() -> Iterable[Finding]:
    soundfile, why = _import(lambda: importlib.import_module("soundfile"))
    if soundfile is None:
        yield Finding(
            "library", "soundfile", "missing", why,
            f"no audio file can be read: run: {pip_package('soundfile')}, and where libsndfile is "
            "missing: apt install libsndfile1",
        )  # fmt: skip
    else:
        yield Finding(
            "library", "soundfile", "ok",
            f"{soundfile.__version__}, libsndfile {soundfile.__libsndfile_version__}",
        )  # fmt: skip
    soxr, why = _import(lambda: importlib.import_module("soxr"))
    yield Finding(
        "library", "soxr", "ok" if soxr else "missing", version("soxr") if soxr else why,
        "" if soxr else f"audio of other rates cannot be read: run: {pip_package('soxr')}",
    )  # fmt: skip
    found = {p: version(p) for p in _EXPORT.values()}
    lacking = [p for p, v in found.items() if not v]
    have = ", ".join(f"{p} {v}" for p, v in found.items() if v)
    yield Finding(
        "extra", "export", "missing" if lacking else "ok",
        "; ".join(filter(None, [have, f"without {', '.join(lacking)}" if lacking else ""])),
        f"to export and train: {pip_extra('export')}" if lacking else "",
    )  # fmt: skip


def _import(load: Callable[[], Any]) -> tuple[Any, str]:
    """A module that every device needs, or why it cannot be used."""
    try:
        return load(), ""
    except (ImportError, OSError) as error:  # OSError: its shared library is missing
        lines = str(error).splitlines()
        return None, lines[0] if lines else type(error).__name__


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def python_version() -> str:
    """Of the interpreter that runs this."""
    return _dotted(sys.version_info[:3])
