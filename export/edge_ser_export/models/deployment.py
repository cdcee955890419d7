"""The deployment form of a joint model: the same weights, written for exporters and devices."""

from __future__ import annotations

from torch import Tensor, nn

from edge_ser_export.models.deployed import DeploymentEncoder
from edge_ser_export.models.encoders import Form, find_encoder
from edge_ser_export.models.joint import JointModel


class DeploymentModel(nn.Module):
    """A joint model with its encoder in deployment form; same inputs and outputs, see `shorten`.

    Args:
        model: the reference, whose parameters are shared.
        windows: compute the front end's convolutions as matrix products on channels-last
            windows. Equal, and about twice as fast to train on a CPU.
        fast: compute log-mel spectra with a quarter of the multiplications: for export.
        doubles: fold group normalisation into the convolution before it, which takes a few sums in
            float64: for CPUs.
    """

    def __init__(
        self, model: JointModel, windows: bool = False, fast: bool = False, doubles: bool = False
    ) -> None:
        super().__init__()
        kind = find_encoder(model.config.encoder.kind)
        self.encoder = kind.deploy(model.encoder, Form(windows, fast, doubles))
        self.pooling = model.pooling
        self.vad_head = model.vad_head
        self.region_head = model.region_head
        self.category_head = model.category_head
        self.outputs = model.config.outputs
        self.train(model.training)

    def shorten(self, depth: int | None) -> int:
        """Leave out all but the first layers, and give what comes out of each of these, too.

        Args:
            depth: layers that are left; None: all, and nothing between them is given.

        Returns:
            layers of the model; 0 where that is no more than `depth`, every layer is part of the
            answer, or the encoder is another: then nothing changes.
        """
        encoder = self.encoder
        if not isinstance(encoder, DeploymentEncoder):
            return 0
        layers = len(encoder.attentions)
        if (depth is not None and layers <= depth) or encoder.layer_weights is not None:
            return 0
        encoder.depth = depth
        return layers

    def fold(self) -> None:
        """Replace what is computed from weights alone by its value: for export, not training."""
        if isinstance(self.encoder, DeploymentEncoder):
            self.encoder.fold()

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        hidden, mask, *between = self.encoder(samples, lengths)
        pooled = self.pooling(hidden, mask)
        heads = (self.vad_head, self.region_head, self.category_head)
        return *(head(pooled) for head in heads if head is not None), *between
