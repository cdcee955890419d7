"""Export from end to end: real traces, a real runtime, and a gate that closes when it must."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from tiny_models import (
    MEAN,
    STD,
    WIDTH,
    encoder_config,
    half_exact,
    joint_config,
    noise,
    random_joint,
    random_run,
    randomize,
    run_one,
    wavlm_config,
)
from torch import nn
from transformers import WavLMModel

from edge_ser.audio import Preprocessing
from edge_ser.bundle import MANIFEST, PARITY, Bundle
from edge_ser.decode import Outputs
from edge_ser.errors import DataError, GateError, UsageError
from edge_ser.session import Session, pad_batch
from edge_ser.sphere import Partition
from edge_ser_export import pipeline
from edge_ser_export.checkpoint import load_checkpoint
from edge_ser_export.config import ModelConfig
from edge_ser_export.deploy import DeploymentModel
from edge_ser_export.model import JointModel, RegressionHead
from edge_ser_export.optimize import store_half, strip_metadata
from edge_ser_export.parity import FP32_LIMITS, Reference, build_cases, parity_steps, run_parity
from edge_ser_export.presets import PRESETS
from edge_ser_export.store import save_checkpoint
from edge_ser_export.trace import trace
from edge_ser_runtimes import registry

REPOSITORY = Path(__file__).resolve().parents[2]
Speech = tuple[Path, ...]


def open_session(bundle: Bundle) -> Session:
    return registry.open_session(bundle, threads=1)


@dataclass
class Export:
    """A checkpoint, its bundle, and what was said on the way."""

    source: Path
    options: pipeline.ExportOptions
    done: pipeline.Exported
    words: list[str]

    @property
    def graph(self) -> onnx.ModelProto:
        return onnx.load(self.done.path / "model.onnx")

    @property
    def bundle(self) -> Bundle:
        return Bundle.open(self.done.path)

    @property
    def model(self) -> JointModel:
        return load_checkpoint(self.source).model


def export(source: Path, out: Path, speech: Speech) -> Export:
    words: list[str] = []
    options = pipeline.ExportOptions(str(source), out=out, speech=speech)
    return Export(source, options, pipeline.export(options, open_session, words.append), words)


def preset_model() -> JointModel:
    config = PRESETS["wavlm-tiny"]
    width = config.hidden_size
    model = random_joint(
        ModelConfig(encoder=config, pooling_dim=width, head_dim=width, mean=MEAN, std=STD)
    )
    half_exact(model)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def preset(folder: Path, speech: Speech) -> Export:
    """The WavLM preset with random weights, stored in float16."""
    source = folder / "preset.safetensors"
    save_checkpoint(preset_model(), source, half=True)
    return export(source, folder / "preset", speech)


@pytest.fixture(scope="module")
def group(folder: Path, speech: Speech) -> Export:
    """A run directory around a WavLM of the base style: group norm, norms after each block."""
    random_run("group").save(folder / "run")
    return export(folder / "run", folder / "group", speech)


@pytest.fixture(scope="module")
def headless(folder: Path, speech: Speech) -> Export:
    """The challenge baseline, which has no region head."""
    parts: dict[str, nn.Module] = {
        "ssl_model": randomize(WavLMModel(wavlm_config(num_hidden_layers=1)), 0),
        "pool_model.sap_linear": randomize(nn.Linear(WIDTH, WIDTH), 1),
        "ser_model": randomize(RegressionHead(2 * WIDTH, 24, 1, 3), 2),
    }
    state = {f"{p}.{k}": v for p, m in parts.items() for k, v in m.state_dict().items()}
    state["pool_model.attention"] = torch.randn(WIDTH, 1)
    source = folder / "odyssey"
    source.mkdir()
    save_file(state, source / "model.safetensors")
    config = {"model_type": "ser", "mean": MEAN, "std": STD}
    (source / "config.json").write_text(json.dumps(config))
    return export(source, folder / "headless", speech)


@pytest.fixture(scope="module", params=["preset", "group", "headless"])
def exported(request: pytest.FixtureRequest) -> Export:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Export)
    return found


@pytest.mark.slow
def test_bundle_opens_and_passed(exported: Export) -> None:
    bundle = exported.bundle
    assert {f.path for f in bundle.manifest.files} == {"model.onnx", "golden.npz", "parity.json"}
    assert bundle.manifest.target == "onnx-fp32"
    assert bundle.manifest.to_json() == exported.done.manifest.to_json()
    parity = bundle.manifest.parity
    assert parity["passed"] is True
    cases = build_cases(bundle.manifest.preprocessing, list(exported.options.speech))
    assert parity["utterances"] == 2 * len(cases) + 4
    assert 0 < parity["vad_max"] < FP32_LIMITS.vad
    assert parity["region_flips"] == 0
    assert exported.done.path.stat().st_mode & 0o777 == 0o755
    assert len(exported.words) == pipeline.export_steps(exported.options)


@pytest.mark.slow
def test_bundle_answers_as_the_checkpoint(exported: Export) -> None:
    session = open_session(exported.bundle)
    rows = [noise(n, seed=n) for n in (400, 401, 720, 20_000, 61_234, 192_000)]
    together = session.run(*pad_batch([x.numpy() for x in rows]))
    for index, x in enumerate(rows):
        expected = run_one(exported.model, x)
        single = session.run(*pad_batch([x.numpy()]))
        for found in (single.vad[0], together.vad[index]):
            np.testing.assert_allclose(found, expected[0][0].numpy(), atol=1e-4, rtol=0)
        if len(expected) > 1:
            assert single.region_logits is not None
            assert together.region_logits is not None
            for found in (single.region_logits[0], together.region_logits[index]):
                np.testing.assert_allclose(found, expected[1][0].numpy(), atol=1e-3, rtol=0)


@pytest.mark.slow
def test_inputs_and_outputs_are_named_and_dynamic(exported: Export) -> None:
    onnx.checker.check_model(exported.graph)
    session = ort.InferenceSession(str(exported.done.path / "model.onnx"))
    inputs = {i.name: i for i in session.get_inputs()}
    assert set(inputs) == {"samples", "lengths"}
    assert inputs["samples"].type == "tensor(float)"
    assert inputs["lengths"].type == "tensor(int64)"
    assert all(isinstance(d, str) for i in inputs.values() for d in i.shape)
    assert inputs["samples"].shape[0] == inputs["lengths"].shape[0]  # the same batch
    widths = {o.name: o.shape[1] for o in session.get_outputs()}
    headless = exported.source.name == "odyssey"
    assert widths == ({"vad": 3} if headless else {"vad": 3, "region_logits": 8})
    assert all(isinstance(o.shape[0], str) for o in session.get_outputs())
    specs = exported.done.manifest.inputs + exported.done.manifest.outputs
    assert [(s.name, s.shape) for s in specs] == [
        ("samples", ("batch", "n")),
        ("lengths", ("batch",)),
        *((name, ("batch", width)) for name, width in widths.items()),
    ]


@pytest.mark.slow
def test_opset(exported: Export) -> None:
    opsets = {o.domain: o.version for o in exported.graph.opset_import}
    assert opsets.get("", opsets.get("ai.onnx")) == 20
    assert exported.done.manifest.opset == 20
    assert {n.domain for n in exported.graph.graph.node} <= {"", "ai.onnx"}


@pytest.mark.slow
def test_graph_has_no_operators_that_masks_of_transformers_would_need(exported: Export) -> None:
    operators = {n.op_type for n in exported.graph.graph.node}
    assert not operators & {"NonZero", "CumSum", "If", "Loop", "Attention"}


@pytest.mark.slow
def test_no_trace_of_this_machine_is_left(exported: Export, folder: Path) -> None:
    model = exported.graph
    assert not model.doc_string
    assert not model.graph.doc_string
    assert not model.metadata_props
    for node in model.graph.node:
        assert not node.doc_string
        assert not node.metadata_props
    strings = [str(REPOSITORY), "site-packages", str(Path.home()), str(folder), ".py"]
    for file in exported.done.path.iterdir():
        content = file.read_bytes()
        for string in strings:
            if len(string) > 1:
                assert string.encode() not in content, (file.name, string)


@pytest.mark.slow
def test_preset_is_stored_in_half(preset: Export) -> None:
    assert preset.done.manifest.weight_storage == "float16"
    types = {t.data_type for t in preset.graph.graph.initializer if np.prod(t.dims) >= 512}
    assert TensorProto.FLOAT16 in types
    weights = sum(p.numel() for p in preset.model.parameters())
    size = (preset.done.path / "model.onnx").stat().st_size
    assert 2 * weights < size < 2.5 * weights


@pytest.mark.slow
def test_float32_weights_stay_float32(group: Export) -> None:
    assert group.done.manifest.weight_storage == "float32"
    assert TensorProto.FLOAT16 not in {t.data_type for t in group.graph.graph.initializer}


@pytest.mark.slow
def test_model_without_region_head(headless: Export) -> None:
    assert not headless.done.manifest.has_region_head
    assert headless.bundle.golden().region_logits is None
    x = noise(5000).numpy()
    outputs = open_session(headless.bundle).run(*pad_batch([x]))
    assert outputs.region_logits is None
    assert headless.done.manifest.parity["logits_max"] is None
    assert headless.done.manifest.licence == "MIT"


@pytest.mark.slow
def test_provenance(exported: Export) -> None:
    provenance = exported.done.manifest.provenance
    checkpoint = load_checkpoint(exported.source)
    assert provenance["checkpoint"]["sha256"] == checkpoint.sha256
    assert provenance["checkpoint"]["kind"] == checkpoint.kind
    assert provenance["versions"]["torch"] == torch.__version__
    manifest = exported.done.manifest
    assert (manifest.preprocessing.mean, manifest.preprocessing.std) == (MEAN, STD)
    assert ModelConfig.from_dict(manifest.architecture["config"], "manifest") == checkpoint.config


@pytest.mark.slow
def test_parity_report(exported: Export, speech: Speech) -> None:
    report = json.loads((exported.done.path / PARITY).read_text())
    assert report["passed"] is True
    assert report["failures"] == []
    assert report["limits"] == {"vad": 1e-4, "region_logits": 1e-3}
    cases = build_cases(exported.done.manifest.preprocessing, list(speech))
    counts = {"single": len(cases), "padded": len(cases), "files": 4}
    assert {name: g["count"] for name, g in report["groups"].items()} == counts
    rows = report["utterances"]
    assert [r["group"] for r in rows] == [g for g, n in counts.items() for _ in range(n)]
    names = [r["name"] for r in rows]
    assert names[: len(cases)] == [c.name for c in cases]
    assert sorted(names[len(cases) : -4]) == sorted(c.name for c in cases)
    for seconds in ("0.025", "0.5", "1", "3", "7.3", "12"):
        assert f"speech {seconds} s" in names
    for name, group in report["groups"].items():
        worst = max(r["vad_max"] for r in rows if r["group"] == name)
        assert group["vad_max"] == pytest.approx(worst, rel=1e-3)
        assert group["flips_far"] == 0
    # what the report calls the reference is the PyTorch model's answer, one utterance per run
    for case in cases:
        expected = run_one(exported.model, torch.from_numpy(case.samples))[0][0].tolist()
        said = [r["reference_vad"] for r in rows if r["name"] == case.name]
        assert len(said) == 2
        assert said[0] == said[1] == pytest.approx(expected, abs=2e-6)


@pytest.mark.slow
def test_recorded_answers_are_the_reference(exported: Export, speech: Speech) -> None:
    golden = exported.bundle.golden()
    assert golden.names == [*(p.stem for p in speech[:3]), f"{speech[0].stem}, shortest"]
    model = exported.model
    for index, samples in enumerate(golden.samples):
        assert samples.dtype == np.int16
        x = (samples.astype(np.float32) / 32768 - np.float32(MEAN)) / np.float32(STD + 1e-6)
        answers = run_one(model, torch.from_numpy(x))
        np.testing.assert_allclose(golden.vad[index], answers[0][0], atol=1e-6, rtol=0)
        if golden.region_logits is not None:
            np.testing.assert_allclose(golden.region_logits[index], answers[1][0], atol=1e-6)
    assert golden.samples[-1].size == 400
    assert len(golden.names) == len(golden.samples) == golden.vad.shape[0]


# --- what is refused before any work


def test_unknown_target_is_refused(tmp_path: Path, speech: Speech) -> None:
    options = pipeline.ExportOptions("spectral", target="coreml", out=tmp_path / "x", speech=speech)
    with pytest.raises(UsageError, match="onnx-fp32"):
        pipeline.export(options, open_session)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """The smallest model that can be exported; float16 would hold its float32 weights."""
    encoder = encoder_config("spectral", num_hidden_layers=1, hidden_size=64)
    model = random_joint(joint_config(encoder, pooling="mean", head="tanh", region_count=0))
    half_exact(model)
    path = folder / "plain.safetensors"
    save_checkpoint(model, path)
    return path


@pytest.mark.parametrize("name", ["photo.jpg", MANIFEST])  # others have manifests, too
def test_foreign_directory_is_left_alone(
    plain: Path, tmp_path: Path, speech: Speech, name: str
) -> None:
    out = tmp_path / "holiday"
    out.mkdir()
    (out / name).write_bytes(b"{}")
    with pytest.raises(UsageError, match="holiday"):
        pipeline.export(pipeline.ExportOptions(str(plain), out=out, speech=speech), open_session)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday"]
    assert [p.name for p in out.iterdir()] == [name]
    assert (out / name).read_bytes() == b"{}"


def test_too_short_a_longest_utterance_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--max-seconds"):
        trace(load_checkpoint(plain).model, tmp_path / "x.onnx", 16_000, 400)
    assert not list(tmp_path.iterdir())


# --- the gate


class Sabotaged:
    """A real session that is off by a thousandth, and by another where a row has 7.3 s."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        outputs = self.session.run(samples, lengths)
        off = np.where(lengths == 116_800, 2e-3, 1e-3).astype(np.float32)
        return Outputs(outputs.vad + off[:, None], outputs.region_logits)


