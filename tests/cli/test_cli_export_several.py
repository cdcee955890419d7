"""`edge-ser export --target A B`: a bundle for each target, from one trace and one reference."""

import json
from pathlib import Path
from typing import Any

import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli import main
from edge_ser_export import pipeline, shared
from edge_ser_export.precision import lower

pytestmark = pytest.mark.usefixtures("traced_once")
RECIPE = ("--recipe", "dynamic", "--force")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was loaded and traced, each time it was."""
    counted: list[str] = []

    def count(module: Any, name: str) -> None:
        original = getattr(module, name)

        def counting(*args: Any, **kwargs: Any) -> Any:
            counted.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, counting)

    count(pipeline, "load_checkpoint")
    count(shared, "trace")
    count(shared, "ask_reference")
    return counted


def test_each_target_gets_the_bundle_that_it_would_get_alone(
    tmp_path: Path, calls: list[str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    out = tmp_path / "out"
    code = main(["export", "--target", "onnx-fp32", "onnx-int8", *RECIPE, "-o", str(out)])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert calls == ["load_checkpoint", "trace", "ask_reference"]
    assert sorted(p.name for p in out.iterdir()) == ["onnx-fp32", "onnx-int8"]
    heads, plain, small = told.out.splitlines()
    assert heads.split() == ["target", "MB", "ms", "lowest", "CCC", "max", "verdict"]
    for line, target in ((plain, "onnx-fp32"), (small, "onnx-int8")):
        bundle = Bundle.open(out / target)
        name, size, ms, ccc, worst, verdict, path = line.split()
        assert (name, verdict, path) == (target, "passed:", str(out / target))
        assert size == f"{bundle.size_bytes / 1e6:.1f}"
        assert float(ms) > 0
        parity = bundle.manifest.parity
        assert parity is not None and parity.agreement is not None
        assert ccc == f"{min(parity.agreement.ccc.values()):.4f}"
        assert worst == f"{parity.vad_max:.1e}"
    assert main(["export", "--target", "onnx-fp32", "-o", str(tmp_path / "alone")]) == 0
    alone, shared_one = tmp_path / "alone", out / "onnx-fp32"
    for name in ("manifest.json", "model.onnx", "golden.npz", "parity.json"):
        assert (alone / name).read_bytes() == (shared_one / name).read_bytes(), name


def test_one_that_is_refused_leaves_its_page_and_the_others_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lower, "MIN_HALF_SHARE", 1.01)  # more than there is
    command = ["export", "--target", "onnx-fp16", "--target", "onnx-fp32", "--json"]
    out = tmp_path / "out"
    code = main([*command, "--fp16-form", "compute", "--force", "-o", str(out)])
    told = capsys.readouterr()
    assert code == 1
    refused, written = json.loads(told.out)["bundles"]
    assert (refused["target"], refused["passed"]) == ("onnx-fp16", False)
    assert "101% of the encoder's multiplications in float16" in refused["refused"]
    assert refused["refused"] in told.err
    assert (written["target"], written["passed"]) == ("onnx-fp32", True)
    assert written["fingerprint"] == Bundle.open(out / "onnx-fp32").fingerprint
    assert sorted(p.name for p in out.iterdir()) == [
        "onnx-fp16.refused.html", "onnx-fp16.refused.json", "onnx-fp32",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["onnx-fp32", "onnx-int9"], "--target: expected one of onnx-fp32"),
        (["onnx-fp32", "trt-fp16"], "--target trt-fp16: expected --device beside it"),
        (["onnx-fp32", "onnx-int8", "--device", "t4"], "--device, --profile and --trt-backend"),
        (["onnx-fp32", "trt-fp32", "--device", "t4", "--recipe", "static"], "lower precision"),
        (["onnx-fp32", "onnx-int8", "--runtime", "tensorrt"], "--runtime: expected"),
    ],
)
def test_what_is_wrong_for_any_is_refused_before_anything_starts(
    options: list[str], words: str, tmp_path: Path, calls: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    out = tmp_path / "out"
    assert main(["export", "--target", *options, "-o", str(out)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists() and calls == []


def test_no_bundle_is_written_into_a_bundle(
    bundle_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(bundle_dir.iterdir())
    command = ["export", "--target", "onnx-fp32", "onnx-fp16", "-o", str(bundle_dir)]
    assert main(command) == 2
    assert "expected a folder for a bundle of each target" in capsys.readouterr().err
    assert sorted(bundle_dir.iterdir()) == before


def test_a_target_named_twice_is_meant_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["export", "--target", "onnx-fp32", "onnx-fp32", "spectral", "-o", str(out)]) == 0
    assert (out / "manifest.json").is_file()
    assert capsys.readouterr().out.startswith(f"{out}: onnx-fp32")
