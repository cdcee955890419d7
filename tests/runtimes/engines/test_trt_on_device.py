"""Build bundles: the engine made on the device, proved there, or everything left as it was."""

import errno
import os
import shutil
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.device_bundles import contents, make, never, on_cpu
from helpers.documents import check_documents
from helpers.rtx_graphs import backend, needs_rtx
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.calibrated import write_calibrated
from edge_ser.bundle.engine import Census, Profile
from edge_ser.bundle.files import BOM, CARD, graph_sha256
from edge_ser.bundle.score_reference import ScoreReference
from edge_ser.bundle.writing import seal
from edge_ser.cli import main
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError, DeviceError, GateError, MissingExtraError, UsageError
from edge_ser_runtimes.engines import on_device
from edge_ser_runtimes.engines.backend import load_backend
from edge_ser_runtimes.engines.on_device import build_on_device
from edge_ser_runtimes.engines.plan import EngineOptions, plan_engine

# --- what a build bundle is


@needs_rtx
def test_a_build_bundle_says_what_is_to_be_built(orin: Path) -> None:
    engine = Bundle.open(orin).manifest.engine
    assert (engine.file, engine.version, engine.verified) == ("", "", False)
    assert (engine.backend, engine.sm, engine.device) == ("tensorrt", ("sm87",), "orin")
    assert engine.profiles == (Profile((1, 1, 2), (16_000, 48_000, 192_000)),)
    assert engine.graph_sha256 == graph_sha256(orin / "model.onnx")
    assert engine.share == 1, "any parser here has taken the census"


