"""Group normalisation folded into the convolution before it, against both written out."""

import numpy as np
import onnx_ir as ir
import pytest
import torch
from helpers.tiny_models import joint_config, random_joint
from helpers.traced_graphs import traced, types_of

from edge_ser_export.models.deployed import DeploymentEncoder
from edge_ser_export.models.reference import TransformersEncoder


def stems(weight: torch.Tensor | None = None) -> tuple[DeploymentEncoder, DeploymentEncoder]:
    """The same encoder, normalising in a pass of its own, and within the convolution."""
    model = random_joint(joint_config("wavlm-group"))
    assert isinstance(model.encoder, TransformersEncoder)
    if weight is not None:
        with torch.no_grad():
            model.encoder.model.feature_extractor.conv_layers[0].conv.weight.copy_(weight)
    apart = DeploymentEncoder(model.encoder).eval()
    return apart, DeploymentEncoder(model.encoder, doubles=True).eval()


def padded(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, n in zip(x, lengths, strict=True):
        row[:n] = rng.standard_normal(n) * rng.uniform(0.2, 3) + rng.uniform(-0.5, 0.5)
    return torch.from_numpy(x), torch.tensor(lengths)


@pytest.mark.parametrize("lengths", [[400], [16_000], [405, 9001, 12_345]])
def test_the_same_features(lengths: list[int]) -> None:
    apart, within = stems()
    with torch.inference_mode():
        samples, sizes = padded(lengths)
        expected, given = apart.stem(samples, sizes), within.stem(samples, sizes)
    assert expected.std() > 1e-3
    torch.testing.assert_close(given, expected, atol=2e-5, rtol=0)


def test_padding_changes_nothing() -> None:
    _, within = stems()
    samples, lengths = padded([6000, 20_000])
    with torch.inference_mode():
        together = within.stem(samples, lengths)[0]
        alone = within.stem(samples[:1, :6000], lengths[:1])[0]
    torch.testing.assert_close(together[: len(alone)], alone, atol=1e-5, rtol=0)


def test_a_filter_that_keeps_what_is_faint_is_normalised_right() -> None:
    """A small difference of large terms: what float32 sums over the windows would get wrong."""
    channels = stems()[0].convolutions[0].conv.weight.shape[0]
    difference = torch.tensor([1, -8, 28, -56, 70, -56, 28, -8, 1, 0], dtype=torch.float32)
    apart, within = stems(difference.expand(channels, 1, 10))
    time = torch.arange(16_000, dtype=torch.float64) / 16_000
    loud = torch.sin(2 * np.pi * 60 * time) + 1e-4 * torch.sin(2 * np.pi * 7000 * time)
    samples = loud.float()[None] * 2**0.5
    with torch.inference_mode():
        lengths = torch.tensor([16_000])
        single = within.stem(samples, lengths)
        # the convolution itself in float64, or the comparison would be with rounding errors; the
        # weights are shared, so this comes last
        exact = apart.double().stem(samples.double(), lengths).float()
    assert exact.std() > 1e-3
    torch.testing.assert_close(single, exact, atol=0.02 * float(exact.std()), rtol=0)


@pytest.mark.parametrize("kind", ["wavlm-group", "wav2vec2-group"])
@pytest.mark.parametrize("rewritten", [False, True])
def test_no_product_in_float64_reads_a_transposition(kind: str, rewritten: bool) -> None:
    """ONNX Runtime 1.19 to 1.25 fuse the two, through a Cast too, and then lack the operator."""
    graph = ir.load(traced(kind).optimized if rewritten else traced(kind).path)
    types = types_of(graph)
    products = [n for n in graph.graph if n.op_type == "MatMul"]
    exact = [n for n in products if types[n.outputs[0].name] == ir.DataType.DOUBLE]
    assert len(exact) == 3  # covariance, its quadratic form, the bias
    for node in exact:
        for value in node.inputs:
            assert value is not None
            origin = value.producer()
            while origin is not None and origin.op_type == "Cast" and origin.inputs[0] is not None:
                origin = origin.inputs[0].producer()
            assert origin is None or origin.op_type != "Transpose", node.name
