"""The operators that devices run are those that exports write: none is missing, none left over."""

import re
from pathlib import Path

import onnx_ir as ir
import pytest
from helpers.tiny_models import encoder_config, joint_config, random_joint
from helpers.trace_once import folder, trace_once
from helpers.traced_graphs import KINDS, MAX_SAMPLES, MIN_SAMPLES, traced

import edge_ser_export
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.onnx_graph import GraphFacts, read_graph
from edge_ser.bundle.operators import OPERATORS, foreign_operators
from edge_ser.errors import UsageError
from edge_ser_export.graph.operators import check_operators

OLD_BUNDLES = sorted((Path(__file__).parents[2] / "data" / "bundles-schema-1").glob("*.zip"))
# Encoders that are traced as Transformers writes them.
AS_WRITTEN = ("data2vec-audio", "unispeech", "unispeech-sat", "wav2vec2-conformer")
ALL = OPERATORS[""] | OPERATORS["com.microsoft"]


def of_file(path: Path) -> set[str]:
    return {name for _, name in read_graph(path.read_bytes(), path).operators}


def of_passes() -> set[str]:
    """What the export's own passes write, by their code."""
    code = [p.read_text() for p in Path(edge_ser_export.__file__).parent.rglob("*.py")]
    names = {name for text in code for name in re.findall(r'\bnode\(\s*"([A-Z]\w+)"', text)}
    assert {"MatMulIntegerToFloat", "QuantizeLinear", "DynamicQuantizeLinear"} <= names
    return names - {"Flatten"}  # in graphs that measure ranges and are thrown away


def of_encoder_as_written(kind: str) -> set[str]:
    model = random_joint(joint_config(encoder_config("wav2vec2-layer", kind=kind)))
    path = folder() / "traced.onnx"
    trace_once(model, path, MAX_SAMPLES, MIN_SAMPLES)
    return of_file(path)


def test_what_passes_write_is_run() -> None:
    assert of_passes() <= ALL


@pytest.mark.parametrize("path", OLD_BUNDLES, ids=lambda p: p.stem)
def test_what_earlier_versions_wrote_is_run(path: Path) -> None:
    bundle = Bundle.open(path)
    assert of_file(bundle.graph_path) <= ALL


@pytest.mark.slow
def test_the_list_is_what_exports_write_and_nothing_else() -> None:
    written = of_passes()
    for path in OLD_BUNDLES:
        bundle = Bundle.open(path)
        written |= of_file(bundle.graph_path)
    for kind in KINDS:
        written |= of_file(traced(kind).path) | of_file(traced(kind).optimized)
    for kind in AS_WRITTEN:
        written |= of_encoder_as_written(kind)
    assert written == ALL


def test_an_encoder_of_other_operators_is_refused_before_its_proof(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = ir.load(traced("spectral").path)
    next(node for node in model.graph if node.op_type == "Relu").op_type = "Celu"
    ir.save(model, path)
    with pytest.raises(UsageError, match=r"encoder sew: expected .*operators .*found Celu"):
        check_operators(path, "sew")
    check_operators(traced("spectral").path, "spectral")


def test_what_is_foreign_is_named() -> None:
    facts = GraphFacts(
        operators={("", "Loop"), ("", "Add"), ("trt", "Plugin"), ("com.microsoft", "Add")},
        domains={"", "trt", "com.microsoft"},
    )
    assert foreign_operators(facts) == ["Loop", "com.microsoft.Add", "trt.Plugin", "domain trt"]
