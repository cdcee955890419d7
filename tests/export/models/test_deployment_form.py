"""The deployment form against Transformers' own modules."""

import itertools

import pytest
import torch
from helpers.tiny_models import ENCODERS, joint_config, noise, random_joint, run, run_one
from torch import Tensor, nn

from edge_ser_export.models.deployed import DeploymentEncoder, strided_windows
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import JointModel
from edge_ser_export.models.reference import TransformersEncoder

TRANSFORMERS = [n for n in ENCODERS if n != "spectral"]
REACH = 20  # of the relative position bias, in frames
# one frame, its edges, and many more frames than the bias reaches
LENGTHS = (400, 401, 719, 720, 20_000)

Built = tuple[JointModel, DeploymentModel]


@pytest.fixture(
    scope="module",
    params=itertools.product(TRANSFORMERS, (False, True), (False, True)),
    ids=lambda p: f"{p[0]}{'-windows' * p[1]}{'-folded' * p[2]}",
)
def built(request: pytest.FixtureRequest) -> Built:
    """A reference and its deployment form: with and without windows, folded and not."""
    name, windows, fold = request.param
    model = random_joint(joint_config(name), seed=1)
    form = DeploymentModel(model, windows)
    if fold:
        form.fold()
    return model, form


def frames(count: int) -> int:
    return (count - 400) // 320 + 1


@pytest.mark.parametrize("count", LENGTHS)
def test_form_equals_transformers(built: Built, count: int) -> None:
    model, form = built
    x = noise(count, seed=count)
    for reference, deployed in zip(run_one(model, x), run_one(form, x), strict=True):
        torch.testing.assert_close(deployed, reference, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [401, 20_000])
def test_frames_equal_those_of_transformers(built: Built, count: int) -> None:
    model, form = built
    x = noise(count, seed=count)
    with torch.inference_mode():
        reference, mask = model.encoder(x[None], torch.tensor([count]))
        deployed, deployed_mask = form.encoder(x[None], torch.tensor([count]))
    assert deployed.shape == (1, frames(count), 32)
    assert torch.equal(mask, deployed_mask)
    torch.testing.assert_close(deployed, reference, atol=2e-5, rtol=1e-5)


def test_long_input_is_beyond_the_reach_of_the_bias() -> None:
    assert frames(max(LENGTHS)) > 2 * REACH


def test_answers_depend_on_the_input(built: Built) -> None:
    _, form = built
    first, second = run_one(form, noise(9000, 1)), run_one(form, noise(9000, 2))
    assert (first[0] - second[0]).abs().max() > 1e-2
    assert (first[1] - second[1]).abs().max() > 1e-2


@pytest.mark.parametrize("after", [0.0, 3.0])
def test_padded_rows_equal_single_rows(built: Built, after: float) -> None:
    model, form = built
    lengths = [20_000, *LENGTHS, 7777]
    rows = [noise(n, seed=i) for i, n in enumerate(lengths)]
    batch = after * torch.randn(len(rows), max(lengths) + 500)
    for row, x in zip(batch, rows, strict=True):
        row[: x.numel()] = x
    together = run(form, batch, lengths)
    for index, x in enumerate(rows):
        for found, alone in zip(together, run_one(model, x), strict=True):
            torch.testing.assert_close(found[index : index + 1], alone, atol=1e-5, rtol=0)


def test_transformers_group_norm_itself_feels_padding() -> None:
    """What the form's group norm is for: without it, padded rows would differ."""
    model = random_joint(joint_config("wavlm-group"), seed=1)
    x = noise(4000)
    padded = run(model, torch.nn.functional.pad(x, (0, 16_000))[None], [4000])
    assert (padded[0] - run_one(model, x)[0]).abs().max() > 1e-3


@pytest.mark.parametrize("weight", ["gru_rel_pos_const", "gru_rel_pos_linear", "rel_attn_embed"])
def test_position_bias_and_its_gates_count(weight: str) -> None:
    """Equality above would be worth little if these weights did not reach the answer."""
    model = random_joint(joint_config("wavlm-layer"), seed=1)
    x = noise(20_000)
    before = run_one(DeploymentModel(model), x)
    for name, parameter in model.named_parameters():
        if weight in name:
            parameter.mul_(-1)
    after = run_one(DeploymentModel(model), x)
    assert (before[0] - after[0]).abs().max() > 1e-3


