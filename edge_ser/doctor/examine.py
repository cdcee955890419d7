"""What this machine has, and lacks, for each target and runtime.

Nothing heavy is imported: versions come from the metadata of installed packages, and the CUDA
driver is asked in a process of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from edge_ser.errors import LibraryError
from edge_ser.host.facts import machine
from edge_ser.host.finding import Finding
from edge_ser.host.nvidia import Driver
from edge_ser.host.packages import version
from edge_ser.host.survey import EXPORT_PACKAGES, Survey
from edge_ser.install import pip_extra
from edge_ser.libraries import import_library
from edge_ser_runtimes.diagnosis import diagnose

_ROOT = Path("/")
# A large model in float32, loaded: 1.4 GB of weights, most of them once more as packed.
_ENOUGH_BYTES = 3_000_000_000


def examine(survey: Survey, root: Path = _ROOT) -> list[Finding]:
    """Everything but the bundles.

    Args:
        survey: this machine.
        root: of the file system.
    """
    return [
        *_machine(survey, root),
        *_runtimes(survey),
        *_libraries(),
    ]


def _machine(survey: Survey, root: Path) -> Iterable[Finding]:
    facts = machine(root)
    cores = facts["cores"]
    yield Finding(
        "machine", "processor", "ok", f"{facts['processor']}, {cores} cores, {facts['system']}"
    )
    sets = ", ".join(survey.instructions) or "none that is known"
    yield {
        "x86-vnni": Finding("machine", "8-bit integers", "ok", f"VNNI ({sets})"),
        "x86": Finding(
            "machine", "8-bit integers", "advice", f"no VNNI ({sets})",
            "export with --cpu x86: integers made for VNNI saturate here, and gain less speed",
        ),
        "arm64": Finding(
            "machine", "8-bit integers", "ok" if "asimddp" in survey.instructions else "advice",
            f"arm64 ({sets})",
            "" if "asimddp" in survey.instructions else
            "no dot products (asimddp): compare INT8 with float32 by edge-ser bench",
        ),
    }.get(survey.integers or "", Finding(
        "machine", "8-bit integers", "advice", "unknown processor",
        "compare INT8 with float32 by edge-ser bench",
    ))  # fmt: skip
    free = survey.free_bytes
    if free is None:
        yield Finding("machine", "free memory", "advice", "unknown", "")
    else:
        enough = free >= _ENOUGH_BYTES
        yield Finding(
            "machine", "free memory", "ok" if enough else "advice", f"{free / 1e9:.1f} GB",
            "" if enough else "enough for small models; WavLM-large in float32 needs 3 GB",
        )  # fmt: skip
    yield _gpu(survey.driver)
    if survey.jetson is not None:
        jetpack = survey.jetson.jetpack
        yield Finding(
            "machine", "JetPack", "ok" if jetpack else "advice",
            f"{jetpack or 'package nvidia-jetpack not installed'}, "
            f"Jetson Linux {survey.jetson.l4t}",
            "" if jetpack else "for TensorRT, run: apt install nvidia-jetpack",
        )  # fmt: skip


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


def _runtimes(survey: Survey) -> Iterable[Finding]:
    """The runtimes, then what their targets can be used for here."""
    findings = list(diagnose(survey))
    yield from (f for f in findings if f.area == "runtime")
    torch = version("torch")
    yield Finding(
        "runtime", "torch", "ok" if torch else "missing", torch or "not installed",
        "" if torch else f"only for the reference: {pip_extra('export')}",
    )  # fmt: skip
    yield from (f for f in findings if f.area != "runtime")


def _libraries() -> Iterable[Finding]:
    for name, without_it in (
        ("soundfile", "no audio file can be read"),
        ("soxr", "audio of other rates cannot be read"),
    ):
        try:
            library = import_library(name, without_it)
        except LibraryError as error:
            yield Finding("library", name, "missing", error.found, f"{without_it}: {error.advice}")
            continue
        decoder = getattr(library, "__libsndfile_version__", "")
        found_version = version(name) or "unknown version"
        yield Finding(
            "library", name, "ok",
            f"{found_version}, libsndfile {decoder}" if decoder else found_version,
        )  # fmt: skip
    versions = {p: version(p) for p in EXPORT_PACKAGES.values()}
    lacking = [p for p, v in versions.items() if not v]
    have = ", ".join(f"{p} {v}" for p, v in versions.items() if v)
    yield Finding(
        "extra", "export", "missing" if lacking else "ok",
        "; ".join(filter(None, [have, f"without {', '.join(lacking)}" if lacking else ""])),
        f"to export and train: {pip_extra('export')}" if lacking else "",
    )  # fmt: skip


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def python_version() -> str:
    """Of the interpreter that runs this."""
    return _dotted(sys.version_info[:3])
