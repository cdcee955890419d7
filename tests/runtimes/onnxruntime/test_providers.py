"""Execution providers of ONNX Runtime: asked for by name, never replaced by the CPU in silence.

ONNX Runtime is the real one where it can be. What needs another build of it, its plugin or a GPU is
put on top of the module, call by call.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from helpers.fake_gpu import FakeLibrary

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.cli.parser import Parser
from edge_ser.cli.predict import add_parser
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import DeviceError, MissingExtraError, UsageError
from edge_ser_runtimes.onnxruntime import providers
from edge_ser_runtimes.onnxruntime.session import OrtSession

CPU = "CPUExecutionProvider"


@pytest.fixture
def bundle() -> Bundle:
    return Bundle.open(DEFAULT_BUNDLE)


class Opened:
    """What was asked of `onnxruntime.InferenceSession`, and a session of the CPU in its place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, started: list[str] | None) -> None:
        self.asked: Any = None
        self.keywords: dict[str, Any] = {}
        real = onnxruntime.InferenceSession

        def create(path: str, options: Any, providers: Any = None, **keywords: Any) -> Any:
            self.asked, self.keywords = providers, keywords
            session = real(path, onnxruntime.SessionOptions(), providers=[CPU])
            if started is not None:
                monkeypatch.setattr(session, "get_providers", lambda: started)
            return session

        monkeypatch.setattr(onnxruntime, "InferenceSession", create)


@pytest.fixture
def gpu_build(monkeypatch: pytest.MonkeyPatch, gpu: FakeLibrary) -> None:
    """As if onnxruntime-gpu were installed."""
    names = ["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)


def test_the_cpu_is_the_default_and_can_be_asked_for(bundle: Bundle) -> None:
    for provider in (None, "cpu"):
        session = OrtSession(bundle, 1, provider)
        assert session.session.get_providers() == [CPU]
    ser = edge_ser.load(runtime="onnx", threads=1, provider="cpu")
    assert isinstance(ser.session, OrtSession)


@pytest.mark.parametrize("name", ["gpu", "CUDA", ""])
def test_an_unknown_provider_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match="provider: expected one of cpu, cuda, tensorrt, rtx, fou"):
        edge_ser.load(provider=name)


def test_the_command_line_knows_the_same_names() -> None:
    commands = Parser().add_subparsers()
    add_parser(commands)
    option = commands.choices["predict"]._option_string_actions["--provider"]
    assert tuple(option.choices) == tuple(providers.PROVIDERS)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_without_the_gpu_build_it_is_said_what_to_install(provider: str) -> None:
    name = providers.PROVIDERS[provider]
    if name in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has it")
    with pytest.raises(DeviceError) as error:
        edge_ser.load(provider=provider)
    line = str(error.value)
    assert line.startswith(f"provider {provider}: expected an ONNX Runtime with {name}, found ")
    assert line.endswith("; run: pip uninstall onnxruntime; pip install onnxruntime-gpu")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_without_a_driver_onnxruntime_is_not_asked(
    provider: str, gpu_build: None, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    opened = Opened(monkeypatch, None)
    monkeypatch.undo()  # the driver, too
    monkeypatch.setattr("edge_ser.host.nvidia_libraries.CUDA_NAMES", ("libno-such-driver.so.1",))
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: [providers.PROVIDERS[provider], CPU]
    )
    with pytest.raises(DeviceError, match="CUDA driver: expected libno-such-driver"):
        OrtSession(bundle, 1, provider)
    assert opened.asked is None


@pytest.mark.parametrize(
    ("provider", "asked"),
    [
        ("cuda", ["CUDAExecutionProvider", CPU]),
        ("tensorrt", ["TensorrtExecutionProvider", "CUDAExecutionProvider", CPU]),
    ],
)
def test_a_provider_that_starts_is_used(
    provider: str, asked: list[str], gpu_build: None, monkeypatch: pytest.MonkeyPatch,
    bundle: Bundle,
) -> None:  # fmt: skip
    opened = Opened(monkeypatch, asked)
    session = OrtSession(bundle, 1, provider)
    names = [p if isinstance(p, str) else p[0] for p in opened.asked]
    assert names == asked
    options = dict(p for p in opened.asked if not isinstance(p, str))
    assert options["CUDAExecutionProvider"] == {"use_tf32": "0"}
    if provider == "tensorrt":
        folder = options["TensorrtExecutionProvider"]["trt_engine_cache_path"]
        assert Path(folder).is_dir()
    assert opened.keywords == {"enable_fallback": 0}, "or the CPU would take over while running"
    answer = session.run(np.ones((1, 800), np.float32), np.array([800]))
    assert answer.vad.shape == (1, 3)


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_the_cpu_in_its_place_is_refused(
    provider: str, gpu_build: None, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    Opened(monkeypatch, None)  # the real answer of a session on the CPU
    name = providers.PROVIDERS[provider]
    with pytest.raises(DeviceError, match=rf"expected {name} to start, found {CPU} instead; see"):
        OrtSession(bundle, 1, provider)


def test_compiled_kernels_are_not_kept_where_nothing_can_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "file"))
    assert providers._kept("x") == ""
    assert providers._with_options("tensorrt")[0] == ("TensorrtExecutionProvider", {})


