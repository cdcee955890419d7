"""What TensorRT can do here: run engines, and build them, which are two things.

TensorRT for RTX builds without a GPU, for GPUs elsewhere. TensorRT itself, and JetPack's `trtexec`,
build for the GPU they are on. Bundles are run by the Python modules alone.
"""

from __future__ import annotations

from typing import Literal

from edge_ser.host.nvidia import LEAST_SM, NOT_RTX, Driver, TensorRt
from edge_ser.install import JETSON_TENSORRT, pip_extra

State = Literal["ok", "missing", "advice"]
Told = tuple[State, str, str]
INSTALL_TENSORRT = f"install TensorRT's Python package (on a Jetson: {JETSON_TENSORRT})"


def running(driver: Driver, tensorrt: TensorRt, jetson: bool) -> Told:
    """Whether bundles of TensorRT run here: state, what is there, advice.

    Args:
        driver: of NVIDIA's GPUs.
        tensorrt: what is installed of it.
        jetson: whether this is one.
    """
    names = _names(tensorrt)
    if not names:
        if tensorrt.trtexec:
            return (
                "missing",
                "trtexec, which builds engines, but no Python module that runs them",
                f"for trt targets: {INSTALL_TENSORRT}",
            )
        how = "comes with JetPack" if jetson else pip_extra("trt")
        return "missing", "neither tensorrt_rtx nor tensorrt installed", f"for trt targets: {how}"
    if not driver.gpus:
        return "missing", f"{names}, but no GPU", "for trt targets: a GPU of NVIDIA's"
    gpu = driver.gpus[0]
    if gpu.sm < LEAST_SM:
        return (
            "missing",
            f"{names}, but {gpu.name} is {gpu.sm_name}",
            f"TensorRT needs sm{LEAST_SM[0]}{LEAST_SM[1]} or later: use an onnx target",
        )
    fit, troubles, advice = [], [], []
    for module, version in tensorrt.modules.items():
        needed = tensorrt.cuda.get(module, 12)
        if module == "tensorrt_rtx" and gpu.sm in NOT_RTX:
            troubles.append(f"{module} {version} has no engines for {gpu.sm_name}")
            advice.append(f"for trt targets: {INSTALL_TENSORRT}")
        elif driver.cuda is not None and driver.cuda < (needed, 0):
            has = ".".join(map(str, driver.cuda))
            troubles.append(f"{module} {version} needs CUDA {needed}, the driver has CUDA {has}")
            advice.append("update NVIDIA's driver, or use an onnx target")
        else:
            fit.append(f"{module} {version}")
    if not fit:
        return "missing", "; ".join(troubles), "; ".join(dict.fromkeys(advice))
    return "ok", f"{', '.join(fit)} on {gpu.sm_name}", ""


def building(driver: Driver, tensorrt: TensorRt, jetson: bool) -> Told:
    """Whether engines are built here, and run: state, what is there, advice.

    Args:
        driver: of NVIDIA's GPUs.
        tensorrt: what is installed of it.
        jetson: whether this is one.
    """
    state, found, advice = running(driver, tensorrt, jetson)
    if state == "ok":
        return "ok", f"builds and runs here: {found}", ""
    rtx = tensorrt.modules.get("tensorrt_rtx")
    if rtx is not None:
        return (
            "advice",
            f"builds here with tensorrt_rtx {rtx} for other GPUs; does not run here: {found}",
            "say with --device which GPU it is for",
        )
    if tensorrt.trtexec and not tensorrt.modules and driver.gpus:
        gpu = driver.gpus[0]
        if gpu.sm >= LEAST_SM:
            return (
                "advice",
                f"builds here with {tensorrt.trtexec} for {gpu.sm_name}; does not run here: "
                "no Python module",
                advice,
            )
    return "missing", found, ""


def _names(tensorrt: TensorRt) -> str:
    return ", ".join(f"{m} {v}" for m, v in tensorrt.modules.items())
