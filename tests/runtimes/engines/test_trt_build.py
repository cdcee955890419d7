"""Engines, really built, on whatever machine this is."""

import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.manifest_parts import ENGINE
from helpers.rtx_graphs import backend, build, needs_rtx, preprocessing, typed
from helpers.small_graphs import graph

from edge_ser.bundle.engine import Census, EngineTensor
from edge_ser.errors import BundleError, GateError, UsageError
from edge_ser_export.graph.rewrite import save
from edge_ser_runtimes.engines import build as building
from edge_ser_runtimes.engines.build import Built, build_engine, parse_only
from edge_ser_runtimes.engines.census import check_share
from edge_ser_runtimes.engines.devices import find_device
from edge_ser_runtimes.engines.interrupts import HeldInterrupts
from edge_ser_runtimes.engines.profiles import Profile, default_profile

pytestmark = needs_rtx
SHORT = Profile((1, 1, 2), (400, 16_000, 32_000))


@pytest.mark.parametrize("sm", ["sm86", "sm89", "sm120"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_engines_of_every_kind(precision: str, sm: str) -> None:
    built = build("spectral", precision, [sm])
    assert built.plan[:4] == b"vtrt"
    assert struct.unpack_from("<Q", built.plan, 16) == (len(built.plan),)
    assert ".".join(str(b) for b in built.plan[24:28]) == built.version == backend().version
    census = built.census
    assert built.recorded_in(ENGINE).share == census.share >= 0.95
    if precision == "int8":
        assert census.encoder["int8"] > 0.8
        assert set(census.encoder) == {"int8", "fp16"}, "the rest is attention, in float16"
    else:
        assert census.encoder == {precision: 1.0}
    assert sum(census.layers.values()) > 500
    assert census.macs > 1e8
    assert built.weight_bytes > 1e5 and built.activation_bytes > 1e6
    assert 0 < built.seconds < 60
    assert list(built.io) == [
        EngineTensor("samples", "float32", "input"),
        EngineTensor("lengths", "int64", "input"),
        EngineTensor("vad", "float32", "output"),
        EngineTensor("region_logits", "float32", "output"),
    ]


@pytest.mark.parametrize(
    ("kind", "precision"),
    [("wavlm-tiny", "fp16"), ("wavlm-group", "fp16"), ("spectral", "bf16"), ("spectral", "fp8")],
)
def test_other_encoders_and_precisions(kind: str, precision: str) -> None:
    built = build(kind, precision, ["rtx-5090"], [SHORT])
    assert built.census.share >= 0.95
    assert built.census.encoder[precision] > 0.8


@pytest.fixture(scope="module")
def several() -> Built:
    return build("spectral", "fp16", ["rtx-3060", "rtx-4090"], [SHORT, default_profile(
        preprocessing())])  # fmt: skip


def test_several_gpus_and_profiles_in_one_engine(several: Built) -> None:
    one = build("spectral", "fp16", ["rtx-3060"], [SHORT])
    assert several.plan != one.plan
    assert several.activation_bytes > one.activation_bytes, "of the largest shapes of all profiles"


BUILD = """
import hashlib, sys
from pathlib import Path
from edge_ser_runtimes.engines.backend import load_backend
from edge_ser_runtimes.engines.build import build_engine
from edge_ser_runtimes.engines.devices import find_device
from edge_ser_runtimes.engines.profiles import Profile
profile = Profile((1, 1, 2), (400, 16_000, 32_000))
devices = [find_device("sm86"), find_device("sm89")]
plan = build_engine(load_backend("rtx"), Path(sys.argv[1]), "fp16", devices, [profile]).plan
print(hashlib.sha256(plan).hexdigest())
"""


@pytest.mark.skipif(shutil.which("setarch") is None, reason="setarch is of Linux")
def test_two_builds_are_the_same_bytes() -> None:
    """The compiler orders some names by their addresses: with the same addresses, all is same."""
    path, _ = typed("spectral", "fp16")
    command = ["setarch", "-R", sys.executable, "-c", BUILD, str(path)]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    first, second = (r.stdout for r in runs)
    assert first == second and len(first) == 65


def test_builds_differ_in_a_few_bytes_at_most() -> None:
    one, two = (
        np.frombuffer(build("spectral", "fp16", ["sm86"], [SHORT]).plan, np.uint8) for _ in range(2)
    )
    assert one.size == two.size
    assert (one != two).mean() < 1e-3


def test_turing_takes_float16_throughout_only() -> None:
    t4 = [find_device("t4")]
    narrow, _ = typed("wavlm-group", "fp16", True)
    assert build_engine(backend(), narrow, "fp16", t4, [SHORT]).census.share == 1
    with pytest.raises(GateError, match=r"float16 products of sm75: .*encoder.log_mel/MatMul"):
        typed("spectral", "fp16", True)
    wide, _ = typed("spectral", "fp16")
    with pytest.raises(GateError, match=r"expected a GPU with float32 products.*sm75"):
        build_engine(backend(), wide, "fp16", t4, [SHORT])


# --- what is refused


def test_a_graph_in_another_precision_fails_the_gate() -> None:
    """A builder that is asked the wrong way gives float32 without a word."""
    path, _ = typed("spectral", "fp32")
    with pytest.raises(GateError, match=r"precision of trt-fp16: expected 95% .* found 0.0%.*fp32"):
        parse_only(backend(), path, "fp16")


def test_the_share_that_is_enough() -> None:
    census = Census(share=0.95)
    check_share(census, "fp16")
    with pytest.raises(GateError, match=r"94.9%"):
        check_share(replace(census, share=0.949), "fp16")


def test_a_graph_that_the_parser_refuses_is_told_by_node(tmp_path: Path) -> None:
    model = graph(
        "(float[b, n] samples, int64[b] lengths) => (float[b, n] vad) "
        "{ i = NonZero(samples) c = Cast<to = 1>(i) s = ReduceSum<keepdims = 0>(c) "
        "vad = Add(samples, s) }"
    )
    save(model, tmp_path / "model.onnx", 1 << 30)
    with pytest.raises(BundleError) as caught:
        parse_only(backend(), tmp_path / "model.onnx", "fp32")
    line = str(caught.value)
    assert "model.onnx: expected a graph that the parser of tensorrt_rtx" in line
    assert "NonZero node_i" in line


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"expected a graph that the parser"):
        parse_only(backend(), tmp_path / "model.onnx", "fp32")


def test_a_gpu_that_this_release_does_not_know() -> None:
    path, _ = typed("spectral", "fp16")
    with pytest.raises(UsageError, match=r"GPU that tensorrt_rtx .* builds for, found sm110"):
        build_engine(backend(), path, "fp16", [find_device("thor")], [SHORT])


# --- progress and cancelling


class Bar:
    """What the progress bar was told."""

    def __init__(self, **_: Any) -> None:
        self.n = 0
        self.words: list[str] = []
        BARS.append(self)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, count: int) -> None:
        assert count >= 0
        self.n += count

    def set_postfix_str(self, word: str, refresh: bool) -> None:
        self.words.append(word)