def sabotaged(bundle: Bundle) -> Session:
    return Sabotaged(open_session(bundle))


def test_gate_closes_and_leaves_nothing(plain: Path, tmp_path: Path, speech: Speech) -> None:
    options = pipeline.ExportOptions(str(plain), out=tmp_path / "bundle", speech=speech)
    with pytest.raises(GateError) as caught:
        pipeline.export(options, sabotaged)
    error = caught.value
    assert error.exit_code == 1
    message = str(error)
    assert "single: VAD differs by 2.0" in message
    assert "files: VAD differs by 1.0" in message
    assert "limit 1e-04" in message
    assert "worst utterance: speech 7.3 s (" in message
    assert "no bundle was written" in message
    assert "\n" not in message
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def kept(plain: Path, folder: Path, speech: Speech) -> Path:
    """A bundle that failed the gate, kept as asked, where a good-looking one was before."""
    out = folder / "kept"
    out.mkdir()
    (out / MANIFEST).write_text('{"schema": 1, "graph": "model.onnx", "files": []}')
    options = pipeline.ExportOptions(str(plain), out=out, speech=speech, keep_failed=True)
    with pytest.raises(GateError, match="kept") as caught:
        pipeline.export(options, sabotaged)
    assert caught.value.exit_code == 1
    return out


