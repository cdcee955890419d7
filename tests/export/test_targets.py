"""A target is described once; whatever else names targets names the same ones."""

import subprocess
from pathlib import Path

import pytest
from helpers.export_sessions import open_session

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli import main
from edge_ser.errors import UsageError
from edge_ser.fidelity.limits import INT8_LIMITS
from edge_ser.host.child import code_command
from edge_ser_export import pipeline
from edge_ser_export.precision.options import PrecisionOptions
from edge_ser_export.targets import (
    TARGETS,
    Target,
    find_target,
    names_where,
    target_table,
    target_words,
)
from edge_ser_runtimes.engines.devices import PRECISIONS
from edge_ser_runtimes.engines.plan import EngineOptions, plan_engine

README = Path(__file__).parents[2] / "README.md"
# a machine under load is no reason to fail
TUNED = PrecisionOptions(recipe="static", force=True)
DEVICE = "rtx-5090"  # has all precisions


def test_the_command_line_and_the_readme_name_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    # argparse breaks lines at hyphens
    helped = "".join(capsys.readouterr().out.split())
    assert "".join(target_words().split()) in helped
    assert all(t.name in target_words() and t.words in target_words() for t in TARGETS.values())
    assert target_table() in README.read_text(encoding="utf-8")


def test_the_help_needs_no_library_of_the_export() -> None:
    code = """
import sys
for name in ("torch", "transformers", "onnx", "onnx_ir", "safetensors"):
    sys.modules[name] = None  # as where it is not installed
from edge_ser.cli import main
main(["export", "--help"])
"""
    child = subprocess.run(code_command(code), capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")
    assert "--target" in child.stdout


def test_an_unknown_one_is_refused_with_the_names() -> None:
    with pytest.raises(UsageError) as caught:
        find_target("coreml")
    assert all(name in str(caught.value) for name in TARGETS)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
def test_a_target_is_what_its_name_says(target: Target) -> None:
    family, precision = target.name.split("-")
    assert target.precision == precision
    assert target.has_engine == (family == "trt") == ("trt" in target.runtimes)
    assert ("openvino" in target.runtimes) == (family == "onnx")
    assert target.measures == (precision != "fp32")
    assert target.graphs[0] == "model.onnx"


def test_engines_come_in_the_precisions_of_devices() -> None:
    engines = [t for t in TARGETS.values() if t.has_engine]
    assert [t.precision for t in engines] == list(PRECISIONS)
    for target in engines:
        plan = plan_engine(target.precision, EngineOptions((DEVICE,)))
        assert plan.precision == target.precision
        assert plan.graph == target.graphs[-1], "the engine is built from the typed graph"


def test_what_can_be_tuned() -> None:
    assert names_where(lambda t: t.tunable) == ["onnx-fp16", "onnx-int8"]
    assert find_target("trt-fp8").limits == find_target("onnx-int8").limits == INT8_LIMITS


@pytest.mark.slow
@pytest.mark.parametrize("name", names_where(lambda t: not t.has_engine))
def test_bundles_hold_what_the_table_says(
    name: str, speech: tuple[Path, ...], tmp_path: Path
) -> None:
    options = pipeline.ExportOptions(
        "spectral", target=name, out=tmp_path / "bundle", speech=speech, max_seconds=2.0,
        precision=TUNED if find_target(name).tunable else PrecisionOptions(),
    )  # fmt: skip
    done = pipeline.export(options, open_session)
    graphs = {f.path for f in Bundle.open(done.path).manifest.files if f.path.endswith(".onnx")}
    assert graphs == set(find_target(name).graphs)
    assert done.manifest.limits == find_target(name).limits