BARS: list[Bar] = []


def test_progress_comes_from_the_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    BARS.clear()
    monkeypatch.setattr(building, "tqdm", Bar)
    build("spectral", "fp16", ["sm86"], [SHORT])
    (bar,) = BARS
    assert "building engine" in bar.words and len(set(bar.words)) > 3
    assert bar.n == 1000


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads here")
def test_ctrl_c_stops_the_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt comes in the middle of the build, as a user's does; no thread is left."""
    sent = []

    class Interrupting(Bar):
        def set_postfix_str(self, word: str, refresh: bool) -> None:
            super().set_postfix_str(word, refresh)
            if word == "optimizing graph" and not sent:
                sent.append(time.perf_counter())
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.5)  # until the waiting thread has seen it

    monkeypatch.setattr(building, "tqdm", Interrupting)
    # a shell lets programs in the background ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            build("spectral", "fp16", ["sm86", "sm89", "sm120"])
    finally:
        signal.signal(signal.SIGINT, before)
    assert sent
    assert "tensorrt-build" not in {t.name for t in threading.enumerate()}
    # and the module still works
    assert build("spectral", "fp16", ["sm86"], [SHORT]).census.share == 1


def test_an_interrupt_in_a_callback_of_the_builder_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Raised there, TensorRT would print it and go on: it is held until the end."""
    sent: list[str] = []
    add = building._Log.add

    def interrupting(log: building._Log, severity: str, message: str) -> None:
        if not sent:
            sent.append(threading.current_thread().name)
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
        add(log, severity, message)

    monkeypatch.setattr(building._Log, "add", interrupting)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            build("spectral", "fp16", ["sm86"], [SHORT])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert sent == ["MainThread"]


def test_a_program_that_handles_interrupts_itself_keeps_doing_so() -> None:
    mine: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: mine.append(number))
    try:
        with HeldInterrupts() as held:
            os.kill(os.getpid(), signal.SIGINT)
        assert mine == [signal.SIGINT] and not held.asked
    finally:
        signal.signal(signal.SIGINT, before)


def test_errors_of_the_builder_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that the builder itself refuses, as its most common length is below its least."""

    class Unchecked(Profile):
        def __post_init__(self) -> None:
            """What a profile's own check would refuse before the builder does."""

    wrong = Unchecked((1, 1, 2), (400, 399, 32_000))
    path, _ = typed("spectral", "fp16")
    with pytest.raises((GateError, UsageError, ValueError)):
        build_engine(backend(), path, "fp16", [find_device("sm86")], [wrong])


def test_census_is_of_an_utterance_and_leaves_the_network_as_it_was() -> None:
    from edge_ser_runtimes.engines.census import take_census

    path, _ = typed("spectral", "fp16")
    trt = backend().module
    log = building._Log()
    builder = trt.Builder(building._logger(trt, log))
    network, parser = building.parse(backend(), builder, path, log)
    short, long = (take_census(trt, network, "fp16", s) for s in (1.0, 4.0))
    assert 3.5 < long.macs / short.macs < 6, "products of frames, and attention's of their squares"
    assert tuple(network.get_input(0).shape) == (-1, -1)
    assert np.isclose(sum(long.everything.values()), 1, atol=1e-5)
    del parser