def test_failed_bundle_is_kept_when_asked(kept: Path) -> None:
    bundle = Bundle.open(kept)  # replaces what was there, complete and with its hashes
    assert bundle.manifest.parity["passed"] is False
    assert bundle.manifest.parity["vad_max"] == pytest.approx(2e-3, rel=0.05)
    report = json.loads((kept / PARITY).read_text())
    assert report["passed"] is False
    assert len(report["failures"]) == 3
    assert [f.split(":")[0] for f in report["failures"]] == ["single", "padded", "files"]
    assert not [p for p in kept.parent.iterdir() if p.name.startswith(".")]


# --- the gate's cases, without an export


@pytest.mark.parametrize("seconds", [1.25, 2.0, 5.0, 12.0, 30.0])
@pytest.mark.parametrize("short", ["refuse", "pad"])
def test_cases_are_no_longer_than_the_model_takes(
    speech: Speech, seconds: float, short: str
) -> None:
    preprocessing = Preprocessing(max_seconds=seconds, short=short, mean=MEAN, std=STD)
    cases = build_cases(preprocessing, list(speech))
    sizes = [c.samples.size for c in cases]
    assert min(sizes) == preprocessing.min_samples
    assert max(sizes) <= preprocessing.max_samples, "a session refuses longer ones"
    assert all(c.samples.dtype == np.float32 and np.isfinite(c.samples).all() for c in cases)
    assert len({c.name for c in cases if "speech" in c.name}) >= 4


