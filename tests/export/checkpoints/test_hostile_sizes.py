"""Small checkpoints that ask for what no machine has: refused in one line, in little time."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.tiny_models import (
    WIDTH,
    Published,
    joint_config,
    published_audeering,
    random_joint,
    random_run,
    save_safetensors,
    wavlm_config,
)
from safetensors.torch import save_file
from transformers import WavLMModel

from edge_ser.errors import CheckpointError
from edge_ser_export.bounds import SIZES, shown
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.safe_pickle import load_state_dict
from edge_ser_export.models.reference import attention_of
from edge_ser_export.training.build import build_model, read_encoder

Lay = Callable[[Path], Path]
DEEP = "[" * 100_000


def own(path: Path, suffix: str = ".safetensors", **changes: Any) -> Path:
    """A file of our own format: a spectral model, whose configuration says something else."""
    config = joint_config("spectral")
    stated: Any = config.to_dict()
    encoder = {k: v for k, v in changes.items() if k in stated["encoder"]}
    stated["encoder"] |= encoder
    stated |= {k: v for k, v in changes.items() if k not in encoder}
    file = path / f"model{suffix}"
    state = {k: v.contiguous() for k, v in random_joint(config).state_dict().items()}
    header: dict[str, Any] = {"format": "edge-ser", "version": "1"}
    if suffix == ".safetensors":
        save_file(state, file, metadata=header | {"config": json.dumps(stated)})
    else:
        torch.save({**header, "config": stated, "state_dict": state}, file)
    return file


def own_text(path: Path, config: str) -> Path:
    file = path / "model.safetensors"
    save_file({"x": torch.zeros(1)}, file, {"format": "edge-ser", "version": "1", "config": config})
    return file


def published(path: Path, text: str = "", **changes: Any) -> Path:
    model = published_audeering()
    Published(model.config | changes, model.state, model.answer).save(path, save_safetensors)
    if text:
        (path / "config.json").write_text(text)
    return path


def with_tensor(path: Path, part: str, name: object, tensor: object) -> Path:
    run = random_run()
    run.states[part][name] = tensor  # type: ignore[index,assignment]
    run.save(path)
    return path


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = (value, value)
    return value


# what is laid, and what its refusal names
FORMS: dict[str, tuple[Lay, str]] = {
    "layers by config": (lambda p: own(p, num_hidden_layers=10**8), "num_hidden_layers up to 256"),
    "layers by published config": (
        lambda p: published(p, num_hidden_layers=10**8), "num_hidden_layers up to 256"),
    "layers by name": (
        lambda p: with_tensor(p, "ssl", "encoder.layers.99999999.x", torch.zeros(1)),
        "num_hidden_layers up to 256"),
    "layers by a name of 5000 digits": (
        lambda p: with_tensor(p, "ssl", f"encoder.layers.{'9' * 5000}.x", torch.zeros(1)),
        "1 unexpected"),
    "convolutions by config": (
        lambda p: own(p, conv_dim=[8] * 200_000), "entries of conv_dim up to 64"),
    "convolutions by name": (
        lambda p: with_tensor(
            p, "ssl", "feature_extractor.conv_layers.200000.conv.weight", torch.zeros(1)),
        "convolutions up to 64"),
    "long strides": (
        lambda p: own(p, conv_stride=[4096] * 7), "samples of a frame up to 192000"),
    "wide": (lambda p: own(p, hidden_size=2**40), "hidden_size up to"),
    "many heads": (lambda p: own(p, head_layers=10**7), "head_layers up to 64"),
    "many bands": (lambda p: own(p, mel_bands=10**9), "mel_bands up to 257"),
    "fine regions": (lambda p: own(p, region_count=10**9), "region_count up to"),
    "more than its tensors": (
        lambda p: own(p, hidden_size=16_384, intermediate_size=65_536, num_hidden_layers=24,
                      num_attention_heads=16), "missing"),
    "integer of 5000 digits": (
        lambda p: published(p, '{"model_type": "wav2vec2", "hidden_size": 1' + "0" * 5000 + "}"),
        "JSON"),
    "integer of 5000 digits in a pickle": (
        lambda p: own(p, ".pt", hidden_size=10**5000), "a pickle that is damaged"),
    "integer of 600 digits in a pickle": (
        lambda p: own(p, ".pt", hidden_size=10**600), "an integer of 1994 bits"),
    "deviation of 400 digits": (lambda p: own(p, std=10**400), "std like 1.0"),
    "nested JSON": (lambda p: published(p, DEEP), "JSON"),
    "nested JSON in metadata": (lambda p: own_text(p, DEEP), "JSON"),
    "shared tuples": (
        lambda p: own(p, ".pt", hidden_size=nested(200)), "parts of a tuple in a pickle up to"),
    "some shared tuples": (lambda p: own(p, ".pt", hidden_size=nested(15)), "hidden_size like"),
    "no model type": (lambda p: published(p, model_type=[]), "model_type []"),
    "type of a table": (lambda p: published(p, model_type={"a": 1}), "model_type {'a': 1}"),
    "version of a tensor": (
        lambda p: own_pickle(p, version=torch.zeros(3)), "version tensor"),
    "format of a tensor": (lambda p: own_pickle(p, format=torch.zeros(3)), "without edge-ser's"),
    "number as name": (
        lambda p: own_pickle(p, state_dict={1: torch.zeros(3)}), "named tensors"),
    "number as name of a field": (
        lambda p: own_pickle(p, config=joint_config("spectral").to_dict() | {1: 2}), "unknown 1"),
    "number as name in a part": (lambda p: with_tensor(p, "ssl", 10**600, torch.zeros(1)),
                                 "an integer of 1994 bits"),
    "float8": (
        lambda p: with_tensor(p, "ssl", "x", torch.zeros(2).to(torch.float8_e4m3fn)),
        "a tensor of float8_e4m3fn under x"),
    "meta": (lambda p: with_tensor(p, "ssl", "x", torch.empty(2, device="meta")),
             "a tensor without numbers (meta) under x"),
    "sparse": (lambda p: with_tensor(p, "ssl", "x", torch.eye(2).to_sparse()),
               "layout sparse_coo under x"),
    "one number many times": (
        lambda p: with_tensor(p, "ssl", "x", torch.zeros(1).expand(10**12)), "bytes"),
}  # fmt: skip


def own_pickle(path: Path, **changes: object) -> Path:
    file = own(path, ".pt")
    torch.save(torch.load(file, weights_only=True) | changes, file)
    return file


_UNDER_LIMIT = """
import resource, sys, time
from pathlib import Path
from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.load import load_checkpoint
import transformers.models.auto.modeling_auto
resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        load_checkpoint(Path(path))
        said = "accepted"
    except CheckpointError as error:
        said = str(error)
    except BaseException as error:
        said = f"{type(error).__name__}: {error!s:.200}".replace(chr(10), " ")
    slow = time.process_time() - start
    print(f"{path}\\t{said}\\t{slow}\\t{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}")
