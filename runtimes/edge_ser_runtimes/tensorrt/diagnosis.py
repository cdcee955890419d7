"""What TensorRT can do here: run engines, and build them, which are two things.

TensorRT for RTX builds without a GPU, for GPUs elsewhere. TensorRT itself, and JetPack's `trtexec`,
build for the GPU they are on. Bundles are run by the Python modules alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_ser.bundle.bundle import Bundle
from edge_ser.host.finding import Finding, State
from edge_ser.host.nvidia import LEAST_SM, NOT_RTX, Driver, TensorRt
from edge_ser.host.survey import Survey
from edge_ser.install import JETSON_TENSORRT, RTX_TENSORRT, pip_extra

# state, what is there, advice
Answer = tuple[State, str, str]
INSTALL_TENSORRT = f"install TensorRT's Python package (on a Jetson: {JETSON_TENSORRT})"


# backend of an engine -> its module, how to get it, and how many parts of the version must be
# the same for it to load, as the runtime has it
_BACKENDS = {
    "rtx": ("tensorrt_rtx", RTX_TENSORRT, 4),
    "tensorrt": ("tensorrt", INSTALL_TENSORRT, 3),
}


def diagnose(survey: Survey) -> Iterable[Finding]:
    """Whether bundles of TensorRT run here, and whether engines are built here.

    Args:
        survey: this machine.
    """
    machine = survey.driver, survey.tensorrt, survey.jetson is not None
    yield Finding("runtime", "trt", *running(*machine))
    yield Finding("target", "trt-*", *building(*machine))


def misfit(bundle: Bundle, survey: Survey, words_said: str) -> str:
    """What does not fit between an engine and this machine; "" where it fits.

    Args:
        bundle: of any target.
        survey: this machine.
        words_said: what the user was told already, and is not told again.
    """
    engine = bundle.manifest.engine
    if engine is None:
        return ""
    advice = []
    module, install, parts = _BACKENDS[engine.backend]
    version = survey.tensorrt.modules.get(module)
    if version is None:
        advice.append(f"it needs the module {module}: {install}")
    built, made_by = bool(engine.file), engine.version
    if not built and "edge-ser build" not in words_said:
        advice.append(f"it has no engine yet: run edge-ser build {bundle.root}")
    # a module without a package, as from a tar file, has a version that is not known here
    elif (
        built
        and version
        and version[0].isdigit()
        and _first(version, parts) != _first(made_by, parts)
    ):
        advice.append(f"it was built by {module} {made_by}, here is {version}")
    gpus = [g.sm_name for g in survey.driver.gpus]
    if not gpus:
        advice.append("it needs a GPU of NVIDIA's: use an onnx target here")
    elif built and not set(engine.sm) & set(gpus):
        advice.append(f"it was built for {', '.join(engine.sm)}, here is {gpus[0]}: build it here")
    return "; ".join(advice)


def _first(version: str, parts: int) -> list[str]:
    return version.split(".")[:parts]


def running(driver: Driver, tensorrt: TensorRt, jetson: bool) -> Answer:
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
        how = "comes with JetPack" if jetson else f"{pip_extra('trt')} (x86-64)"
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


def building(driver: Driver, tensorrt: TensorRt, jetson: bool) -> Answer:
    """Whether engines are built here, and run: state, what is there, advice.

    Args:
        driver: of NVIDIA's GPUs.
        tensorrt: what is installed of it.
        jetson: whether this is one.
    """
    state, words, advice = running(driver, tensorrt, jetson)
    if state == "ok":
        return "ok", f"builds and runs here: {words}", ""
    rtx = tensorrt.modules.get("tensorrt_rtx")
    if rtx is not None:
        return (
            "advice",
            f"builds here with tensorrt_rtx {rtx} for other GPUs; does not run here: {words}",
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
    return "missing", words, ""


def _names(tensorrt: TensorRt) -> str:
    return ", ".join(f"{m} {v}" for m, v in tensorrt.modules.items())