# The plugin


class Plugin:
    """The plugin's module, and ONNX Runtime's calls about plugins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, devices: int = 1) -> None:
        self.registered: list[tuple[str, str]] = []
        self.chosen: list[Any] = []
        self.error: Exception | None = None
        module = SimpleNamespace(
            get_ep_name=lambda: "rtx-plugin", get_library_path=lambda: "/plugin.so"
        )
        monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", module)
        other = SimpleNamespace(ep_name=CPU)
        gpus = [SimpleNamespace(ep_name="rtx-plugin", number=i) for i in range(devices)]

        def register(name: str, path: str) -> None:
            if self.error is not None:
                raise self.error
            self.registered.append((name, path))

        chosen = self.chosen

        class Options(onnxruntime.SessionOptions):  # type: ignore[misc]
            def add_provider_for_devices(self, devices: list[Any], options: dict[str, str]) -> None:
                chosen.append((devices, options))

        monkeypatch.setattr(
            onnxruntime, "register_execution_provider_library", register, raising=False
        )
        monkeypatch.setattr(
            onnxruntime,
            "get_ep_devices",
            lambda: [other, *gpus] if self.registered else [other],
            raising=False,
        )
        monkeypatch.setattr(onnxruntime, "SessionOptions", Options)


def test_without_the_plugin_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)
    with pytest.raises(
        MissingExtraError, match=r"provider rtx: .*pip install onnxruntime-ep-nv-tensorrt-rtx$"
    ):
        OrtSession(bundle, 1, "rtx")


def test_the_plugin_is_registered_once_and_gets_one_gpu(
    gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    plugin = Plugin(monkeypatch, devices=2)
    opened = Opened(monkeypatch, ["rtx-plugin", CPU])
    for _ in range(2):
        OrtSession(bundle, 1, "rtx")
    assert plugin.registered == [("rtx-plugin", "/plugin.so")]
    assert opened.asked is None, "a list of providers would take the place of the devices"
    assert opened.keywords == {"enable_fallback": 0}
    for chosen, options in plugin.chosen:
        assert [d.number for d in chosen] == [0]
        assert Path(options["nv_runtime_cache_path"]).is_dir()


def test_the_plugin_and_what_can_go_wrong_with_it(
    gpu: FakeLibrary, monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    plugin = Plugin(monkeypatch, devices=0)
    with pytest.raises(DeviceError, match="expected a GPU that TensorRT for RTX knows, found none"):
        OrtSession(bundle, 1, "rtx")
    plugin = Plugin(monkeypatch)
    plugin.error = RuntimeError("libcudart.so.13: cannot open\nmore")
    with pytest.raises(
        DeviceError, match=r"expected onnxruntime-ep-nv-tensorrt-rtx to load, found libcudart.so"
    ):
        OrtSession(bundle, 1, "rtx")
    Plugin(monkeypatch)
    Opened(monkeypatch, None)
    with pytest.raises(DeviceError, match="expected rtx-plugin to start, found CPUExecutionProv"):
        OrtSession(bundle, 1, "rtx")
    monkeypatch.delattr(onnxruntime, "register_execution_provider_library")
    with pytest.raises(DeviceError, match=r"run: pip install 'onnxruntime>=1\.24'"):
        OrtSession(bundle, 1, "rtx")


@pytest.mark.parametrize("command", ["predict", "verify"])
def test_the_command_line_refuses_in_one_line(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_ser.cli import main

    monkeypatch.setitem(sys.modules, "onnxruntime_ep_nv_tensorrt_rtx", None)
    assert main([command, "--provider", "rtx", "--threads", "1"]) == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1
    assert err.startswith("edge-ser: error: provider rtx: ")


def test_the_provider_reaches_the_session(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge_ser.cli import main

    asked: list[str] = []
    real = providers.open_graph

    def open_graph(ort: Any, graph: Path, options: Any, provider: str) -> Any:
        asked.append(provider)
        return real(ort, graph, options, provider)

    monkeypatch.setattr("edge_ser_runtimes.onnxruntime.session.open_graph", open_graph)
    for command in ("predict", "verify"):
        assert main([command, "--provider", "cpu", "--threads", "1"]) == 0
    assert asked == ["cpu", "cpu"]
    capsys.readouterr()
