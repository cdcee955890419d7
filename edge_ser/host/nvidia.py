"""NVIDIA GPU, driver, TensorRT and JetPack, as far as this machine has them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from edge_ser.host import nvidia_libraries
from edge_ser.host.child import code_command
from edge_ser.host.packages import is_installed, version

_ROOT = Path("/")
# In a process of its own: a driver that does not fit its kernel module can take the caller along.
# Numbers are those of cuda.h: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR.
_PROBE = """
import ctypes, json, sys
for name in sys.argv[1:]:
    try:
        cuda = ctypes.CDLL(name)
        break
    except OSError:
        pass
else:
    print(json.dumps({"driver": "none"}))
    sys.exit()
number = ctypes.c_int()
code = cuda.cuDriverGetVersion(ctypes.byref(number))
found = {"driver": "found", "cuda": [number.value // 1000, number.value % 1000 // 10], "gpus": []}
found["code"] = code = code or cuda.cuInit(0)
if not code:
    cuda.cuDeviceGetCount(ctypes.byref(number))
    for index in range(number.value):
        device, size, text = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(256)
        cuda.cuDeviceGet(ctypes.byref(device), index)
        cuda.cuDeviceGetName(text, 256, device)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
        sm = []
        for attribute in (75, 76):
            value = ctypes.c_int()
            cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
            sm.append(value.value)
        found["gpus"].append([text.value.decode(errors="replace"), sm, size.value])
print(json.dumps(found))
"""
# module -> packages that bring it; JetPack's and NVIDIA's own installers add others
MODULES = {
    "tensorrt_rtx": ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12", "tensorrt_rtx"),
    "tensorrt": ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
}
# Least compute capability of TensorRT for RTX (Turing) and of TensorRT 10 (Turing as well).
LEAST_SM = (7, 5)
# Later ones that TensorRT for RTX has no engines for: Jetsons, and GPUs of data centres.
NOT_RTX = frozenset({(8, 7), (9, 0), (10, 0), (10, 3), (11, 0)})
# where JetPack puts it, which is not on the path
_TRTEXEC = "usr/src/tensorrt/bin/trtexec"


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: as the driver tells it.
        sm: compute capability, such as (8, 7).
        memory_bytes: of the device; on a Jetson shared with the processor.
    """

    name: str
    sm: tuple[int, int]
    memory_bytes: int

    @property
    def sm_name(self) -> str:
        """Such as sm87."""
        return f"sm{self.sm[0]}{self.sm[1]}"


@dataclass(frozen=True)
class Driver:
    """What the CUDA driver says.

    Attributes:
        cuda: newest CUDA that it supports; None: there is no driver.
        version: of NVIDIA's package, such as 580.65.06; "" where nothing tells.
        gpus: that it can use.
        trouble: why it gave no GPU; "" where it did.
    """

    cuda: tuple[int, int] | None = None
    version: str = ""
    gpus: tuple[Gpu, ...] = field(default=())
    trouble: str = ""


def find_driver(
    root: Path = _ROOT,
    libraries: tuple[str, ...] | None = None,
    timeout_seconds: float = 30.0,
) -> Driver:
    """Ask the CUDA driver, in a fresh process.

    Args:
        root: of the file system.
        libraries: names of the driver's library; None: those of `nvidia_libraries`.
        timeout_seconds: for the process.
    """
    libraries = libraries or nvidia_libraries.CUDA_NAMES
    try:
        answer = subprocess.run(
            code_command(_PROBE, *libraries),
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Driver(trouble=f"the driver did not answer within {timeout_seconds:g} s")
    except OSError as error:  # no memory or no process left, or no interpreter to start
        return Driver(trouble=f"the driver cannot be asked: {error.strerror or error}")
    lines = answer.stdout.splitlines()
    if answer.returncode or not lines:
        return Driver(trouble=f"asking the driver ended with status {answer.returncode}")
    facts = json.loads(lines[-1])
    if facts["driver"] == "none":
        return Driver(trouble=f"no {libraries[0]}")
    gpus = tuple(Gpu(name, (sm[0], sm[1]), size) for name, sm, size in facts["gpus"])
    trouble = f"cuInit gave error {facts['code']}" if facts["code"] else ""
    return Driver(
        cuda=tuple(facts["cuda"]),
        version=_package(root),
        gpus=gpus,
        trouble=trouble or ("" if gpus else "the driver knows no GPU"),
    )


def _package(root: Path) -> str:
    text = _read(root / "proc/driver/nvidia/version")
    match = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", text)
    return match[1] if match else ""


@dataclass(frozen=True)
class TensorRt:
    """What is installed of TensorRT.

    Attributes:
        modules: Python modules with their versions.
        cuda: major version of CUDA that a module was made for; 12, the oldest, where it is absent.
        trtexec: the program that builds engines where there is no module; "" where there is none.
    """

    modules: dict[str, str] = field(default_factory=dict)
    cuda: dict[str, int] = field(default_factory=dict)
    trtexec: str = ""


def find_tensorrt(root: Path = _ROOT) -> TensorRt:
    """What is installed of TensorRT.

    Args:
        root: of the file system.
    """
    modules = tensorrt_modules()
    # the name of the package says it, as it does to the runtime
    cuda = {m: 13 if version(f"{m}_cu13") else 12 for m in modules}
    program = shutil.which("trtexec")
    if program is None and (root / _TRTEXEC).is_file():
        program = str(root / _TRTEXEC)
    return TensorRt(modules, cuda, program or "")


def tensorrt_modules() -> dict[str, str]:
    """Versions of the TensorRT modules that are installed, without importing them."""
    versions = {}
    for module, packages in MODULES.items():
        if not is_installed(module):
            continue
        versions[module] = next((v for p in packages if (v := version(p))), "unknown version")
    return versions


@dataclass(frozen=True)
class Jetson:
    """A Jetson's software.

    Attributes:
        l4t: release of Jetson Linux, such as 36.4.3.
        jetpack: version of the package nvidia-jetpack; "" where it is not installed.
    """

    l4t: str
    jetpack: str


def find_jetson(root: Path = _ROOT) -> Jetson | None:
    """JetPack's release; None where this is no Jetson.

    Args:
        root: of the file system.
    """
    text = _read(root / "etc/nv_tegra_release")
    if not text:
        return None
    match = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", text)
    package = re.search(
        r"^Package: nvidia-jetpack$(?:\n(?!\n).*)*?\nVersion: (\S+)",
        _read(root / "var/lib/dpkg/status"),
        re.MULTILINE,
    )
    l4t = f"{match[1]}.{match[2]}" if match else text.splitlines()[0].strip()
    return Jetson(l4t, package[1] if package else "")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
