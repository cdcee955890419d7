"""TensorRT's session: the order of its calls, what it gives to the engine, what it gives back.

The driver and TensorRT are recorded fakes (see fake_gpu), because this runs where no GPU is. They
stand in for the hardware alone: everything of edge-ser that is called here is the real thing.
"""

import gc
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gpu_timing import TimedSession
from helpers.fake_gpu import FakeLibrary
from helpers.fake_tensorrt import WEIGHTS, FakeTensorRT

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import DeviceError, UsageError
from edge_ser.session import pad_batch
from edge_ser_runtimes.tensorrt.session import TrtSession

TrtBundle = Callable[..., Path]
RUN = [
    "cuCtxPushCurrent_v2",
    *["cuMemcpyHtoDAsync_v2"] * 2,
    "execute_async_v3",
    *["cuMemcpyDtoHAsync_v2"] * 2,
    "cuStreamSynchronize",
    "cuCtxPopCurrent_v2",
]


def rows(*lengths: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n).astype(np.float32) + i for i, n in enumerate(lengths)]


def right(outputs: Any, x: list[np.ndarray]) -> None:
    """Whether the outputs are the engine's answer to every row."""
    means = np.array([[row.mean()] for row in x])
    np.testing.assert_allclose(outputs.vad, means * WEIGHTS, atol=1e-6)
    np.testing.assert_allclose(outputs.region_logits, means * np.arange(8), atol=1e-5)


# The order of calls