def test_cases_reach_from_one_frame_to_the_longest(speech: Speech) -> None:
    cases = build_cases(Preprocessing(mean=MEAN, std=STD), list(speech))
    assert {c.samples.size for c in cases} >= {400, 8000, 16_000, 48_000, 116_800, 192_000}
    assert {c.name for c in cases} >= {p.name for p in speech}  # each file by itself, too
    silence = [c for c in cases if "silence" in c.name]
    assert len(silence) == 2
    for case in silence:  # no more than the last of 16 bits
        raw = case.samples.astype(np.float64) * (STD + 1e-6) + MEAN
        assert np.abs(raw).max() < 1.001 / 32768


def test_gate_needs_speech() -> None:
    with pytest.raises(DataError, match="audio"):
        build_cases(Preprocessing(), [])


class InTorch:
    """A session that runs a module as it is, batch and all."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        with torch.inference_mode():
            vad, logits = self.module(torch.from_numpy(samples), torch.from_numpy(lengths))
        return Outputs(vad.numpy(), logits.numpy())


def gate(model: JointModel, session: Session, speech: Speech, words: list[str]) -> list[str]:
    config = model.config
    preprocessing = Preprocessing(mean=config.mean, std=config.std, eps=config.eps)
    parity = run_parity(
        Reference(model), session, preprocessing, Partition(), FP32_LIMITS, list(speech),
        words.append,
    )  # fmt: skip
    assert parity.passed == (not parity.failures)
    return parity.failures


def test_gate_finds_padding_that_leaks_into_a_batch(speech: Speech) -> None:
    model = random_joint(joint_config("wavlm-group"))
    words: list[str] = []
    assert gate(model, InTorch(DeploymentModel(model)), speech, words) == []
    assert len(words) == parity_steps(speech)
    failures = gate(model, InTorch(model), speech, [])
    assert failures
    assert all(f.startswith("padded: ") for f in failures)


@pytest.mark.parametrize("part", ["vad_head.out.0.bias", "region_head.out.0.bias"])
def test_gate_finds_one_weight_that_differs(speech: Speech, part: str) -> None:
    config = joint_config(encoder_config("spectral", num_hidden_layers=1))
    model, other = random_joint(config), random_joint(config)
    dict(other.named_parameters())[part][1] += 2e-3
    words = {f.split(" differ")[0].split(": ")[1] for f in gate(model, InTorch(other), speech, [])}
    assert words == ({"VAD"} if part.startswith("vad") else {"region logits"})


# --- passes over graphs


def session_of(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options)


def test_store_half_changes_no_bit_and_halves_the_file(kept: Path) -> None:
    wide = onnx.load(kept / "model.onnx")
    half = onnx.load(kept / "model.onnx")
    assert TensorProto.FLOAT16 not in {t.data_type for t in wide.graph.initializer}
    assert store_half(half) is True
    assert TensorProto.FLOAT16 in {t.data_type for t in half.graph.initializer}
    assert half.ByteSize() < 0.62 * wide.ByteSize()  # the graph itself stays as it is
    saved = wide.ByteSize() - half.ByteSize()
    large = sum(int(np.prod(t.dims)) for t in wide.graph.initializer if np.prod(t.dims) >= 512)
    assert saved > 1.9 * large
    onnx.checker.check_model(half)
    before, after = session_of(wide), session_of(half)
    for n in (400, 9000, 50_000):
        x = {"samples": noise(n)[None].numpy(), "lengths": np.array([n])}
        assert np.array_equal(before.run(None, x)[0], after.run(None, x)[0])
    assert store_half(half) is False  # nothing is left to do


def one_tensor(array: NDArray[np.float32]) -> onnx.ModelProto:
    """A graph that adds a stored tensor to its input."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, array.shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, array.shape)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [result],
        [numpy_helper.from_array(array, "w")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("value", "fits"),
    [(0.5, True), (65504.0, True), (2.0**-24, True), (0.1, False), (1e6, False), (1e-9, False),
     (float("inf"), True), (float("nan"), False)],
)  # fmt: skip
def test_store_half_takes_only_what_float16_holds(value: float, fits: bool) -> None:
    array = np.ones((32, 32), np.float32)
    array[7, 9] = value
    model = one_tensor(array)
    assert store_half(model) is fits
    x = np.zeros_like(array)
    assert np.array_equal(session_of(model).run(None, {"x": x})[0], array, equal_nan=True)


