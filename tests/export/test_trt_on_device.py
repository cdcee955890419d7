"""Build bundles: the engine made on the device, proved there, or everything left as it was."""

import errno
import os
import shutil
import stat
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rtx_graphs import backend, needs_rtx, preprocessing, typed

from edge_ser.bundle import Bundle, graph_sha256, seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.decode import Outputs
from edge_ser.errors import BundleError, DeviceError, GateError, MissingExtraError, UsageError
from edge_ser.session import Session
from edge_ser_export.tensorrt import on_device, target
from edge_ser_export.tensorrt.backend import load_backend
from edge_ser_export.tensorrt.on_device import build_on_device
from edge_ser_export.tensorrt.target import EngineOptions, EnginePlan, plan_engine, write_engine
from edge_ser_runtimes.registry import open_session


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def on_cpu(bundle: Bundle) -> Session:
    """What opens the engine where there is a GPU: here, the same typed graph on the CPU."""
    assert (bundle.root / "model.engine").is_file()
    return open_session(bundle, "onnx", 1)


def never(_: Bundle) -> Session:
    raise AssertionError("opened without a GPU")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """What the driver says this machine's GPU is."""

    def be(sm: str | None) -> None:
        monkeypatch.setattr(on_device, "local_sm", lambda: sm)
        monkeypatch.setattr(target, "local_sm", lambda: sm)

    be(None)
    return be


def make(folder: Path, plan: EnginePlan) -> Path:
    """The default bundle as one of a TensorRT target."""
    shutil.copytree(DEFAULT_BUNDLE, folder)
    graph, _ = typed("spectral", "fp16")
    shutil.copy(graph, folder / "model.onnx")
    manifest = Bundle(folder, Bundle.open(DEFAULT_BUNDLE).manifest).manifest
    manifest = replace(
        manifest, target="trt-fp16", precision="fp16", graph="model.onnx",
        limits=replace(manifest.limits, vad=5e-3, region_logits=5e-2, boundary_margin=0.02),
    )  # fmt: skip
    seal(folder, replace(manifest, engine=write_engine(plan, folder, preprocessing())))
    return folder


@pytest.fixture
def orin(tmp_path: Path, here: Callable[[str | None], None]) -> Path:
    plan = plan_engine("trt-fp16", EngineOptions(("orin",), ("1x1s:1x3s:2x12s",)))
    return make(tmp_path / "orin", plan)


@pytest.fixture
def rtx(tmp_path: Path, here: Callable[[str | None], None]) -> Path:
    plan = EnginePlan("fp16", plan_engine("trt-fp16", EngineOptions(("rtx-3060",))).devices, "rtx",
                      None, ("1x1s:1x3s:2x12s",))  # fmt: skip
    return make(tmp_path / "rtx", plan)


# --- what a build bundle is


@needs_rtx
def test_a_build_bundle_says_what_is_to_be_built(orin: Path) -> None:
    engine = Bundle.open(orin).manifest.engine
    assert (engine["file"], engine["version"], engine["verified"]) == ("", "", False)
    assert (engine["backend"], engine["sm"], engine["device"]) == ("tensorrt", ["sm87"], "orin")
    assert engine["profiles"] == [{"batch": [1, 1, 2], "samples": [16_000, 48_000, 192_000]}]
    assert engine["graph_sha256"] == graph_sha256(orin / "model.onnx")
    assert engine["share"] == 1, "any parser here has taken the census"


