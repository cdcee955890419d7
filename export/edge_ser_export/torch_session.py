"""The reference in PyTorch as a system of `edge-ser bench`, and as a recogniser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from edge_ser.bench.suite import System
from edge_ser.bench.systems import COLD_USE
from edge_ser.bench.work import Products
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import sha256
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import UsageError
from edge_ser.measure.process import ColdSystem
from edge_ser.recognizer import Recognizer
from edge_ser_export.builtin import find_checkpoint, installed_checkpoints
from edge_ser_export.checkpoints.checkpoint import Checkpoint
from edge_ser_export.checkpoints.load import load_checkpoint

TORCH = "torch"
# Resident memory of a process that has loaded torch and Transformers, but no model; measured.
_TORCH_BYTES = 250_000_000
_COLD_TORCH = f"""
from edge_ser_export.torch_session import torch_recognizer
mark("import")
ser = torch_recognizer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
{COLD_USE}"""


class TorchSession:
    """The reference model in PyTorch, eager, on the processor, in `session.Session`'s terms.

    Args:
        checkpoint: loaded.
        threads: for one operator.
    """

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        self.model, self.threads = checkpoint.model.eval(), threads

    def run(self, samples: Any, lengths: Any) -> Outputs:
        """Outputs of a padded batch."""
        # of the whole process: another system of the run may have other wishes
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            arrays = self.model(torch.from_numpy(samples), torch.from_numpy(lengths))
        named = zip(self.model.config.outputs, arrays, strict=True)
        return Outputs({name: array.numpy() for name, array in named})

    def close(self) -> None:
        """Nothing: the weights go with the last who uses the checkpoint."""


def torch_recognizer(checkpoint: str, bundle: str, threads: int) -> Recognizer:
    """A recogniser that runs a checkpoint in PyTorch, read as a bundle's manifest says.

    Args:
        checkpoint: as `edge-ser export` takes it.
        bundle: path of the bundle.
        threads: for one operator.
    """
    opened = Bundle.open(bundle)
    return Recognizer(opened, TorchSession(load_checkpoint(checkpoint), threads))


def torch_system(bundle: Bundle, path: Path, checkpoint: str | None) -> System:
    """The reference of a bundle.

    Args:
        bundle: opened.
        path: where it lies.
        checkpoint: as `edge-ser export` takes it; None: the one in this package that the bundle
            was made from.

    Raises:
        UsageError: the bundle's checkpoint is not in this package, and none was given.
    """
    m = bundle.manifest
    source = checkpoint
    digest = m.provenance.checkpoint.sha256
    if source is None:
        builtin = installed_checkpoints().items()
        source = next((name for name, file in builtin if sha256(file) == digest), None)
    if source is None:
        raise UsageError(
            f"{m.name}/torch",
            expected="a bundle of a checkpoint in this package, or --checkpoint",
            found=f"a bundle of checkpoint {str(digest)[:12]}...",
            advice="give its checkpoint with --checkpoint",
        )
    loaded = load_checkpoint(source)
    if loaded.config.heads != m.heads:
        raise UsageError(
            "--checkpoint",
            expected=f"the checkpoint of {m.name}",
            found="a model with other outputs",
        )
    file = find_checkpoint(source)
    size = sum(f.stat().st_size for f in ([file] if file.is_file() else file.rglob("*"))
               if f.is_file())  # fmt: skip

    def cold(threads: int, first: Path, longest: Path, batch: int) -> ColdSystem:
        arguments = (source, path, threads, first, longest, batch)
        return ColdSystem(_COLD_TORCH, tuple(str(a) for a in arguments), sys.executable)

    products = None
    if m.graph.endswith(".onnx") and digest == loaded.sha256:
        # the same model, so the same products, but in float32
        products = Products(
            bundle.graph_path, m.preprocessing.sample_rate, as_float=True, owner=bundle
        )
    parameters = sum(p.numel() for p in loaded.model.parameters())
    return System(
        name=f"{loaded.name}/{TORCH}",
        runtime=TORCH,
        manifest=m,
        target="checkpoint",
        precision="fp32",
        sha256=loaded.sha256,
        size_bytes=size,
        memory_bytes=_TORCH_BYTES + 4 * parameters,
        open=lambda threads: TorchSession(load_checkpoint(source), threads),
        cold=cold,
        products=products,
    )
