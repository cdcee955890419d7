"""`edge-ser export --target trt-...` and `edge-ser build`: from the command to an engine."""

import contextlib
import io
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.documents import check_documents

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import Profile
from edge_ser.bundle.files import graph_sha256
from edge_ser.cli import main
from edge_ser.fidelity.limits import BF16_LIMITS, FP16_LIMITS
from edge_ser_runtimes.engines import build as building

Cli = Callable[..., Any]
pytestmark = [
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64") or platform.system() == "Darwin",
        reason="TensorRT for RTX has no wheel for this platform",
    ),
    pytest.mark.usefixtures("traced_once"),
]


def export(bundle: Path, *arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["export", "-o", str(bundle), *arguments])
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def fp16(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    bundle = tmp_path_factory.mktemp("fp16") / "bundle"
    code, out, err = export(
        bundle, "--target", "trt-fp16", "--device", "rtx-3060", "rtx-4090", "--profile",
        "1x0.5s:1x3s:2x12s",
    )  # fmt: skip
    assert code == 0, err
    return bundle, out


def test_an_engine_comes_out(fp16: tuple[Path, str]) -> None:
    bundle, out = fp16
    manifest = Bundle.open(bundle).manifest
    assert (manifest.target, manifest.precision) == ("trt-fp16", "fp16")
    assert manifest.limits == FP16_LIMITS
    engine = manifest.engine
    assert engine.file == "model.engine" and engine.graph == manifest.graph == "model.onnx"
    assert engine.graph_sha256 == graph_sha256(bundle / "model.onnx")
    assert (engine.sm, engine.device) == (("sm86", "sm89"), "rtx-3060, rtx-4090")
    assert engine.profiles == (Profile((1, 1, 2), (8000, 48_000, 192_000)),)
    assert engine.share >= 0.95 and engine.census.encoder == {"fp16": 1.0}
    assert engine.verified is False
    assert 1e-6 < manifest.parity.vad_max < FP16_LIMITS.vad, "rounded, and not too much"
    agreement = manifest.parity.agreement
    assert min(agreement.ccc.values()) >= 0.9999 and agreement.flip_rate == 0
    assert "engine: " in out and "for rtx-3060, rtx-4090 (sm86, sm89), TensorRT for RTX" in out
    assert "as asked: 100.0% of the encoder's multiplications" in out


def test_its_documents_are_sound(fp16: tuple[Path, str]) -> None:
    check_documents(fp16[0])


def test_inspect_shows_the_engine(
    fp16: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(fp16[0])]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["engine"].startswith("memory") or "fp16 for rtx-3060" in rows["engine"]
    assert rows["profiles"] == "1x0.5s:1x3s:2x12s"
    assert rows["as"].endswith("100.0% of the encoder (fp16 100.0%)")


def test_the_graph_answers_on_the_cpu(
    fp16: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(fp16[0]), "--runtime", "onnx"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("verified: this device gives the reference's answers, with onnx (")
    assert last.endswith("; the engine was not run")


def test_nothing_of_this_machine_is_told(fp16: tuple[Path, str]) -> None:
    bundle = fp16[0]
    for file in bundle.iterdir():
        content = file.read_bytes()
        for string in (str(bundle.parent), "site-packages", str(Path(__file__).parents[2])):
            assert string.encode() not in content, (file.name, string)


def test_bf16_has_a_form_for_the_cpu(tmp_path: Path, cli: Cli) -> None:
    bundle = tmp_path / "bundle"
    code, out, err = export(bundle, "--target", "trt-bf16", "--device", "orin")
    assert code == 0, err
    manifest = Bundle.open(bundle).manifest
    assert manifest.limits == BF16_LIMITS
    assert (manifest.graph, manifest.engine.graph) == ("model.onnx", "typed.onnx")
    assert manifest.engine.file == "" and manifest.engine.share == 1
    assert f"copy it there and run: edge-ser build {bundle.name}" in out
    assert cli("verify", bundle, "--runtime", "onnx").code == 0
    assert "not built yet, bf16 for orin (sm87), TensorRT" in cli("inspect", bundle).out
    check_documents(bundle)
    line = cli("build", bundle).error()
    assert line.startswith("TensorRT: expected a GPU of sm87 (orin)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "trt-fp16"], "--target trt-fp16: expected --device beside it, such as"),
        (["--target", "trt-fp8", "--device", "rtx-3060"], "FP8 matrix products (sm89 or later)"),
        (["--target", "trt-fp16", "--device", "pixel"], "--device: expected a GPU such as"),
        (["--target", "trt-fp16", "--device", "t4", "--trt-backend", "x"], "--trt-backend: expec"),
        (["--target", "trt-fp16", "--device", "t4", "--profile", "x"], "--profile: expected MIN"),
        (["--target", "trt-fp16", "--device", "t4", "--recipe", "static"], "options of lower prec"),
        (["--device", "t4"], "--device, --profile and --trt-backend: expected one of the targets"),
        (["--profile", "1x1s"], "--device, --profile and --trt-backend: expected one of the tar"),
    ],
)
def test_refusals_are_one_line(arguments: list[str], words: str, cli: Cli, tmp_path: Path) -> None:
    done = cli("export", "-o", tmp_path / "bundle", *arguments)
    assert done.code == 2 and done.out == ""
    (line,) = [x for x in done.err.splitlines() if "warning" not in x]
    assert words in line
    assert not (tmp_path / "bundle").exists()


def test_float32_needs_no_calibration(cli: Cli, tmp_path: Path) -> None:
    arguments = ["--target", "trt-fp32", "--device", "sm86", "--calibration", tmp_path]
    line = cli("export", *arguments).error()
    assert "a target of lower precision beside --calibration" in line


def test_no_tensorrt(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    line = cli("export", "--target", "trt-fp16", "--device", "rtx-4090").error()
    assert "expected the Python module `tensorrt_rtx`" in line and "edge-ser[trt]" in line


def test_ctrl_c_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(building, "_run", interrupted)
    code, _, err = export(tmp_path / "bundle", "--target", "trt-fp16", "--device", "rtx-4090")
    assert code == 130
    assert err.splitlines()[-1] == "edge-ser: error: interrupted"
    assert list(tmp_path.iterdir()) == []
