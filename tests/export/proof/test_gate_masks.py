"""Padding hidden once for all gated layers, or layer by layer where a gate could turn its sign."""

import pytest
import torch
from helpers.tiny_models import joint_config, random_joint

from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.reference import TransformersEncoder


@pytest.mark.parametrize(
    ("constant", "once"), [(0.7, True), (-0.8, True), (1.9, True), (-1.5, False), (2.5, False)]
)
def test_padding_is_hidden_whatever_the_gate(constant: float, once: bool) -> None:
    model = random_joint(joint_config("wavlm-layer")).eval()
    assert isinstance(model.encoder, TransformersEncoder)
    with torch.no_grad():
        for layer in model.encoder.model.encoder.layers:
            layer.attention.gru_rel_pos_const.fill_(constant)
    form = DeploymentModel(model, fast=True, doubles=True).eval()
    form.fold()
    assert form.encoder.gates_keep_sign is once
    generator = torch.Generator().manual_seed(1)
    long = torch.randn(1, 20_000, generator=generator)
    short = torch.randn(1, 6000, generator=generator)
    batch = torch.cat([long, torch.nn.functional.pad(short, (0, 14_000))])
    with torch.inference_mode():
        together = form(batch, torch.tensor([20_000, 6000]))[0]
        for row, alone in enumerate((long, short)):
            expected = model(alone, torch.tensor([alone.shape[1]]))[0]
            torch.testing.assert_close(together[row : row + 1], expected, atol=1e-5, rtol=0)
