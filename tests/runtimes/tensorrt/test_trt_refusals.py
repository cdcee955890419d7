"""Every reason why an engine does not run here, in one line each, before anything can crash.

The driver and TensorRT are recorded fakes (see fake_gpu), because this runs where no GPU is; the
test of a real engine's header is in test_trt_header.py.
"""

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_gpu import NO_DEVICE, FakeLibrary
from helpers.fake_tensorrt import FakeTensorRT

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import BundleError, DeviceError, EdgeSerError, MissingExtraError, UsageError
from edge_ser_runtimes.onnxruntime.session import OrtSession
from edge_ser_runtimes.registry import open_session
from edge_ser_runtimes.tensorrt import engine as engines
from edge_ser_runtimes.tensorrt.session import TrtSession

TrtBundle = Callable[..., Path]


def refusal(folder: Path, kind: type[EdgeSerError], runtime: str = "trt") -> str:
    with pytest.raises(kind) as error:
        open_session(Bundle.open(folder), runtime)
    line = str(error.value)
    assert "\n" not in line
    return line


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ser.host.nvidia_libraries.CUDA_NAMES", ("libno-such-driver.so.1",))


# The driver


@pytest.mark.parametrize("file", ["model.engine", ""])
def test_without_a_driver_nothing_else_is_looked_at(
    file: str, trt_bundle: TrtBundle, no_driver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    line = refusal(trt_bundle(file=file), DeviceError)
    assert line.startswith("CUDA driver: expected libno-such-driver.so.1, found no such library")
    assert line.endswith("use --runtime onnx")


def test_a_driver_without_gpu(trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary) -> None:
    gpu.fail["cuInit"] = NO_DEVICE
    assert "found cuInit gave CUDA_ERROR_NO_DEVICE" in refusal(trt_bundle(), DeviceError)
    assert "Runtime" not in gpu.journal


def test_a_driver_older_than_the_installed_tensorrt(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_cuda_major", lambda module: 13)
    gpu.version = 12080
    assert refusal(trt_bundle(), DeviceError) == (
        "CUDA driver: expected CUDA 13, which tensorrt_rtx was made for, found CUDA 12.8; update "
        "NVIDIA's driver, or use --runtime onnx"
    )
    assert "Runtime" not in gpu.journal


def test_the_cuda_of_the_installed_package_is_found_by_its_name() -> None:
    pytest.importorskip("tensorrt_rtx")
    assert engines._cuda_major("tensorrt_rtx") in (12, 13)
    assert engines._cuda_major("no_such_tensorrt") == 12


# The bundle


def test_an_engine_still_to_be_built(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    folder = trt_bundle(file="", version="")
    assert refusal(folder, DeviceError) == (
        f"{folder}: expected an engine, found what one is built from, on the device that runs it; "
        f"run: edge-ser build {folder}"
    )


def test_a_bundle_without_record(
    tiny_bundle: Callable[..., Path], trt_bundle: TrtBundle, trt: FakeTensorRT
) -> None:
    bundle = Bundle.open(tiny_bundle())
    with pytest.raises(BundleError, match="expected a record of the engine in its manifest"):
        TrtSession(bundle)


def test_an_engine_that_is_not_listed_was_not_hashed(
    trt_bundle: TrtBundle, trt: FakeTensorRT, edit_manifest: Any
) -> None:
    folder = trt_bundle()
    edit_manifest(
        folder,
        lambda m: m.update(files=[f for f in m["files"] if f["path"] != "model.engine"]),
    )
    assert "model.engine" in refusal(folder, BundleError)


def test_an_altered_engine_is_refused_by_its_hash(trt_bundle: TrtBundle, gpu: FakeLibrary) -> None:
    path = trt_bundle() / "model.engine"
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"model.engine: expected sha256 .*copy the bundle again"):
        edge_ser.load(path.parent, "trt")
    assert gpu.journal == []


def test_an_engine_without_its_manifest(trt_bundle: TrtBundle) -> None:
    with pytest.raises(
        BundleError, match=r"model.engine: expected a bundle .*a file of the bundle"
    ):
        edge_ser.load(trt_bundle() / "model.engine")


def header(magic: bytes = b"vtrt", size: int = 100, version: bytes = b"\1\7\1\x74") -> bytes:
    return (magic + bytes(12) + struct.pack("<Q", size) + version).ljust(100, b"\0")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected an engine of TensorRT for RTX, found another file"),
        (b"vtrt", "found another file"),
        (header(b"ftrt"), "found another file"),
        (header(size=99), "expected the 99 bytes of its header, found 100"),
        (header(size=101), "expected the 101 bytes of its header, found 100"),
        (header(version=b"\1\6\1\x74"), "expected an engine of tensorrt_rtx 1.7.1.116, as its "
         "manifest says, found one of 1.6.1.116"),
    ],
)  # fmt: skip
def test_a_damaged_header(
    data: bytes, words: str, trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    line = refusal(trt_bundle(data=data), BundleError)
    assert words in line and "model.engine: " in line
    assert "Runtime" not in gpu.journal


def test_a_backend_of_the_future(
    trt_bundle: TrtBundle, trt: FakeTensorRT, edit_manifest: Any
) -> None:
    folder = trt_bundle()
    edit_manifest(folder, lambda m: m["engine"].update(backend="lean"))
    with pytest.raises(BundleError, match="lean"):
        open_session(Bundle.open(folder), "trt")


# TensorRT and the GPU


def test_an_engine_of_other_gpus(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    gpu.sm = (12, 0)
    folder = trt_bundle()
    assert refusal(folder, DeviceError) == (
        "model.engine: expected a GPU of sm86 or sm89, which it was built for, found NVIDIA Fake "
        f"3060, sm120; run: edge-ser build {folder}"
    )
    assert "Runtime" not in gpu.journal


@pytest.mark.parametrize(
    ("backend", "version", "advice"),
    [
        ("rtx", "1.7.1.116", r"run: pip install 'edge-ser\[trt\]' \(x86-64\), or use --runtime"),
        ("tensorrt", "10.3.0", "on a Jetson JetPack's python3-libnvinfer"),
    ],
)
def test_without_tensorrt(
    backend: str,
    version: str,
    advice: str,
    trt_bundle: TrtBundle,
    gpu: FakeLibrary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = engines.MODULES[backend]
    monkeypatch.setitem(sys.modules, module, None)
    folder = trt_bundle(backend=backend, version=version)
    with pytest.raises(MissingExtraError, match=rf"runtime trt: .*`{module}`.*{advice}"):
        open_session(Bundle.open(folder), "trt")


def test_a_tensorrt_without_contents(
    trt_bundle: TrtBundle, gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = engines.MODULES["rtx"]
    monkeypatch.setitem(sys.modules, module, type(sys)(module))
    with pytest.raises(MissingExtraError, match=r"it does not load \(.*__version__.*\); run: pip"):
        open_session(Bundle.open(trt_bundle(backend="rtx", version="1.7.1.116")), "trt")


@pytest.mark.parametrize(
    ("backend", "made", "here"),
    [
        ("rtx", "1.7.1.116", "1.7.1.120"),
        ("rtx", "1.7.1.116", "1.8.0.5"),
        ("tensorrt", "10.3.0", "10.7.0"),
        ("tensorrt", "10.3.0", "10.3.1.4"),
    ],
)
def test_an_engine_of_another_version(
    backend: str, made: str, here: str, trt_bundle: TrtBundle, trt: FakeTensorRT,
    standard: FakeTensorRT, gpu: FakeLibrary,
) -> None:  # fmt: skip
    trt.__version__ = standard.__version__ = here
    folder = trt_bundle(backend=backend, version=made)
    module = engines.MODULES[backend]
    assert refusal(folder, DeviceError) == (
        f"model.engine: expected {module} {made}, which built it, found {module} {here}; "
        f"run: edge-ser build {folder}"
    )
    assert "Runtime" not in gpu.journal


def test_builds_of_one_tensorrt_release_share_engines(
    trt_bundle: TrtBundle, standard: FakeTensorRT
) -> None:
    standard.__version__ = "10.3.0.30"
    TrtSession(Bundle.open(trt_bundle(backend="tensorrt", version="10.3.0")))


def test_what_tensorrt_for_rtx_says_about_validity(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    trt.validity, trt.diagnostics = 2, 2 | 4
    line = refusal(trt_bundle(), DeviceError)
    assert "found unsupported cc, old cuda driver; run: edge-ser build" in line
    assert "deserialize_cuda_engine" not in gpu.journal
    trt.validity = 1  # slower than it could be, but right
    TrtSession(Bundle.open(trt_bundle("suboptimal")))


def test_none_instead_of_an_engine(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    trt.loads = False
    line = refusal(trt_bundle(), DeviceError)
    assert "can load, found magic tag does not match; run: edge-ser build" in line


@pytest.mark.parametrize("call", ["create_execution_context", "set_runtime_cache"])
def test_a_start_that_fails_half_way(
    call: str, trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    trt.refuse.add(call)
    assert f"expected {call} to succeed" in refusal(trt_bundle(), DeviceError)
    assert not trt.objects and not gpu.retained, "everything is given back"


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("lengths", ("INPUT", "INT32"), "expected samples float32, lengths int64, found .*int32"),
        ("mask", ("INPUT", "BOOL"), "expected samples float32, lengths int64, found .*BOOL"),
        ("vad", ("OUTPUT", "HALF"), "expected outputs vad, region_logits float32, found .*float16"),
        ("vad", None, "expected outputs vad, region_logits float32"),
    ],
)
def test_an_engine_with_other_tensors(
    name: str, tensor: Any, words: str, trt_bundle: TrtBundle, trt: FakeTensorRT
) -> None:
    if tensor is None:
        del trt.tensors[name]
    else:
        trt.tensors[name] = tensor
    with pytest.raises(BundleError, match=words):
        TrtSession(Bundle.open(trt_bundle()))


# Falling back


def test_auto_falls_back_with_one_warning_that_says_why(
    trt_bundle: TrtBundle, no_driver: None
) -> None:
    folder = trt_bundle()
    with pytest.warns(UserWarning) as caught:
        ser = edge_ser.load(folder, threads=1)
    (warning,) = caught
    assert str(warning.message).startswith(
        "runtime onnx instead of trt: CUDA driver: expected libno-such-driver.so.1, found no such"
    )
    assert warning.filename == __file__, "it points to who called"
    assert isinstance(ser.session, OrtSession)


@pytest.mark.parametrize("reason", ["not built", "module", "gpu", "version", "header"])
def test_auto_falls_back_for_every_reason(
    reason: str, trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    folder = trt_bundle(file="" if reason == "not built" else "model.engine",
                        data=b"x" if reason == "header" else None)  # fmt: skip
    if reason == "module":
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    gpu.sm = (7, 0) if reason == "gpu" else gpu.sm
    trt.__version__ = "1.6.0.0" if reason == "version" else trt.__version__
    with pytest.warns(UserWarning, match="runtime onnx instead of trt: ") as caught:
        session = open_session(Bundle.open(folder), "auto", 1)
    assert len(caught) == 1 and isinstance(session, OrtSession)


def test_runtime_onnx_runs_the_graph_of_a_trt_bundle_without_a_word(
    trt_bundle: TrtBundle, gpu: FakeLibrary, recwarn: pytest.WarningsRecorder
) -> None:
    assert isinstance(open_session(Bundle.open(trt_bundle()), "onnx", 1), OrtSession)
    assert gpu.journal == [] and not recwarn.list


def test_a_broken_graph_after_a_refused_engine_is_the_error(
    trt_bundle: TrtBundle, no_driver: None, tiny_bundle: Callable[..., Path]
) -> None:
    folder = trt_bundle()
    bundle = Bundle(folder, Bundle.open(folder).manifest)  # a draft, of which nothing was checked
    (folder / "model.onnx").write_bytes(b"\x08\x09")
    with (
        pytest.warns(UserWarning, match="onnx instead of trt"),
        pytest.raises(BundleError, match=r"model.onnx: expected a graph that ONNX Runtime"),
    ):
        open_session(bundle)


def test_options_belong_to_a_runtime(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    bundle = Bundle.open(trt_bundle())
    assert isinstance(open_session(bundle, "auto", 1, provider="cpu"), OrtSession)
    with pytest.raises(UsageError, match="provider: expected runtime onnx, which has it, found"):
        open_session(bundle, "trt", provider="cpu")
    with pytest.raises(UsageError, match="cuda graphs: expected runtime trt, which has it, found"):
        open_session(bundle, "onnx", cuda_graphs=True)
    with pytest.raises(UsageError, match="expected runtime"):
        open_session(bundle, "auto", provider="cpu", cuda_graphs=True)


def test_an_onnx_bundle_has_no_engine(tiny_bundle: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="runtime: expected one that runs onnx-fp32, found trt"):
        edge_ser.load(tiny_bundle(), "trt")


# The command line


@pytest.mark.parametrize("command", ["predict", "verify"])
def test_commands_refuse_in_one_line_and_fall_back_with_one(
    command: str, trt_bundle: TrtBundle, tmp_path: Path, utterances: list[Path]
) -> None:
    folder = trt_bundle()
    code = """
import sys
from edge_ser.host import nvidia_libraries
nvidia_libraries.CUDA_NAMES = ("libno-such-driver.so.1",)
from edge_ser.cli import main
sys.exit(main(sys.argv[1:]))
"""
    files = [str(utterances[0])] if command == "predict" else []

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, command, str(folder), *files, "--threads", "1", *options],
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("--runtime", "trt")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-ser: error: CUDA driver: expected libno-such-driver.so.1")
    done = run()
    first = done.stderr.splitlines()[0]
    assert first.startswith("edge-ser: warning: runtime onnx instead of trt: CUDA driver: ")
    assert done.stderr.count("warning") == 1 and done.stdout
