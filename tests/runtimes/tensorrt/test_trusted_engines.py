"""Engines are code: whose are loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.fake_gpu import FakeLibrary
from helpers.fake_tensorrt import FakeTensorRT
from helpers.keys import write_keys

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.keys import PrivateKey
from edge_ser.bundle.signing import sign_bundle
from edge_ser.errors import SignatureError, UsageError
from edge_ser_runtimes.engines.trusted import remember_built
from edge_ser_runtimes.registry import open_session
from edge_ser_runtimes.tensorrt.session import TrtSession


@pytest.fixture
def foreign(
    trt_bundle: Callable[..., Path],
    trt: FakeTensorRT,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A bundle with an engine that another machine has built."""
    folder = trt_bundle()
    for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "state"))
    return folder


def test_an_engine_of_unknown_origin_is_not_loaded(foreign: Path, gpu: FakeLibrary) -> None:
    with pytest.raises(SignatureError, match=r"model\.engine: expected an engine that was built"):
        open_session(Bundle.open(foreign), "trt")
    assert "deserialize_cuda_engine" not in gpu.journal


def test_auto_takes_the_graph_instead_and_says_so(foreign: Path, gpu: FakeLibrary) -> None:
    with pytest.warns(UserWarning, match="runtime onnx instead of trt: .*EDGE_SER_TRUST_ENGINES"):
        ser = edge_ser.load(foreign)
    assert not isinstance(ser.session, TrtSession)


def test_one_that_was_built_here_is_loaded(foreign: Path) -> None:
    remember_built((foreign / "model.engine").read_bytes())
    assert isinstance(open_session(Bundle.open(foreign), "trt"), TrtSession)


def test_another_engine_in_its_place_is_not(foreign: Path, trt_bundle: Callable[..., Path]) -> None:
    remember_built((foreign / "model.engine").read_bytes() + b"other")
    with pytest.raises(SignatureError):
        open_session(Bundle.open(foreign), "trt")


def test_one_of_a_bundle_that_a_trusted_key_signed_is_loaded(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = write_keys(tmp_path, "mine"), write_keys(tmp_path, "other")
    sign_bundle(foreign, PrivateKey.load(mine.private))
    with pytest.raises(SignatureError):
        open_session(Bundle.open(foreign), "trt")
    monkeypatch.setenv("EDGE_SER_TRUSTED_KEYS", str(other.public))
    with pytest.raises(SignatureError):
        open_session(Bundle.open(foreign), "trt")
    monkeypatch.setenv("EDGE_SER_TRUSTED_KEYS", str(mine.public))
    assert isinstance(open_session(Bundle.open(foreign), "trt"), TrtSession)
    monkeypatch.delenv("EDGE_SER_TRUSTED_KEYS")
    ser = edge_ser.load(foreign, "trt", trusted_keys=[mine.public])
    assert isinstance(ser.session, TrtSession)


def test_the_user_can_say_so(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SER_TRUST_ENGINES", "1")
    assert isinstance(open_session(Bundle.open(foreign), "trt"), TrtSession)
    monkeypatch.setenv("EDGE_SER_TRUST_ENGINES", "true")
    with pytest.raises(UsageError, match="expected 1 or 0, found 'true'"):
        open_session(Bundle.open(foreign), "trt")