def test_nothing_is_touched_before_the_driver_has_answered(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    TrtSession(Bundle.open(trt_bundle()))
    assert gpu.journal[:3] == ["cuInit", "cuDriverGetVersion", "cuDeviceGetCount"]
    wanted = [
        "cuDeviceGetAttribute", "cuDevicePrimaryCtxRetain", "cuStreamCreate", "Runtime",
        "get_engine_validity", "deserialize_cuda_engine", "engine", "create_runtime_config",
        "create_runtime_cache", "set_runtime_cache", "create_execution_context", "context",
    ]  # fmt: skip
    found = [gpu.journal.index(name) for name in wanted]
    assert found == sorted(found)


def test_the_first_run_prepares_and_the_second_only_runs(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    x = rows(2000, 1500)
    gpu.journal.clear()
    right(session.run(*pad_batch(x)), x)
    assert [name for name in gpu.journal if not name.startswith("cache.")] == [
        "cuCtxPushCurrent_v2",
        *["set_input_shape", "cuMemAlloc_v2", "set_tensor_address"] * 2,
        *["get_tensor_shape", "cuMemAlloc_v2", "set_tensor_address"] * 2,
        *RUN[1:],
    ]
    gpu.journal.clear()
    right(session.run(*pad_batch(x)), x)
    assert gpu.journal == RUN
    memory = dict(gpu.memory)
    x = rows(1999, 900)
    gpu.journal.clear()
    right(session.run(*pad_batch(x)), x)
    assert "cuMemAlloc_v2" not in gpu.journal, "smaller shapes use the memory that is there"
    assert set(gpu.memory) == set(memory)
    x = rows(2001, 2001)
    right(session.run(*pad_batch(x)), x)
    assert len(gpu.memory) == 4, "the memory that became too small is given back"


def test_everything_is_given_back(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    session.run(*pad_batch(rows(2000)))
    assert gpu.memory and gpu.retained and trt.objects
    session.close()
    assert not gpu.memory and not gpu.retained and not gpu.alive and not trt.objects
    session.close()
    with pytest.raises(UsageError, match="session: expected an open one, found one that was"):
        session.run(*pad_batch(rows(2000)))
    session = TrtSession(Bundle.open(trt_bundle("second")))
    session.run(*pad_batch(rows(2000)))
    del session
    gc.collect()
    assert not gpu.memory and not gpu.retained and not trt.objects


def test_a_gpu_that_has_failed_is_left_without_a_second_error(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    x = rows(1000)
    session.run(*pad_batch(x))
    for name in ("cuMemcpyHtoDAsync_v2", "cuMemFree_v2", "cuStreamDestroy_v2"):
        gpu.fail[name] = 700
    with pytest.raises(DeviceError, match="cuMemcpyHtoDAsync_v2 to succeed, found error 700"):
        session.run(*pad_batch(x))
    session.close()
    assert not trt.objects and gpu.contexts == []
    gpu.fail.clear()
    gpu.retained = 0  # what the failed GPU keeps until the process ends


# Shapes


def test_a_batch_larger_than_the_profile_is_run_in_parts(
    trt_bundle: TrtBundle, trt: FakeTensorRT
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    x = rows(*range(1000, 1900, 100))
    right(session.run(*pad_batch(x)), x)
    assert trt.ran == [(0, (4, 1800)), (0, (4, 1800)), (0, (1, 1800))]


def test_what_is_shorter_than_the_profile_is_padded(
    trt_bundle: TrtBundle, trt: FakeTensorRT
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    x = rows(400)
    right(session.run(*pad_batch(x)), x)
    assert trt.ran == [(0, (1, 800))]


def test_too_few_rows_are_filled_up(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    trt.profiles = (((3, 400), (4, 16_000), (4, 48_000)),)
    session = TrtSession(Bundle.open(trt_bundle()))
    x = rows(1200, 700, seed=4)
    right(session.run(*pad_batch(x)), x)
    assert trt.ran == [(0, (3, 1200))]


def test_audio_longer_than_every_profile_is_refused(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    with pytest.raises(UsageError) as error:
        session.run(*pad_batch(rows(48_001)))
    assert str(error.value) == (
        "lengths: expected at most 48000 samples, as the engine's profiles say, found 48001; "
        "export with a longer --profile, or use --runtime onnx"
    )
    assert trt.ran == [] and gpu.contexts == []
    x = rows(48_000)
    right(session.run(*pad_batch(x)), x)


SEVERAL = (
    ((1, 8000), (1, 80_000), (1, 192_000)),
    ((1, 400), (1, 16_000), (1, 32_000)),
    ((4, 8000), (16, 16_000), (32, 64_000)),
)


@pytest.mark.parametrize(
    ("lengths", "ran"),
    [
        ([16_000], [(1, (1, 16_000))]),
        ([30_000], [(1, (1, 30_000))]),  # nearer to 16 000 than to 80 000
        ([40_000], [(0, (1, 40_000))]),
        ([192_000], [(0, (1, 192_000))]),
        ([500], [(1, (1, 500))]),  # without padding
        ([16_000] * 6, [(2, (6, 16_000))]),
        ([500] * 6, [(2, (6, 8000))]),  # one padded run rather than six
        ([16_000] * 33, [(2, (32, 16_000)), (1, (1, 16_000))]),
        ([100_000] * 2, [(0, (1, 100_000))] * 2),
    ],
)
def test_the_profile_with_the_fewest_runs_and_least_padding(
    lengths: list[int], ran: list[Any], trt_bundle: TrtBundle, trt: FakeTensorRT
) -> None:
    trt.profiles = SEVERAL
    session = TrtSession(Bundle.open(trt_bundle()))
    x = rows(*lengths)
    right(session.run(*pad_batch(x)), x)
    assert trt.ran == ran


def test_the_profile_is_set_only_when_it_changes(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    trt.profiles = SEVERAL
    session = TrtSession(Bundle.open(trt_bundle()))
    for size in (50_000, 60_000, 16_000, 20_000, 50_000):
        session.run(*pad_batch(rows(size)))
    assert gpu.journal.count("set_optimization_profile_async") == 2


def test_the_limit_of_the_manifest_holds_as_well(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    bundle = Bundle.open(trt_bundle())
    limited = Bundle(bundle.root, replace(bundle.manifest, max_batch=1))
    x = rows(1000, 900, 800)
    right(TrtSession(limited).run(*pad_batch(x)), x)
    assert [shape for _, shape in trt.ran] == [(1, 1000), (1, 900), (1, 800)]


def test_a_model_without_region_head(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    del trt.tensors["region_logits"]
    bundle = Bundle.open(trt_bundle())
    described = bundle.manifest
    manifest = replace(described, outputs=described.outputs[:1], heads=described.heads[:1])
    outputs = TrtSession(Bundle(bundle.root, manifest)).run(*pad_batch(rows(900, 1000)))
    assert outputs.region_logits is None and outputs.vad.shape == (2, 3)


# Failures while running


@pytest.mark.parametrize("call", ["set_input_shape", "set_tensor_address", "get_tensor_shape",
                                  "execute_async_v3"])  # fmt: skip
def test_a_call_that_reports_failure_is_an_error_and_the_session_lives_on(
    call: str, trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    trt.refuse.add(call)
    x = rows(1000)
    for _ in range(2):
        with pytest.raises(DeviceError, match=rf"TensorRT: expected {call}.* to succeed"):
            session.run(*pad_batch(x))
    assert gpu.contexts == []
    trt.refuse.clear()
    right(session.run(*pad_batch(x)), x)


def test_a_shape_that_failed_does_not_spoil_the_one_before(
    trt_bundle: TrtBundle, trt: FakeTensorRT
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    x, longer = rows(1000), rows(2000)
    right(session.run(*pad_batch(x)), x)
    trt.refuse.add("get_tensor_shape")
    with pytest.raises(DeviceError, match="get_tensor_shape"):
        session.run(*pad_batch(longer))
    trt.refuse.clear()
    right(session.run(*pad_batch(x)), x)
    assert trt.ran[-1] == (0, (1, 1000)), "not the shape that was being set when it failed"
    right(session.run(*pad_batch(longer)), longer)


# CUDA graphs


def test_tensorrt_for_rtx_records_graphs_by_itself(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()), cuda_graphs=True)
    assert trt.graph_strategy == "whole"
    x = rows(1000)
    for _ in range(3):
        right(session.run(*pad_batch(x)), x)
    assert "cuStreamBeginCapture_v2" not in gpu.journal
    assert TrtSession(Bundle.open(trt_bundle("b"))) and gpu.journal.count("context") == 2


STANDARD: dict[str, Any] = {"backend": "tensorrt", "version": "10.3.0", "sm": ["sm86"]}


def test_of_tensorrt_the_second_run_of_a_shape_is_recorded(
    trt_bundle: TrtBundle, standard: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle(**STANDARD)), cuda_graphs=True)
    for i in range(4):
        x = rows(1000, seed=i)
        right(session.run(*pad_batch(x)), x)
    counts = {name: gpu.journal.count(name) for name in ("execute_async_v3", "cuGraphLaunch")}
    assert counts == {"execute_async_v3": 2, "cuGraphLaunch": 3}
    assert len(standard.ran) == 4


def test_recorded_shapes_keep_a_context_each_and_the_oldest_goes(
    trt_bundle: TrtBundle, standard: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle(**STANDARD)), cuda_graphs=True)
    for _ in range(2):
        for size in (1000, 1100, 1200, 1300):
            for seed in range(3):
                x = rows(size, seed=seed)
                right(session.run(*pad_batch(x)), x)
    assert gpu.journal.count("create_execution_context") == 4
    assert gpu.journal.count("cuStreamBeginCapture_v2") == 4
    alive, memory = len(gpu.alive), len(gpu.memory)
    for seed in range(3):
        x = rows(1400, seed=seed)
        right(session.run(*pad_batch(x)), x)
    assert (len(gpu.alive), len(gpu.memory)) == (alive, memory), "one came, one went"
    assert standard.objects == 1 + 1 + 4  # runtime, engine, contexts


def test_without_graphs_tensorrt_has_one_context_and_no_cache(
    trt_bundle: TrtBundle, standard: FakeTensorRT, gpu: FakeLibrary, tmp_path: Path
) -> None:
    folder = trt_bundle(**STANDARD, data=b"a plan of TensorRT itself")
    session = TrtSession(Bundle.open(folder))
    for size in (1000, 1100, 1000):
        x = rows(size)
        right(session.run(*pad_batch(x)), x)
    session.close()
    assert gpu.journal.count("create_execution_context") == 1
    assert not {"get_engine_validity", "create_runtime_config", "cuGraphLaunch"} & set(gpu.journal)
    assert not [p for p in tmp_path.rglob("*") if "cache" in p.name]


def test_shapes_are_remembered_within_a_bound(
    trt_bundle: TrtBundle, trt: FakeTensorRT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser_runtimes.tensorrt.session._COUNTED_SHAPES", 3)
    session = TrtSession(Bundle.open(trt_bundle()))
    for size in range(1000, 1010):
        x = rows(size)
        right(session.run(*pad_batch(x)), x)
    assert len(session._shapes) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_refused_and_leaves_the_gpu_alone(
    trt_bundle: TrtBundle, trt: FakeTensorRT, gpu: FakeLibrary
) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    x = rows(1000)
    right(session.run(*pad_batch(x)), x)
    calls = len(gpu.journal)
    child = os.fork()
    if not child:
        status = 1
        try:
            session.run(*pad_batch(x))
        except UsageError as error:
            session.close()
            left_alone = len(gpu.journal) == calls and not session._close.alive
            status = 0 if "forked" in str(error) and left_alone else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    right(session.run(*pad_batch(x)), x)


# Timing, threads, and the whole way


def test_timed_runs_tell_the_time_of_the_gpu(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    session = TimedSession(Bundle.open(trt_bundle()))
    journal = trt.library.journal
    x = rows(*[1000] * 5)
    outputs, seconds = session.timed_run(*pad_batch(x))
    right(outputs, x)
    assert seconds == pytest.approx(2 * 0.0015), "both parts of the batch"
    journal.clear()
    assert session.timed_run(*pad_batch(x[:1]))[1] == pytest.approx(0.0015)
    marks = [i for i, name in enumerate(journal) if name == "cuEventRecord"]
    assert journal[marks[0] + 1] == "execute_async_v3" and marks[1] == marks[0] + 2
    assert journal.index("cuStreamSynchronize") < journal.index("cuEventElapsedTime")
    assert journal.count("cuEventCreate") == journal.count("cuEventDestroy_v2") == 2
    journal.clear()
    session.run(*pad_batch(x[:1]))
    assert "cuEventRecord" not in journal


def test_one_session_in_several_threads(trt_bundle: TrtBundle, trt: FakeTensorRT) -> None:
    session = TrtSession(Bundle.open(trt_bundle()))
    batches = [rows(900 + 50 * i, seed=i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for x, outputs in zip(batches, pool.map(lambda x: session.run(*pad_batch(x)), batches),
                              strict=True):  # fmt: skip
            right(outputs, x)


@pytest.mark.parametrize("runtime", ["auto", "trt"])
def test_load_runs_the_engine(
    runtime: str, trt_bundle: TrtBundle, trt: FakeTensorRT, recwarn: pytest.WarningsRecorder
) -> None:
    ser = edge_ser.load(trt_bundle(), runtime, cuda_graphs=True)
    assert isinstance(ser.session, TrtSession) and not recwarn.list
    noise = (0.1 * np.random.default_rng(0).standard_normal((2, 16_000))).astype(np.float32)
    assert [1 <= ser(x, 16_000).arousal <= 7 for x in noise] == [True, True]
    assert len(trt.ran) == 2 and trt.graph_strategy == "whole"