def test_building_and_folding_leave_the_reference_alone(built: Built) -> None:
    name = built[0].config.encoder
    model = random_joint(joint_config(name), seed=3)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    answers = run_one(model, noise(5000))
    form = DeploymentModel(model, windows=True)
    form.fold()
    run_one(form, noise(5000))
    found = model.state_dict()
    assert list(found) == list(state)
    assert all(torch.equal(found[k], state[k]) for k in state)
    assert all(torch.equal(a, b) for a, b in zip(run_one(model, noise(5000)), answers, strict=True))


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_unfolded_form_follows_the_reference_and_folded_form_does_not(name: str) -> None:
    model = random_joint(joint_config(name), seed=4)
    live, folded = DeploymentModel(model), DeploymentModel(model)
    folded.fold()
    x = noise(6000)
    before = run_one(folded, x)[0]
    for key, parameter in model.named_parameters():
        if "pos_conv_embed" in key and key.endswith("original0"):
            parameter.mul_(2)
    after = run_one(model, x)[0]
    assert (after - before).abs().max() > 1e-4
    torch.testing.assert_close(run_one(live, x)[0], after, atol=1e-5, rtol=0)
    torch.testing.assert_close(run_one(folded, x)[0], before, atol=0, rtol=0)


@pytest.mark.parametrize("windows", [False, True])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_gradients_reach_every_weight_that_the_reference_trains(name: str, windows: bool) -> None:
    def gradients(module: nn.Module, model: JointModel, x: Tensor) -> dict[str, Tensor]:
        module.zero_grad()
        vad, logits = module(x, torch.tensor([x.shape[1]] * x.shape[0]))
        (vad.square().sum() + logits.square().sum()).backward()
        return {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}

    model = random_joint(joint_config(name), seed=5).requires_grad_(True)
    x = torch.stack([noise(3000, 1), noise(3000, 2)])
    expected = gradients(model, model, x)
    found = gradients(DeploymentModel(model, windows), model, x)
    assert set(found) == set(expected)
    assert len(expected) > 50
    for key, value in expected.items():
        scale = float(value.abs().max()) + 1e-3
        # a bias of the keys moves no softmax: its gradient is rounding noise on both sides
        noise_floor = 1e-5 if key.endswith("k_proj.bias") else 0.0
        atol = 2e-4 * scale + noise_floor
        torch.testing.assert_close(found[key], value, atol=atol, rtol=0, msg=key)


def test_other_encoders_pass_through_unchanged() -> None:
    model = random_joint(joint_config("spectral"))
    form = DeploymentModel(model, windows=True)
    form.fold()
    assert form.encoder is model.encoder
    x = noise(5000)
    assert all(torch.equal(a, b) for a, b in zip(run_one(form, x), run_one(model, x), strict=True))


def test_a_model_without_region_head_gives_one_output() -> None:
    model = random_joint(joint_config("wavlm-group", region_count=0))
    outputs = DeploymentModel(model)(noise(4000)[None], torch.tensor([4000]))
    assert len(outputs) == 1
    assert outputs[0].shape == (1, 3)


def test_form_has_no_weights_of_its_own() -> None:
    model = random_joint(joint_config("wavlm-layer"))
    encoder = DeploymentEncoder(model.encoder)
    assert isinstance(model.encoder, TransformersEncoder)
    assert {id(p) for p in encoder.parameters()} <= {id(p) for p in model.parameters()}


# --- windows


GEOMETRIES = [(10, 5), (3, 2), (2, 2), (2, 1), (5, 3), (4, 4), (1, 1), (1, 3), (3, 5), (7, 2)]


@pytest.mark.parametrize(("kernel", "stride"), GEOMETRIES)
@pytest.mark.parametrize("channels", [1, 3])
def test_strided_windows_are_those_of_unfold(kernel: int, stride: int, channels: int) -> None:
    for n in [*range(kernel, kernel + 3 * stride + 2), 97, 400]:
        x = torch.randn(2, n, channels)
        windows = x.unfold(1, kernel, stride)  # [2, frames, channels, kernel]
        expected = windows.permute(0, 1, 3, 2).flatten(2)
        found = strided_windows(x, kernel, stride)
        assert found.shape == (2, (n - kernel) // stride + 1, kernel * channels), n
        assert torch.equal(found, expected), n
