"""What `edge-ser bench` measures of bundles: each in a runtime, with the memory that it needs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_ser.bench.suite import System
from edge_ser.bench.work import Products
from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import BundleError, DeviceError, LibraryError, UsageError
from edge_ser.measure.process import ColdSystem

# Resident memory of a process that has loaded ONNX Runtime and numpy, but no model; measured.
_RUNTIME_BYTES = 50_000_000
# Least memory over file size, so that nothing is refused that would run: weights are read, and
# most of them packed anew for the processor. Float16 is widened to float32 before that.
_MEMORY_FACTOR, _WIDENED_FACTOR = 1.3, 2.6

# What a fresh process does once it has a recogniser.
COLD_USE = """
mark("load")
ser(sys.argv[4])
mark("first")
batch = int(sys.argv[6])
for _, outcome in ser.each([sys.argv[5]] * batch, batch_size=batch):
    if isinstance(outcome, Exception):
        raise outcome
"""
_COLD_BUNDLE = f"""
import edge_ser
mark("import")
ser = edge_ser.load(sys.argv[1], sys.argv[2], int(sys.argv[3]))
{COLD_USE}"""


def labels_of(bundles: Sequence[Path]) -> list[str]:
    """Names that tell bundles apart: of the directory, with its parents where they must.

    Args:
        bundles: directories or .zip files; none: the default bundle.
    """
    if not bundles:
        return ["default"]
    paths = [p.resolve() for p in bundles]
    for depth in range(1, max(len(p.parts) for p in paths) + 1):
        names = ["/".join(p.parts[-depth:]) for p in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def bundle_system(
    bundle: Bundle, path: Path, label: str, runtime: str, warn: Callable[[str], None]
) -> System:
    """A bundle in a runtime, which is opened later: here only what can be told at once.

    Args:
        bundle: opened.
        path: where it lies.
        label: name that tells it from other bundles.
        runtime: name of the registry, or "auto".
        warn: is told which runtime stands in for which, and why.

    Raises:
        UsageError: the runtime does not run the bundle's target.
    """
    from edge_ser_runtimes.registry import (
        RUNTIMES,
        open_session,
        runtimes_of,
        usual_runtimes_of,
    )

    m = bundle.manifest
    fitting, usual = runtimes_of(m.target), usual_runtimes_of(m.target)
    if runtime == "auto" and usual:
        runtime = _first_that_opens(bundle, usual, warn)
    if runtime not in fitting:
        raise UsageError(
            f"{label}/{runtime}",
            expected=f"a runtime for {m.target} ({', '.join(fitting) or 'none here'})",
            found=runtime,
            advice="choose another --runtime, or export for it",
        )
    widened = m.weight_storage == "float16" and m.precision == "fp32"
    factor = _WIDENED_FACTOR if widened else _MEMORY_FACTOR
    graph = sum(f.bytes for f in m.files if f.path.startswith(m.graph))

    def cold(threads: int, first: Path, longest: Path, batch: int) -> ColdSystem:
        arguments = (path, runtime, threads, first, longest, batch)
        return ColdSystem(_COLD_BUNDLE, tuple(str(a) for a in arguments))

    products = None
    if m.graph.endswith(".onnx"):
        on_cpu = RUNTIMES[runtime].on_cpu  # the processor whose limit is measured
        products = Products(
            bundle.graph_path, m.preprocessing.sample_rate, cpu=on_cpu, owner=bundle
        )
    return System(
        name=f"{label}/{runtime}",
        runtime=runtime,
        manifest=m,
        target=m.target,
        precision=m.precision,
        sha256=next((f.sha256 for f in m.files if f.path == m.graph), ""),
        size_bytes=bundle.size_bytes,
        memory_bytes=_RUNTIME_BYTES + int(factor * graph),
        open=lambda threads: open_session(Bundle.open(path), runtime, threads),
        cold=cold,
        products=products,
    )


def _first_that_opens(bundle: Bundle, runtimes: list[str], warn: Callable[[str], None]) -> str:
    """What `auto` of the registry would take; the last is not tried, as nothing comes after it."""
    from edge_ser_runtimes.registry import open_session

    for name, following in itertools.pairwise(runtimes):
        try:
            session = open_session(bundle, name)
        except (DeviceError, LibraryError, BundleError) as error:
            warn(f"runtime {following} instead of {name}: {error}")
        else:
            session.close()
            return name
    return runtimes[-1]
