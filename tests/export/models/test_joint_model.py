"""The reference model: each part against its formula, written out here, and padding invariance."""

import json

import librosa
import numpy as np
import pytest
import torch
from helpers.tiny_models import (
    ENCODERS,
    encoder_config,
    joint_config,
    noise,
    random_joint,
    randomize,
    run,
    run_one,
    wavlm_config,
)
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import HubertModel, Wav2Vec2Model, WavLMModel

from edge_ser_export.models.config import EncoderConfig, ModelConfig
from edge_ser_export.models.deployment import DeploymentModel
from edge_ser_export.models.joint import (
    AttentiveStatisticsPooling,
    JointModel,
    MeanPooling,
    RegressionHead,
    StylePooling,
    TanhHead,
)
from edge_ser_export.models.reference import (
    TransformersEncoder,
    conv_frame_mask,
    conv_geometry,
    transformers_config,
)
from edge_ser_export.models.spectral import FastLogMel, LogMel, mel_filters

MODELS = {"wavlm": WavLMModel, "wav2vec2": Wav2Vec2Model, "hubert": HubertModel}

Array = NDArray[np.float64]
POOLINGS = ("style", "attentive-statistics", "mean")


def wide(module: nn.Module) -> dict[str, Array]:
    return {k: v.double().numpy() for k, v in module.state_dict().items()}


def linear(w: dict[str, Array], name: str, x: Array) -> Array:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def mish(x: Array) -> Array:
    return x * np.tanh(np.log1p(np.exp(x)))


# --- style pooling


def style_pooling(w: dict[str, Array], x: Array, heads: int) -> Array:
    """One utterance, frame by frame: `[frames, inputs]` -> `[width]`."""
    for name in ("spectral.0.fc", "spectral.3.fc"):
        x = mish(linear(w, name, x))
    frames, width = x.shape
    for name in ("temporal.0.conv1.conv", "temporal.1.conv1.conv"):
        kernel, bias = w[f"{name}.weight"], w[f"{name}.bias"]  # [2 width, width, 5]
        y = np.zeros((frames, 2 * width))
        for t in range(frames):
            y[t] = bias
            for tap in range(5):
                if 0 <= t + tap - 2 < frames:
                    y[t] += kernel[:, :, tap] @ x[t + tap - 2]
        a, b = y[:, :width], y[:, width:]
        x = x + a / (1 + np.exp(-b))
    q, k, v = (linear(w, f"slf_attn.{n}", x) for n in ("w_qs", "w_ks", "w_vs"))
    size = width // heads
    parts = []
    for head in range(heads):
        s = slice(head * size, (head + 1) * size)
        parts.append(softmax(q[:, s] @ k[:, s].T / np.sqrt(width)) @ v[:, s])
    x = linear(w, "slf_attn.fc", np.concatenate(parts, 1)) + x
    return linear(w, "fc.fc", x).mean(0)


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 50])
@pytest.mark.parametrize(("inputs", "width"), [(12, 12), (10, 16)])
def test_style_pooling_is_its_formula(frames: int, inputs: int, width: int) -> None:
    pooling = randomize(StylePooling(inputs, width, 2), seed=frames).double()
    x = torch.randn(1, frames, inputs, dtype=torch.float64) * 2
    with torch.inference_mode():
        found = pooling(x, torch.ones(1, frames, dtype=torch.float64))
    expected = style_pooling(wide(pooling), x[0].numpy(), heads=2)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-9, atol=1e-9)


def test_style_pooling_has_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        pooling = StylePooling(1024, 1024, 2)
    linears = ("spectral.0.fc", "spectral.3.fc", "fc.fc", *(f"slf_attn.{n}" for n in (
        "w_qs", "w_ks", "w_vs", "fc")))  # fmt: skip
    expected = {f"{n}.weight": (1024, 1024) for n in linears}
    expected |= {f"{n}.bias": (1024,) for n in linears}
    for block in (0, 1):
        expected[f"temporal.{block}.conv1.conv.weight"] = (2048, 1024, 5)
        expected[f"temporal.{block}.conv1.conv.bias"] = (2048,)
    assert {k: tuple(v.shape) for k, v in pooling.state_dict().items()} == expected


# --- the other poolings and the heads