def test_store_half_leaves_small_tensors() -> None:
    model = one_tensor(np.ones(100, np.float32))
    assert store_half(model) is False
    assert model.graph.initializer[0].data_type == TensorProto.FLOAT


SECRET = "/home/somebody/model.py"


def annotate(graph: onnx.GraphProto) -> Iterator[str]:
    """Put notes wherever a graph can hold them, and say where."""
    graph.doc_string = SECRET
    yield "graph"
    for kind in ("node", "input", "output", "initializer", "value_info"):
        for item in getattr(graph, kind):
            item.doc_string = SECRET
            entry = item.metadata_props.add()
            entry.key, entry.value = "pkg.torch.onnx.stack_trace", SECRET
            yield kind
    entry = graph.metadata_props.add()
    entry.key, entry.value = "source", SECRET


def test_strip_metadata_removes_every_note() -> None:
    model = one_tensor(np.ones((2, 2), np.float32))
    value = helper.make_tensor_value_info("inner", TensorProto.FLOAT, [2, 2])
    model.graph.value_info.append(value)
    places = set(annotate(model.graph))
    assert places == {"graph", "node", "input", "output", "initializer", "value_info"}
    model.doc_string = SECRET
    entry = model.metadata_props.add()
    entry.key, entry.value = "author", SECRET
    assert strip_metadata(model) is True
    assert SECRET.encode() not in model.SerializeToString()
    assert strip_metadata(model) is False
    x = np.full((2, 2), 3, np.float32)
    assert np.array_equal(session_of(model).run(None, {"x": x})[0], x + 1)


def test_strip_metadata_reaches_inner_graphs_and_functions() -> None:
    inner = one_tensor(np.ones((2, 2), np.float32)).graph
    del inner.input[:]
    inner.output[0].name = inner.node[0].output[0] = "inner_y"
    list(annotate(inner))
    outer = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        "outer",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 2])],
    )  # fmt: skip
    function = helper.make_function(
        "local", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"], doc_string=SECRET)],
        [helper.make_opsetid("", 20)],
    )  # fmt: skip
    function.doc_string = SECRET
    model = helper.make_model(
        outer, opset_imports=[helper.make_opsetid("", 20)], functions=[function], ir_version=10
    )
    strip_metadata(model)
    assert SECRET.encode() not in model.SerializeToString()


@pytest.mark.slow
def test_an_exported_bundle_may_be_copied(preset: Export, tmp_path: Path) -> None:
    shutil.copytree(preset.done.path, tmp_path / "copy")
    x = noise(9000).numpy()
    first = open_session(preset.bundle).run(*pad_batch([x]))
    second = open_session(Bundle.open(tmp_path / "copy")).run(*pad_batch([x]))
    assert np.array_equal(first.vad, second.vad)
