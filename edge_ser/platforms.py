"""Systems for which pip has no package of a library that a device needs, and what to do there."""

from __future__ import annotations

import platform
import sys
import sysconfig

_32_BIT = "it has no package for 32-bit processors: install a 64-bit system and Python"
_MUSL = "it has no package for musl, as Alpine has: use a system with glibc, such as Debian"
_WINDOWS_ARM = "it has no package for Windows on Arm: install Python for x86-64, which runs there"


def why_no_package(module: str) -> str:
    """Why pip cannot bring a library here, with what helps; "" where it can, or nothing is known.

    Known of onnxruntime 1.32 and soxr 1.1, by the wheels that the package index has of them.

    Args:
        module: name of the Python module.
    """
    if module not in ("onnxruntime", "soxr"):
        return ""
    if sys.maxsize < 1 << 32:
        return _32_BIT
    if "musl" in (sysconfig.get_config_var("SOABI") or ""):
        return _MUSL
    on_arm = platform.machine().lower() in ("arm64", "aarch64")
    if module == "soxr" and sys.platform == "win32" and on_arm:
        return _WINDOWS_ARM
    return ""