@pytest.mark.parametrize("frames", [1, 2, 9])
def test_attentive_statistics_pooling_is_its_formula(frames: int) -> None:
    pooling = randomize(AttentiveStatisticsPooling(6), seed=1).double()
    w = wide(pooling)
    assert set(w) == {"sap_linear.weight", "sap_linear.bias", "attention"}
    assert w["attention"].shape == (6, 1)
    x = torch.randn(1, frames, 6, dtype=torch.float64)
    with torch.inference_mode():
        found = pooling(x, torch.ones(1, frames, dtype=torch.float64))[0].numpy()
    h = np.tanh(linear(w, "sap_linear", x[0].numpy()))
    weight = softmax((h @ w["attention"])[:, 0])[:, None]
    mean = (weight * x[0].numpy()).sum(0)
    variance = (weight * x[0].numpy() ** 2).sum(0) - mean**2
    expected = np.concatenate([mean, np.sqrt(np.maximum(variance, 1e-5))])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    if frames == 1:  # no spread: the floor under the variance, not NaN
        np.testing.assert_allclose(found[6:], np.sqrt(1e-5))


@pytest.mark.parametrize("layers", [1, 2])
def test_regression_head_is_its_formula(layers: int) -> None:
    head = randomize(RegressionHead(10, 8, layers, 3), seed=2).double()
    w = wide(head)
    names = [f"fc.{i}.{j}" for i in range(layers) for j in (0, 1)] + ["out.0"]
    assert set(w) == {f"{n}.{p}" for n in names for p in ("weight", "bias")}
    x = np.random.default_rng(0).normal(size=(4, 10))
    with torch.inference_mode():
        found = head(torch.from_numpy(x)).numpy()
    for i in range(layers):
        x = linear(w, f"fc.{i}.0", x)
        x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
        x = np.maximum(x * w[f"fc.{i}.1.weight"] + w[f"fc.{i}.1.bias"], 0)
    np.testing.assert_allclose(found, linear(w, "out.0", x), rtol=1e-9, atol=1e-9)


def test_tanh_head_is_its_formula() -> None:
    head = randomize(TanhHead(10, 3), seed=3).double()
    w = wide(head)
    assert set(w) == {f"{n}.{p}" for n in ("dense", "out_proj") for p in ("weight", "bias")}
    x = np.random.default_rng(0).normal(size=(4, 10))
    with torch.inference_mode():
        found = head(torch.from_numpy(x)).numpy()
    expected = linear(w, "out_proj", np.tanh(linear(w, "dense", x)))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


# --- log-mel front end


@pytest.mark.parametrize("bands", [16, 40, 64])
def test_mel_filters_are_those_of_librosa(bands: int) -> None:
    expected = librosa.filters.mel(
        sr=16_000, n_fft=512, n_mels=bands, fmin=20.0, fmax=7600.0, htk=False, norm="slaney"
    )
    np.testing.assert_allclose(mel_filters(bands).numpy(), expected.T, rtol=1e-4, atol=1e-8)


