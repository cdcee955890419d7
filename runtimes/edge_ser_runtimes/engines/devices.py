"""GPUs by the names people know: their compute capability, and what TensorRT can do there.

Sources: compute capabilities, https://developer.nvidia.com/cuda-gpus; precisions per capability,
the hardware support matrix of TensorRT 10 and of TensorRT for RTX, as far as tensorrt-rtx 1.7 was
found to build for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_ser.errors import UsageError, did_you_mean

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")


@dataclass(frozen=True)
class Sm:
    """A compute capability.

    Attributes:
        name: `sm` and its digits, as compilers write it.
        generation: for people.
        precisions: that TensorRT multiplies in there.
        rtx: whether TensorRT for RTX builds for it, on whatever machine.
    """

    name: str
    generation: str
    precisions: frozenset[str]
    rtx: bool


def _sm(number: int, generation: str, rtx: bool, without: Sequence[str] = ()) -> Sm:
    return Sm(f"sm{number}", generation, frozenset(PRECISIONS) - set(without), rtx)


SMS = {
    s.name: s
    for s in (
        # tensorrt-rtx: "FP32 GEMM is not supported", "BF16 ... is not supported"
        _sm(75, "Turing", True, ("fp32", "bf16", "fp8")),
        _sm(80, "Ampere", True, ("fp8",)),
        _sm(86, "Ampere", True, ("fp8",)),
        _sm(87, "Jetson Orin", False, ("fp8",)),
        _sm(89, "Ada", True),
        _sm(90, "Hopper", False),
        _sm(100, "Blackwell, data centre", False),
        _sm(103, "Blackwell Ultra", False),
        _sm(110, "Jetson Thor", False),
        _sm(120, "Blackwell", True),
        _sm(121, "DGX Spark", True),
    )
}
_NAMES = {
    "sm75": "t4 rtx-2060 rtx-2070 rtx-2080 rtx-2080-ti gtx-1650 gtx-1660",
    "sm80": "a100 a30",
    "sm86": "a2 a10 a16 a40 rtx-a2000 rtx-a4000 rtx-a5000 rtx-a6000 rtx-3050 rtx-3060 rtx-3070 "
    "rtx-3080 rtx-3090",
    "sm87": "orin agx-orin orin-nx orin-nano",
    "sm89": "l4 l40 l40s rtx-2000-ada rtx-4000-ada rtx-6000-ada rtx-4050 rtx-4060 rtx-4070 "
    "rtx-4080 rtx-4090",
    "sm90": "h100 h200 gh200",
    "sm100": "b200 gb200",
    "sm103": "b300 gb300",
    "sm110": "thor agx-thor",
    "sm120": "rtx-5050 rtx-5060 rtx-5070 rtx-5080 rtx-5090 rtx-pro-6000",
    "sm121": "dgx-spark gb10",
}
# name -> compute capability
DEVICES = {name: sm for sm, names in _NAMES.items() for name in names.split()}
# Known, and known not to work.
_TOO_OLD = {
    "xavier": "sm72", "agx-xavier": "sm72", "xavier-nx": "sm72", "nano": "sm53",
    "jetson-nano": "sm53", "tx2": "sm62", "v100": "sm70",
    "gtx-1060": "sm61", "gtx-1070": "sm61", "gtx-1080": "sm61", "p4": "sm61", "p100": "sm60",
}  # fmt: skip


@dataclass(frozen=True)
class Device:
    """A GPU to build for.

    Attributes:
        name: as the user wrote it.
        sm: its compute capability.
    """

    name: str
    sm: Sm


def _plain(name: str) -> str:
    plain = name.strip().lower().replace(" ", "-").replace("_", "-").removeprefix("jetson-")
    return plain.removeprefix("geforce-")


def is_known(name: str) -> bool:
    """Whether `find_device` knows a name, be it as that of a GPU which is too old."""
    return any(_plain(name) in names for names in (DEVICES, SMS, _TOO_OLD, _TOO_OLD.values()))


def find_device(name: str) -> Device:
    """Look up a device.

    Args:
        name: in `DEVICES`, or a compute capability in `SMS`; case and spaces do not matter.

    Raises:
        UsageError: unknown, or too old for TensorRT 10.3.
    """
    plain = _plain(name)
    if plain in _TOO_OLD or plain in _TOO_OLD.values():
        raise UsageError(
            f"--device {name}",
            expected="a GPU that TensorRT 10.3 or newer supports: sm75 and later",
            found=f"{_TOO_OLD.get(plain, plain)}, whose last TensorRT cannot read this graph",
            advice="use an onnx target there",
        )
    sm = SMS.get(DEVICES.get(plain, plain))
    if sm is None:
        raise UsageError(
            "--device",
            expected=f"a GPU such as {', '.join(_examples())}, or one of {', '.join(SMS)}",
            found=name,
            advice=did_you_mean(plain, [*DEVICES, *SMS], cutoff=0.8),
        )
    return Device(plain, sm)


def _examples() -> list[str]:
    return [names.split()[-1] for names in _NAMES.values()]


def target_of(precision: str) -> str:
    """Name of the target whose engines compute in a precision of `PRECISIONS`."""
    return f"trt-{precision}"


def check_precision(precision: str, devices: Sequence[Device]) -> None:
    """Refuse a precision that a device does not multiply in.

    Args:
        precision: one of `PRECISIONS`.
        devices: that the engine is for.

    Raises:
        UsageError: naming the device and what it can do.
    """
    for device in devices:
        if precision in device.sm.precisions:
            continue
        able = [p for p in PRECISIONS if p in device.sm.precisions]
        needed = {"fp8": "sm89 or later", "bf16": "sm80 or later", "fp32": "sm80 or later"}
        raise UsageError(
            f"--target {target_of(precision)}",
            expected=f"a GPU with {precision.upper()} matrix products ({needed[precision]})",
            found=f"{device.name} ({device.sm.name}, {device.sm.generation})",
            advice=f"use {', '.join(map(target_of, able))} there",
        )
