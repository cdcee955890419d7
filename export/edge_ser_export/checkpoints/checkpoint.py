"""What loading any kind of checkpoint gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from edge_ser_export.checkpoints.hub import Snapshot
from edge_ser_export.checkpoints.preprocessor import Prepare
from edge_ser_export.models.config import ModelConfig
from edge_ser_export.models.joint import JointModel


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        model: the joint model, in evaluation mode.
        kind: which of the known kinds.
        name: for people and file names.
        sha256: of the file, or of the names and hashes of all files used.
        notes: what was assumed because the checkpoint does not say.
        half: the weights are stored in 16 bits.
        epoch: of a run directory: `best`, `final`, or a number; None for other kinds.
        origin: the version of a hub's repository that it is; None: of no hub's cache.
        prepare: normalises samples as the checkpoint's own library does; None: it has none.
    """

    model: JointModel
    kind: str
    name: str
    sha256: str
    notes: tuple[str, ...] = ()
    half: bool = False
    epoch: str | None = None
    prepare: Prepare | None = None
    origin: Snapshot | None = None

    @property
    def config(self) -> ModelConfig:
        """Of the model."""
        return self.model.config

    def release(self) -> None:
        """Give the weights' memory back; the model cannot be used after it.

        Deleting the model is not enough: the exporter's caches hold on to parameters.
        """
        for parameter in self.model.parameters():
            parameter.data = torch.empty(0)