def test_without_any_tensorrt_the_census_is_left_to_the_device(
    tmp_path: Path, here: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    path = make(tmp_path / "orin", plan_engine("fp16", EngineOptions(("orin",))))
    assert Bundle.open(path).manifest.engine.census == Census()


# --- TensorRT for RTX


@needs_rtx
def test_an_engine_is_built_and_proved(rtx: Path, here: Callable[[str | None], None]) -> None:
    here("sm86")
    done = build_on_device(rtx, on_cpu)
    manifest = Bundle.open(rtx).manifest
    assert manifest == done.manifest
    engine = manifest.engine
    assert (engine.file, engine.verified) == ("model.engine", True)
    assert (engine.version, engine.share) == (backend().version, 1)
    assert (rtx / "model.engine").read_bytes()[:4] == b"vtrt"
    assert not done.scores_lapsed, "it had none"
    assert done.verdict is not None and set(done.verdict.groups) == {"recorded", "batched", "own"}
    assert sorted(p.name for p in rtx.parent.iterdir()) == ["rtx"], "nothing beside it"


@needs_rtx
def test_scores_that_another_engine_gave_are_told_to_lapse(
    rtx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle.open(rtx)
    answers = np.linspace(1, 7, 30).reshape(10, 3)
    reference = ScoreReference.of(answers, "clips", bundle.manifest.files)
    calibrated = tmp_path / "calibrated"
    write_calibrated(bundle, reference, calibrated)
    assert Bundle.open(calibrated).score_reference == reference
    assert main(["build", str(calibrated)]) == 0
    words = "percentiles and intervals do not count any more, as another engine answers now"
    assert capsys.readouterr().err.count(words) == 1
    assert Bundle.open(calibrated).score_reference is None
    assert "are of another graph or engine" in (calibrated / CARD).read_text(encoding="utf-8")


@needs_rtx
def test_its_documents_tell_of_the_engine_and_the_old_ones_stay_as_they_were(
    rtx: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(rtx, kept, copy_function=os.link)  # the same files under other names
    before = contents(kept)
    build_on_device(rtx, never)
    check_documents(rtx)
    assert "model.engine, version" in (rtx / CARD).read_text()
    assert "model.engine" in (rtx / BOM).read_text()
    assert contents(kept) == before and b"not built yet" in before[CARD]


@needs_rtx
def test_without_a_gpu_it_is_built_and_not_called_verified(rtx: Path) -> None:
    done = build_on_device(rtx, never, ("rtx-3060", "rtx-5090"))
    assert done.verdict is None
    engine = Bundle.open(rtx).manifest.engine
    assert engine.verified is False
    assert (engine.sm, engine.device) == (("sm86", "sm120"), "rtx-3060, rtx-5090")
    again = build_on_device(rtx, never, ("rtx-5090", "sm86", "sm89"))
    assert again.manifest.engine.sm == ("sm120", "sm86", "sm89")
    assert again.replaced is None, "each GPU that had an engine has one"


@needs_rtx
def test_another_gpus_engine_is_not_replaced_unless_told(rtx: Path) -> None:
    build_on_device(rtx, never, ("rtx-3060", "rtx-5090"))
    before = contents(rtx)
    with pytest.raises(
        UsageError, match=r"found one for rtx-3060, rtx-5090 \(sm86, sm120\); copy .* --force"
    ):
        build_on_device(rtx, never, ("rtx-5090",))
    assert contents(rtx) == before
    done = build_on_device(rtx, never, ("sm89",), force=True)
    assert done.manifest.engine.sm == ("sm89",)
    assert done.replaced is not None and done.replaced.sm == ("sm86", "sm120")


@needs_rtx
def test_an_engine_of_no_use_here_is_replaced_and_told(
    rtx: Path, here: Callable[[str | None], None]
) -> None:
    build_on_device(rtx, never, ("rtx-3060",))
    here("sm120")
    done = build_on_device(rtx, on_cpu)
    assert done.engine.sm == ("sm120",)
    assert done.replaced is not None and done.replaced.device == "rtx-3060"


@needs_rtx
def test_another_gpu_gets_its_own_engine(rtx: Path, here: Callable[[str | None], None]) -> None:
    here("sm120")
    build_on_device(rtx, on_cpu)
    engine = Bundle.open(rtx).manifest.engine
    assert (engine.sm, engine.verified) == (("sm120",), True)


class Wrong:
    """An engine that answers otherwise."""

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        batch = lengths.size
        return Outputs.of(np.full((batch, 3), 0.5, np.float32), np.zeros((batch, 8), np.float32))

    def close(self) -> None:
        """Nothing to let go of."""


@needs_rtx
def test_an_engine_that_answers_otherwise_changes_nothing(
    rtx: Path, here: Callable[[str | None], None]
) -> None:
    here("sm86")
    before = contents(rtx)
    with pytest.raises(
        GateError, match=r"expected the recorded answers, .*the bundle is as it was"
    ):
        build_on_device(rtx, lambda _: Wrong())
    assert contents(rtx) == before
    assert sorted(p.name for p in rtx.parent.iterdir()) == ["rtx"]


@needs_rtx
def test_the_session_is_closed_where_its_run_fails(
    rtx: Path, here: Callable[[str | None], None]
) -> None:
    here("sm86")
    ends: list[str] = []

    class Failing:
        def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
            raise DeviceError("GPU", expected="answers", found="none")

        def close(self) -> None:
            ends.append("closed")

    with pytest.raises(DeviceError, match="expected answers"):
        build_on_device(rtx, lambda _: Failing())
    assert ends == ["closed"]


@needs_rtx
def test_a_full_disk_changes_nothing(rtx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(rtx)
    write = Path.write_bytes

    def full(path: Path, data: Any) -> int:
        if path.name == "model.engine":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left"):
        build_on_device(rtx, never)
    monkeypatch.undo()
    assert contents(rtx) == before
    assert sorted(p.name for p in rtx.parent.iterdir()) == ["rtx"]


@needs_rtx
def test_flipped_bytes_of_an_engine_are_refused_by_hash(rtx: Path) -> None:
    build_on_device(rtx, never)
    data = bytearray((rtx / "model.engine").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (rtx / "model.engine").write_bytes(bytes(data))
    with pytest.raises(BundleError, match=r"model.engine: expected sha256"):
        Bundle.open(rtx)


# --- refusals


def test_bundles_of_other_targets() -> None:
    with pytest.raises(
        UsageError, match=r"expected a bundle of a TensorRT target, found onnx-fp32"
    ):
        build_on_device(DEFAULT_BUNDLE, never)


def test_a_zip(tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"expected a directory, found a file; unpack it first"):
        build_on_device(tmp_path / "bundle.zip", never)


def test_another_graph_than_was_exported(orin: Path) -> None:
    manifest = Bundle.open(orin).manifest
    seal(orin, manifest.with_parts(engine=replace(manifest.engine, graph_sha256="0" * 64)))
    with pytest.raises(BundleError, match=r"expected the graph that was exported for this engine"):
        build_on_device(orin, never)


def test_a_precision_that_the_device_lacks(rtx: Path) -> None:
    manifest = Bundle.open(rtx).manifest
    seal(rtx, manifest.with_parts(engine=replace(manifest.engine, precision="fp8")))
    with pytest.raises(UsageError, match=r"--target trt-fp8: .* found rtx-3060"):
        build_on_device(rtx, never, ("rtx-3060",))


def test_no_driver(orin: Path) -> None:
    with pytest.raises(
        DeviceError,
        match=r"expected a GPU of sm87 \(orin\): .* found no NVIDIA driver that answers; "
        "run edge-ser build on the device",
    ):
        build_on_device(orin, never)


def test_not_this_device(orin: Path, here: Callable[[str | None], None]) -> None:
    here("sm86")
    with pytest.raises(
        DeviceError, match=r"expected a GPU of sm87 \(orin\), found sm86; leave out"
    ):
        build_on_device(orin, never, ("orin",))


def test_neither_module_nor_program(
    orin: Path, here: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    here("sm87")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(on_device, "find_trtexec", lambda: None)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    before = contents(orin)
    with pytest.raises(MissingExtraError, match=r"module `tensorrt`.*python3-libnvinfer"):
        build_on_device(orin, never)
    assert contents(orin) == before


def test_without_the_standard_module_a_build_bundle_is_planned(
    here: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    here("sm87")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert plan_engine("fp16", EngineOptions(("orin",))).backend is None
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(MissingExtraError, match=r"run: pip install tensorrt;"):
        load_backend("tensorrt")


# --- the standard TensorRT


class Standard(types.ModuleType):
    """The standard module, as far as it differs: it has no targets, and builds for the GPU here.

    Its classes are those of TensorRT for RTX; the GPU it "finds" is told to its builder.
    """

    __version__ = "10.3.0"

    def __init__(self) -> None:
        super().__init__("tensorrt")
        self.rtx = backend().module

    def __getattr__(self, name: str) -> Any:
        if name in ("ComputeCapability", "EngineValidity"):
            raise AttributeError(name)
        return getattr(self.rtx, name)

    def Builder(self, log: Any) -> Any:
        builder = self.rtx.Builder(log)
        module = self.rtx

        class Here:
            def create_builder_config(self) -> Any:
                config = builder.create_builder_config()
                config.num_compute_capabilities = 1
                config.set_compute_capability(module.ComputeCapability.SM86, 0)
                return config

            def __getattr__(self, name: str) -> Any:
                return getattr(builder, name)

        # the parser must be given the network of a real builder
        return Here()


@needs_rtx
def test_the_standard_module_builds_where_it_runs(
    orin: Path, here: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    here("sm87")
    monkeypatch.setitem(sys.modules, "tensorrt", Standard())
    build_on_device(orin, on_cpu)
    engine = Bundle.open(orin).manifest.engine
    assert (engine.backend, engine.version, engine.verified) == (
        "tensorrt", "10.3.0", True
    )  # fmt: skip
    assert engine.sm == ("sm87",) and engine.share == 1
