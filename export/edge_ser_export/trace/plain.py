"""A checkpoint's graph as it is traced, to compare a bundle's with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import Manifest, file_entry
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.trace.capture import trace
from edge_ser_runtimes.engines.plan import GRAPH


def traced_bundle(checkpoint: Checkpoint, manifest: Manifest, folder: Path) -> Bundle:
    """The checkpoint in float32, as a bundle that nobody has proved.

    Args:
        checkpoint: whose weights are there.
        manifest: of the bundle that is compared.
        folder: to write into.
    """
    preprocessing = manifest.preprocessing
    trace(
        checkpoint.model,
        folder / GRAPH,
        preprocessing.max_samples,
        preprocessing.min_samples,
        doubles=manifest.engine is None,
    )
    files = tuple(file_entry(folder, path) for path in sorted(folder.iterdir()))
    plain = replace(manifest, graph=GRAPH, files=files, precision="fp32", target="onnx-fp32")
    return Bundle(folder, plain.with_parts(lowered=None, engine=None, parity=None))