def numpy_log_mel(x: Array, bands: int) -> Array:
    window = np.hanning(401)[:-1]  # periodic
    filters = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=bands, fmin=20, fmax=7600)
    frames = range((x.size - 400) // 160 + 1)
    power = [np.abs(np.fft.rfft(x[160 * t : 160 * t + 400] * window, 512)) ** 2 for t in frames]
    return np.log(np.array(power) @ filters.T + 1e-3)


@pytest.mark.parametrize("count", [400, 401, 559, 560, 719, 720, 16_000])
def test_log_mel_is_that_of_an_fft(count: int) -> None:
    x = noise(count, seed=count)
    found = LogMel(64)(x[None])[0].numpy()
    expected = numpy_log_mel(x.double().numpy(), 64)
    assert found.shape == expected.shape
    # the filters are rounded to half precision, which shows where a band holds next to nothing
    assert np.abs(found - expected).max() < 0.02
    assert np.abs(found - expected).mean() < 5e-4


@pytest.mark.parametrize("count", [400, 719, 16_000])
@pytest.mark.parametrize("form", [LogMel, FastLogMel])
def test_log_mel_is_that_of_its_rounded_filters(
    form: type[LogMel] | type[FastLogMel], count: int
) -> None:
    x = noise(count, seed=count)
    found = form(64)(x[None])[0].numpy()
    phase = 2 * np.pi * np.outer(np.arange(400), np.arange(257)) / 512
    window = np.hanning(401)[:-1, None]
    real, imaginary = window * np.cos(phase), window * np.sin(phase)
    filters = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=64, fmin=20, fmax=7600)
    half = filters.T.astype(np.float16).astype(np.float64)
    wide = x.double().numpy()
    rows = np.stack([wide[160 * t : 160 * t + 400] for t in range((count - 400) // 160 + 1)])
    power = ((rows @ real) ** 2 + (rows @ imaginary) ** 2) @ half
    np.testing.assert_allclose(found, np.log(power + 1e-3), atol=2e-5, rtol=0)


@pytest.mark.parametrize("count", [400, 561, 16_000])
@pytest.mark.parametrize("bands", [16, 64])
def test_fast_log_mel_is_the_log_mel(bands: int, count: int) -> None:
    loud, faint = noise(count, seed=1), noise(count, seed=2) * 1e-3
    x = torch.stack([loud, faint])
    torch.testing.assert_close(FastLogMel(bands)(x), LogMel(bands)(x), atol=2e-5, rtol=0)


def test_upper_bins_are_multiplied_by_upper_bands_alone() -> None:
    """More than half of the bands lie below 2 kHz, where one bin in four is."""
    fast = FastLogMel(64)
    low, *upper = (f for name, f in fast.named_buffers() if name.startswith("filters"))
    assert low.shape == (130, 64) and [f.shape for f in upper] == 3 * [(130, 32)]
    # every weight is there twice: for cosines and for sines
    kept = low.sum() + sum(f.sum() for f in upper)
    torch.testing.assert_close(kept, 2 * LogMel(64).filters.sum())


def test_log_mel_finds_a_tone_in_its_band() -> None:
    t = np.arange(8000) / 16_000
    centres = librosa.mel_frequencies(n_mels=66, fmin=20, fmax=7600)[1:-1]
    for band in (20, 40, 60):
        x = torch.from_numpy(np.sin(2 * np.pi * centres[band] * t)).float()
        assert LogMel(64)(x[None])[0].mean(0).argmax() == band


def test_log_mel_frame_count() -> None:
    front = LogMel(4)
    counts = {n: front(torch.zeros(1, n)).shape[1] for n in range(400, 2001)}
    assert counts == {n: (n - 400) // 160 + 1 for n in range(400, 2001)}


def test_log_mel_tables_are_not_weights() -> None:
    assert not LogMel(16).state_dict()


def test_spectral_encoder_does_not_feel_the_level_of_a_recording() -> None:
    model = random_joint(joint_config("spectral"))
    # loud enough that the floor under the logarithm is far below every band
    quiet, loud = 30 * noise(16_000), 300 * noise(16_000)
    for a, b in zip(run_one(model, quiet), run_one(model, loud), strict=True):
        torch.testing.assert_close(a, b, atol=2e-4, rtol=0)


# --- frames


@pytest.mark.parametrize("kind", ["wavlm-layer", "wav2vec2-group"])
def test_frame_mask_counts_what_the_convolutions_give(kind: str) -> None:
    config = encoder_config(kind)
    assert conv_geometry(config) == (400, 320)
    model = TransformersEncoder(config).model
    lengths = torch.tensor([400, 401, 719, 720, 721, 1039, 1040, 15_999, 16_000, 20_000])
    frames = model._get_feat_extract_output_lengths(lengths)
    mask = conv_frame_mask(lengths, int(frames.max()), config)
    assert mask.sum(1).int().tolist() == frames.tolist()
    assert (mask.diff(dim=1) <= 0).all()  # valid frames first


# --- the whole model


def test_names_are_those_of_transformers_and_the_training_code() -> None:
    config = joint_config("wavlm-layer")
    names = set(JointModel(config).state_dict())
    inner = {n.removeprefix("encoder.model.") for n in names if n.startswith("encoder.model.")}
    unmasked = wavlm_config(mask_time_prob=0.0)
    assert inner == set(WavLMModel(unmasked).state_dict())
    position = "encoder.pos_conv_embed.conv.parametrizations.weight"
    assert {f"{position}.original0", f"{position}.original1"} <= inner
    table = "attention.rel_attn_embed.weight"
    assert [n for n in sorted(inner) if n.endswith(table)] == [f"encoder.layers.0.{table}"]
    for layer in (0, 1):
        assert f"encoder.layers.{layer}.attention.gru_rel_pos_const" in inner
    rest = {n for n in names if not n.startswith("encoder.")}
    assert {n.split(".")[0] for n in rest} == {"pooling", "vad_head", "region_head"}
    for head in ("vad_head", "region_head"):
        assert {n for n in rest if n.startswith(head)} == {
            f"{head}.{n}.{p}" for n in ("fc.0.0", "fc.0.1", "out.0") for p in ("weight", "bias")
        }


def test_default_configuration_is_wavlm_large() -> None:
    config = transformers_config(ModelConfig().encoder)
    assert config.model_type == "wavlm"
    facts = dict(
        num_hidden_layers=24, hidden_size=1024, num_attention_heads=16, intermediate_size=4096,
        feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=False,
        num_buckets=320, max_bucket_distance=800,
    )  # fmt: skip
    assert {k: getattr(config, k) for k in facts} == facts
    assert list(config.conv_kernel) == [10, 3, 3, 3, 3, 2, 2]
    assert list(config.conv_stride) == [5, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("name", [n for n in ENCODERS if n != "spectral"])
def test_reference_is_transformers_module_and_the_parts(name: str) -> None:
    config = joint_config(name)
    model = random_joint(config)
    build = MODELS[name.partition("-")[0]]
    encoder = build(transformers_config(config.encoder)).eval()
    encoder.load_state_dict(model.encoder.model.state_dict())
    x = noise(9000)
    with torch.inference_mode():
        hidden = encoder(x[None]).last_hidden_state
        pooled = style_pooling(wide(model.pooling), hidden[0].double().numpy(), 2)
        vad, logits = run_one(model, x)
    assert hidden.shape[1] == 27
    pooled_row = torch.from_numpy(pooled).float()[None]
    torch.testing.assert_close(vad, model.vad_head(pooled_row), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits, model.region_head(pooled_row), atol=1e-5, rtol=0)


@pytest.mark.parametrize("regions", [0, 8, 19])
def test_outputs(regions: int) -> None:
    model = random_joint(joint_config("spectral", region_count=regions))
    with torch.inference_mode():
        vad, *logits = model(noise(4000)[None].repeat(5, 1), torch.full((5,), 4000))
    assert vad.shape == (5, 3)
    assert [x.shape for x in logits] == ([(5, regions)] if regions else [])
    assert not regions or not torch.allclose(run_one(model, noise(4000, 1))[0], vad[:1], atol=1e-3)


# --- padding: a row of a batch gives what the row alone gives, whatever follows it


@pytest.mark.parametrize("kind", POOLINGS)
@pytest.mark.parametrize("padding", [0.0, 50.0])
def test_poolings_do_not_feel_padding(kind: str, padding: float) -> None:
    pooling = {
        "style": StylePooling(12, 16, 2),
        "attentive-statistics": AttentiveStatisticsPooling(12),
        "mean": MeanPooling(),
    }[kind]
    randomize(pooling, seed=4)
    counts = (1, 2, 5, 17, 40)
    batch = torch.full((len(counts), 40, 12), padding)
    mask = torch.zeros(len(counts), 40)
    for row, count in enumerate(counts):
        batch[row, :count] = torch.randn(count, 12)
        mask[row, :count] = 1
    with torch.inference_mode():
        found = pooling(batch, mask)
        for row, count in enumerate(counts):
            alone = pooling(batch[row : row + 1, :count], torch.ones(1, count))
            torch.testing.assert_close(found[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def padded_batch(lengths: list[int], after: float) -> tuple[list[Tensor], Tensor]:
    rows = [noise(n, seed=i) for i, n in enumerate(lengths)]
    batch = after * torch.randn(len(rows), max(lengths))
    for row, x in zip(batch, rows, strict=True):
        row[: x.numel()] = x
    return rows, batch


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("after", [0.0, 3.0])
def test_models_do_not_feel_padding(name: str, pooling: str, after: float) -> None:
    model: nn.Module = random_joint(joint_config(name, pooling=pooling))
    if name.endswith("group"):  # Transformers' group norm takes in the padding; the form does not
        model = DeploymentModel(model)
    lengths = [400, 401, 719, 720, 5000, 9000]
    rows, batch = padded_batch(lengths, after)
    together = run(model, batch, lengths)
    for index, x in enumerate(rows):
        for found, alone in zip(together, run_one(model, x), strict=True):
            torch.testing.assert_close(found[index : index + 1], alone, atol=1e-5, rtol=1e-5)


# --- the configuration


def test_configuration_survives_json() -> None:
    config = joint_config("wavlm-group", neutral_radius=0.25, region_count=9)
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())), "test") == config
    assert isinstance(config.encoder, EncoderConfig)
