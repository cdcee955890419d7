"""Build bundles, and what stands in for opening them where there is no GPU."""

import shutil
from dataclasses import replace
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.fidelity.limits import FP16_LIMITS
from edge_ser.session import Session
from edge_ser_runtimes.engines.plan import EnginePlan, write_engine
from edge_ser_runtimes.registry import open_session
from helpers.rtx_graphs import preprocessing, typed


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def on_cpu(bundle: Bundle) -> Session:
    """What opens the engine where there is a GPU: here, the same typed graph on the CPU."""
    assert (bundle.root / "model.engine").is_file()
    return open_session(bundle, "onnx", 1)


def never(_: Bundle) -> Session:
    raise AssertionError("opened without a GPU")


def make(folder: Path, plan: EnginePlan) -> Path:
    """The default bundle as one of a TensorRT target."""
    # without the record of its proof, which is another target's
    shutil.copytree(DEFAULT_BUNDLE, folder, ignore=shutil.ignore_patterns("parity.json"))
    graph, _ = typed("spectral", "fp16")
    shutil.copy(graph, folder / "model.onnx")
    manifest = Bundle(folder, Bundle.open(DEFAULT_BUNDLE).manifest).manifest
    manifest = replace(
        manifest, target="trt-fp16", precision="fp16", graph="model.onnx",
        limits=FP16_LIMITS,
    )  # fmt: skip
    seal(folder, manifest.with_parts(engine=write_engine(plan, folder, preprocessing())))
    return folder