"""


def test_hostile_sizes_are_refused_in_one_line(tmp_path: Path) -> None:
    paths = {}
    for name, (lay, _) in FORMS.items():
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        paths[name] = str(lay(folder))
    # in a process of its own with a limit, for such a file may take all memory there is
    child = subprocess.run(
        [sys.executable, "-c", _UNDER_LIMIT, *paths.values()],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    rows = [line.split("\t") for line in child.stdout.splitlines()]
    assert [row[0] for row in rows] == list(paths.values()), child.stderr
    for (name, (_, words)), (_, said, seconds, peak_kb) in zip(FORMS.items(), rows, strict=True):
        assert words in said, (name, said)
        assert len(said) < 1000, name
        assert float(seconds) < 20, name
        assert int(peak_kb) < 3 << 20, name


@pytest.mark.parametrize("name", ["num_hidden_layers", "hidden_size", "mel_bands"])
def test_a_bound_is_the_largest_that_is_taken(tmp_path: Path, name: str) -> None:
    largest, reason = SIZES[name]
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(own(tmp_path, **{name: largest + 1}))
    assert f"{name} up to {largest} ({reason}), found {largest + 1}" in str(caught.value)
    with pytest.raises(CheckpointError) as caught:  # by the tensors, which are of another size
        load_checkpoint(own(tmp_path, **{name: largest}))
    assert "up to" not in str(caught.value)


def test_one_tensor_under_two_names_is_read(tmp_path: Path) -> None:
    weight = torch.randn(200, 200)
    torch.save({"a": weight, "b": weight}, tmp_path / "x.pt")
    assert set(load_state_dict(tmp_path / "x.pt")) == {"a", "b"}
    torch.save({"a": weight, "b": weight, "c": weight}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="bytes"):
        load_state_dict(tmp_path / "x.pt")


def test_whatever_is_shown_is_short() -> None:
    assert shown(nested(300)).startswith("((((")
    assert shown(10**100_000) == "an integer of 332193 bits"
    assert len(shown("x" * 10_000)) <= 60
    assert shown([1, "a"]) == "[1, 'a']"


# --- an encoder to train from


def encoder_folder(path: Path, **changes: Any) -> Path:
    folder = path / "encoder"
    WavLMModel(wavlm_config()).save_pretrained(folder)
    described = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(described | changes))
    return folder


@pytest.mark.parametrize("field", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize(
    "name", ["kernels-community/flash-attn", "flash_attention_2", "paged|sdpa"]
)
def test_the_attention_that_a_config_names_is_not_asked_for(
    tmp_path: Path, field: str, name: str
) -> None:
    folder = encoder_folder(tmp_path, **{field: name})
    assert read_encoder(str(folder)).hidden_size == WIDTH
    encoder: Any = build_model(str(folder)).encoder
    assert encoder.model.config._attn_implementation == "eager" == attention_of("wavlm")


def test_every_configuration_names_its_attention() -> None:
    assert attention_of("wav2vec2") == "sdpa"
    for name in ("wavlm-layer", "wav2vec2-layer"):
        model: Any = random_joint(joint_config(name)).encoder
        assert model.model.config._attn_implementation == attention_of(model.config.kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_hidden_layers": 10**8},
        {"hidden_size": 4096, "num_hidden_layers": 48},
        {"model_type": []},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
        {"conv_dim": [8] * 100_000},
    ],
    ids=lambda c: next(iter(c)),
)
def test_an_encoder_that_its_files_do_not_hold_is_not_built(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = encoder_folder(tmp_path, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as caught:
        build_model(str(folder))
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20


def test_an_encoder_that_is_an_adapter_is_refused(tmp_path: Path) -> None:
    folder = encoder_folder(tmp_path)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    with pytest.raises(CheckpointError, match="merge the adapter"):
        build_model(str(folder))