def test_without_any_tensorrt_the_census_is_left_to_the_device(
    tmp_path: Path, here: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    path = make(tmp_path / "orin", plan_engine("trt-fp16", EngineOptions(("orin",))))
    assert Bundle.open(path).manifest.engine["census"] == {}


# --- TensorRT for RTX


@needs_rtx
def test_an_engine_is_built_and_proved(rtx: Path, here: Callable[[str | None], None]) -> None:
    here("sm86")
    done = build_on_device(rtx, on_cpu)
    manifest = Bundle.open(rtx).manifest
    assert manifest == done.manifest
    engine = manifest.engine
    assert (engine["file"], engine["verified"]) == ("model.engine", True)
    assert (engine["version"], engine["share"]) == (backend().version, 1)
    assert (rtx / "model.engine").read_bytes()[:4] == b"vtrt"
    assert set(done.results) == {"single", "padded"}
    assert sorted(p.name for p in rtx.parent.iterdir()) == ["rtx"], "nothing beside it"


@needs_rtx
def test_without_a_gpu_it_is_built_and_not_called_verified(rtx: Path) -> None:
    done = build_on_device(rtx, never, ("rtx-3060", "rtx-5090"))
    assert done.results == {}
    engine = Bundle.open(rtx).manifest.engine
    assert engine["verified"] is False
    assert (engine["sm"], engine["device"]) == (["sm86", "sm120"], "rtx-3060, rtx-5090")
    again = build_on_device(rtx, never, ("sm89",))
    assert again.manifest.engine["sm"] == ["sm89"]


@needs_rtx
def test_another_gpu_gets_its_own_engine(rtx: Path, here: Callable[[str | None], None]) -> None:
    here("sm120")
    build_on_device(rtx, on_cpu)
    engine = Bundle.open(rtx).manifest.engine
    assert (engine["sm"], engine["verified"]) == (["sm120"], True)


class Wrong:
    """An engine that answers otherwise."""

    def __init__(self) -> None:
        self.closed = False

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        batch = lengths.size
        return Outputs(np.full((batch, 3), 0.5, np.float32), np.zeros((batch, 8), np.float32))


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
    seal(orin, replace(manifest, engine=manifest.engine | {"graph_sha256": "0" * 64}))
    with pytest.raises(BundleError, match=r"expected the graph that was exported for this engine"):
        build_on_device(orin, never)


def test_a_precision_that_the_device_lacks(rtx: Path) -> None:
    manifest = Bundle.open(rtx).manifest
    seal(rtx, replace(manifest, engine=manifest.engine | {"precision": "fp8"}))
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
    assert plan_engine("trt-fp16", EngineOptions(("orin",))).backend is None
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
    assert (engine["backend"], engine["version"], engine["verified"]) == (
        "tensorrt", "10.3.0", True
    )  # fmt: skip
    assert engine["sm"] == ["sm87"] and engine["share"] == 1


# --- trtexec

PROGRAM = """#!{python}
import json, sys
import numpy as np
options = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] [b9]")
if {fails}:
    print("[E] Error[4]: the graph is not taken")
    sys.exit(1)
if "saveEngine" in options:
    open(options["saveEngine"], "wb").write(b"ftrt engine")
else:
    import onnxruntime
    files = dict(p.split(":", 1) for p in options["loadInputs"].split(","))
    shapes = dict(p.split(":") for p in options["shapes"].split(","))
    feed = {{
        name: np.fromfile(files[name], kind).reshape([int(n) for n in shapes[name].split("x")])
        for name, kind in (("samples", np.float32), ("lengths", np.int64))
    }}
    rows, length = feed["samples"].shape
    if rows > {most} or rows < {least} or length < 16000:
        print("[E] Error[3]: shapes outside the profile")
        sys.exit(1)
    session = onnxruntime.InferenceSession({graph!r})
    outputs = session.run(["vad", "region_logits"], feed)
    told = [
        {{"name": n, "dimensions": "x".join(map(str, v.shape)), "values": v.ravel().tolist()}}
        for n, v in zip(("vad", "region_logits"), outputs)
    ]
    if {nan}:
        told[0]["values"][0] = float("nan")
    json.dump(told, open(options["exportOutput"], "w"))
"""


@pytest.fixture
def program(
    tmp_path: Path, orin: Path, here: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """A program with trtexec's options that runs the graph instead: only its calls are proved."""
    here("sm87")
    monkeypatch.setitem(sys.modules, "tensorrt", None)

    def install(
        version: str = "100300",
        fails: bool = False,
        nan: bool = False,
        least: int = 1,
        most: int = 2,
    ) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path, log = folder / "trtexec", tmp_path / "log"
        graph, _ = typed("spectral", "fp16")
        text = PROGRAM.format(
            python=sys.executable,
            log=str(log),
            version=version,
            fails=fails,
            graph=str(graph),
            nan=nan,
            least=least,
            most=most,
        )
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return log

    return install


def test_trtexec_where_only_that_is_installed(orin: Path, program: Callable[..., Path]) -> None:
    log = program()
    build_on_device(orin, never)
    engine = Bundle.open(orin).manifest.engine
    assert (engine["version"], engine["verified"]) == ("10.3.0", True)
    assert (orin / "model.engine").read_bytes() == b"ftrt engine"
    build, *runs = log.read_text().splitlines()
    for option in (
        '"--stronglyTyped"', '"--noTF32"', '"--skipInference"',
        '"--minShapes=samples:1x16000,lengths:1"', '"--optShapes=samples:1x48000,lengths:1"',
        '"--maxShapes=samples:2x192000,lengths:2"',
    ):  # fmt: skip
        assert option in build
    assert len(runs) == 6, "four utterances, and all as batches of two"
    assert "--shapes=samples:2x" in runs[4] and "--shapes=samples:2x" in runs[5]
    assert "--shapes=samples:1x16000,lengths:1" in runs[3], "the shortest, padded to the profile"


def test_trtexec_that_fails(orin: Path, program: Callable[..., Path]) -> None:
    program(fails=True)
    before = contents(orin)
    with pytest.raises(
        DeviceError, match=r"found \[E\] Error\[4\]: the graph is not taken; run it"
    ):
        build_on_device(orin, never)
    assert contents(orin) == before


def test_trtexec_of_jetpack_5(orin: Path, program: Callable[..., Path]) -> None:
    program(version="080502")
    with pytest.raises(DeviceError, match=r"10.3 or newer \(JetPack 6 or 7\), found 8.5.2"):
        build_on_device(orin, never)


def test_trtexec_takes_one_profile(orin: Path, program: Callable[..., Path]) -> None:
    program()
    manifest = Bundle.open(orin).manifest
    profiles = manifest.engine["profiles"] * 2
    seal(orin, replace(manifest, engine=manifest.engine | {"profiles": profiles}))
    with pytest.raises(UsageError, match=r"profiles: expected one, .* found 2"):
        build_on_device(orin, never)


@pytest.mark.parametrize("batch", [(1, 1, 1), (3, 3, 3)])
def test_trtexec_gets_only_shapes_of_the_profile(
    orin: Path, program: Callable[..., Path], batch: tuple[int, int, int]
) -> None:
    program(least=batch[0], most=batch[2])
    manifest = Bundle.open(orin).manifest
    profiles = [{"batch": list(batch), "samples": [16_000, 48_000, 192_000]}]
    seal(orin, replace(manifest, engine=manifest.engine | {"profiles": profiles}))
    assert build_on_device(orin, never).manifest.engine["verified"] is True


def test_trtexec_answers_that_are_not_finite(orin: Path, program: Callable[..., Path]) -> None:
    program(nan=True)
    before = contents(orin)
    with pytest.raises(GateError, match=r"expected finite answers, found nan or inf"):
        build_on_device(orin, never)
    assert contents(orin) == before


def test_trtexec_does_not_prove_precision(orin: Path, program: Callable[..., Path]) -> None:
    program()
    manifest = Bundle.open(orin).manifest
    seal(orin, replace(manifest, engine=manifest.engine | {"census": {}, "share": 0.0}))
    with pytest.raises(UsageError, match=r"found no count; install .*python3-libnvinfer"):
        build_on_device(orin, never)


def test_the_working_directory_and_links(
    orin: Path, program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    program()
    link = orin.parent / "link"
    link.symlink_to(orin)
    build_on_device(link, never)
    assert link.is_symlink() and Bundle.open(orin).manifest.engine["verified"] is True
    monkeypatch.chdir(orin)
    assert build_on_device(Path(), never).manifest.engine["verified"] is True
