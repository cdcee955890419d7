"""Exported bundles, from end to end: real traces, in a real runtime."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from helpers.documents import check_documents
from helpers.export_sessions import Speech, open_session
from helpers.tiny_models import (
    MEAN,
    STD,
    half_exact,
    noise,
    published_baseline,
    random_joint,
    random_run,
    run_one,
    save_safetensors,
)
from onnx import TensorProto

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import DOCUMENTS, MANIFEST, PARITY
from edge_ser.fidelity.limits import FP32_LIMITS
from edge_ser.session import pad_batch
from edge_ser_export import pipeline
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.checkpoints.own_format import save_checkpoint
from edge_ser_export.models.config import ModelConfig
from edge_ser_export.models.joint import JointModel
from edge_ser_export.models.presets import PRESETS
from edge_ser_export.proof.cases import build_cases

REPOSITORY = Path(__file__).resolve().parents[2]


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
    published = published_baseline(num_hidden_layers=1)
    source = published.save(folder / "odyssey", save_safetensors)
    return export(source, folder / "headless", speech)


@pytest.fixture(scope="module", params=["preset", "group", "headless"])
def exported(request: pytest.FixtureRequest) -> Export:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Export)
    return found


@pytest.mark.slow
def test_bundle_opens_and_passed(exported: Export) -> None:
    bundle = exported.bundle
    made = {"model.onnx", "golden.npz", "parity.json", *DOCUMENTS}
    assert {f.path for f in bundle.manifest.files} == made
    check_documents(exported.done.path)
    assert bundle.manifest.target == "onnx-fp32"
    assert bundle.manifest.to_json() == exported.done.manifest.to_json()
    parity = bundle.manifest.parity
    assert parity.passed is True
    cases = build_cases(bundle.manifest.preprocessing, list(exported.options.speech))
    recorded = len(exported.bundle.golden().names)
    assert parity.utterances == 2 * len(cases) + 4 + 2 * recorded
    assert 0 < parity.vad_max < FP32_LIMITS.vad
    assert parity.region_flips == 0
    assert exported.done.path.stat().st_mode & 0o777 == 0o755
    assert len(exported.words) == pipeline.export_steps(exported.options)


@pytest.mark.slow
def test_its_heads_are_described(exported: Export) -> None:
    document = json.loads((exported.done.path / MANIFEST).read_bytes())
    assert document["schema"] == 2
    dimensions, *others = document["heads"]
    names = ["arousal", "dominance", "valence"]
    assert dimensions == {"kind": "dimensions", "output": "vad", "names": names}
    octants = [region["name"] for region in document["regions"]]
    regions = {"kind": "regions", "output": "region_logits", "names": octants}
    assert others == ([regions] if exported.model.config.region_count else [])
    shapes = {output["name"]: output["shape"] for output in document["outputs"]}
    assert shapes == {h["output"]: ["batch", len(h["names"])] for h in document["heads"]}


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
    assert [head.kind for head in headless.bundle.manifest.heads] == ["dimensions"]
    assert headless.bundle.golden().reference.region_logits is None
    x = noise(5000).numpy()
    outputs = open_session(headless.bundle).run(*pad_batch([x]))
    assert outputs.region_logits is None
    assert headless.done.manifest.parity.logits_max is None
    assert headless.done.manifest.licence == "MIT"


@pytest.mark.slow
def test_provenance(exported: Export) -> None:
    provenance = exported.done.manifest.provenance
    checkpoint = load_checkpoint(exported.source)
    assert provenance.checkpoint.sha256 == checkpoint.sha256
    assert provenance.checkpoint.kind == checkpoint.kind
    assert provenance.versions["torch"] == torch.__version__
    run = checkpoint.kind == "emosphere-run"
    assert provenance.options["epoch"] == ("best" if run else None)
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
    recorded = len(exported.bundle.golden().names)
    counts = {
        "single": len(cases), "padded": len(cases), "files": 4,
        "recorded": recorded, "batched": recorded,
    }  # fmt: skip
    assert {name: g["count"] for name, g in report["groups"].items()} == counts
    rows = report["utterances"]
    assert [r["group"] for r in rows] == [g for g, n in counts.items() for _ in range(n)]
    names = [r["name"] for r in rows]
    assert names[: len(cases)] == [c.name for c in cases]
    assert sorted(names[len(cases) : 2 * len(cases)]) == sorted(c.name for c in cases)
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
    # the files that were given first, and the package's where they are too few
    stems = [p.stem for p in speech]
    assert golden.names[: len(stems)] == stems and golden.names[-1] == f"{stems[0]}, shortest"
    assert len(golden.names) == len(set(golden.names)) == 17
    model = exported.model
    for index, samples in enumerate(golden.samples):
        assert samples.dtype == np.int16
        x = (samples.astype(np.float32) / 32768 - np.float32(MEAN)) / np.float32(STD + 1e-6)
        answers = run_one(model, torch.from_numpy(x))
        np.testing.assert_allclose(golden.reference.vad[index], answers[0][0], atol=1e-6, rtol=0)
        if golden.reference.region_logits is not None:
            np.testing.assert_allclose(
                golden.reference.region_logits[index], answers[1][0], atol=1e-6
            )
    assert golden.samples[-1].size == 400
    own = golden.own_in("onnx")
    assert own is not None and set(own.arrays) == set(golden.reference.arrays)
    assert not np.array_equal(own.vad, golden.reference.vad)
    np.testing.assert_allclose(own.vad, golden.reference.vad, atol=1e-4)
    assert (exported.bundle.root / "golden.npz").stat().st_size <= 420_000
    assert len(golden.names) == len(golden.samples) == golden.reference.vad.shape[0]


@pytest.mark.slow
def test_an_exported_bundle_may_be_copied(preset: Export, tmp_path: Path) -> None:
    shutil.copytree(preset.done.path, tmp_path / "copy")
    x = noise(9000).numpy()
    first = open_session(preset.bundle).run(*pad_batch([x]))
    second = open_session(Bundle.open(tmp_path / "copy")).run(*pad_batch([x]))
    assert np.array_equal(first.vad, second.vad)
