import wave
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edge_ser
from edge_ser.audio.files import decode_file
from edge_ser.bench import suite
from edge_ser.bench.speech import speech, write_wav
from edge_ser.bench.stages import STAGES, stages
from edge_ser.bench.suite import Options, Suite, System
from edge_ser.bench.work import Peaks, Products
from edge_ser.errors import (
    BundleError,
    EdgeSerError,
    MeasurementError,
    MissingExtraError,
    MissingPathError,
)
from edge_ser.measure.energy import Rails
from edge_ser.measure.process import ColdSystem
from edge_ser.measure.timing import Plan
from edge_ser.session import Session
from edge_ser_runtimes.registry import open_session

QUICK = Options(seconds=(1.0,), plan=Plan(max_rounds=3, min_rounds=3), processes=0)


@pytest.mark.parametrize("seconds", [0.03, 0.5, 4.0, 30.0])
def test_speech_is_as_long_as_asked_and_never_silent(seconds: float) -> None:
    x = speech(seconds, 16_000)
    assert x.shape == (int(seconds * 16_000),) and x.dtype == np.float32
    halves = x[: x.size // 2 * 2].reshape(2, -1)
    assert np.abs(halves).max(axis=1).min() > 0.01, "speech in both halves"


def test_speech_of_the_user(tmp_path: Path, noise: NDArray[np.float32]) -> None:
    path = tmp_path / "own.wav"
    write_wav(path, noise, 16_000)
    x = speech(2.5, 16_000, path)
    start = int((np.abs(noise) > 0.05 * np.abs(noise).max()).argmax())
    once = 16_000 - start
    np.testing.assert_allclose(x[:once], noise[start:], atol=1 / 32768)
    np.testing.assert_array_equal(x[once : 2 * once], x[:once])
    with pytest.raises(MissingPathError):
        speech(1, 16_000, tmp_path / "none.wav")


def test_wav_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    x = speech(0.3, 48_000)
    write_wav(tmp_path / "x.wav", x, 48_000)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 1, 2)
    np.testing.assert_allclose(decode_file(tmp_path / "x.wav", 48_000), x, atol=1 / 32768)


def test_stages_follow_the_recogniser_step_by_step(
    ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    path = tmp_path / "x.wav"
    write_wav(path, speech(2.0, 48_000), 48_000)
    given = []

    def run(ready: Any) -> Any:
        given.append(ready)
        return ser.session.run(*ready)

    split = stages(ser.manifest, run, path, 48_000, batch=2, repetitions=3)
    assert tuple(split) == STAGES and all(0 < s < 1 for s in split.values())
    samples, lengths = given[0]
    p = ser.manifest.preprocessing
    expected = p.apply(decode_file(path, p.sample_rate, p.max_seconds))
    assert lengths.tolist() == [32_000, 32_000]
    np.testing.assert_allclose(samples[1], expected, atol=1e-6)
    assert split["session"] > split["prepare"]


# --- candidates that are made for the test, over the default bundle


@pytest.fixture
def candidate(ser: edge_ser.Recognizer) -> Callable[..., System]:
    def build(name: str = "good", **changes: Any) -> System:
        facts: dict[str, Any] = {
            "name": name,
            "runtime": "onnx",
            "manifest": ser.manifest,
            "target": "onnx-fp32",
            "precision": "fp32",
            "sha256": "00",
            "size_bytes": 2_500_000,
            "memory_bytes": 10_000_000,
            "open": lambda threads: open_session(ser.bundle, "onnx", threads),
            "cold": lambda threads, first, longest, batch: ColdSystem("mark('first')"),
        }
        return System(**(facts | changes))

    return build


def run(options: Options, *candidates: System) -> tuple[Any, list[str]]:
    said: list[EdgeSerError] = []
    records = Suite(options, said.append, lambda word, count: None).run(candidates)
    return records, [str(e) for e in said]


def test_records_of_two_systems(candidate: Callable[..., System]) -> None:
    options = Options(
        seconds=(1.0, 2.0), batches=(1, 2), plan=Plan(max_rounds=3, min_rounds=3), processes=1
    )
    records, said = run(options, candidate("a"), candidate("b"))
    assert not said
    assert [(r.batch, r.seconds, r.system) for r in records] == [
        (b, s, n) for b in (1, 2) for s in (1.0, 2.0) for n in ("a", "b")
    ]
    first, second = records[:2]
    assert first.against is None
    assert second.against.system == "a" and 0.2 < second.against.ratio < 5
    assert second.against.verdict == "too few rounds to judge"
    assert first.rtf == pytest.approx(first.latency.p50_ms / 1000)
    assert first.throughput * first.rtf == pytest.approx(1)
    double = records[4]
    assert double.rtf == pytest.approx(double.latency.p50_ms / 2000)
    assert first.fresh.processes == 1 and first.fresh.memory_seconds == 2
    assert first.fresh.memory_batch == 2 and first.fresh.seconds == 1
    assert len({r.run for r in records}) == 1 and first.machine["cores"] >= 1
    assert first.latency.low_ms <= first.latency.p50_ms <= first.latency.high_ms
    assert first.latency.p50_ms <= first.latency.p90_ms <= first.latency.p99_ms


def test_a_meter_that_fails_is_a_note_and_no_figure(
    candidate: Callable[..., System], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> float:
        raise OSError("Remote I/O error")

    monkeypatch.setattr(suite, "find_meter", lambda: (Rails([("VDD_IN", read)]), ""))
    (record,), said = run(QUICK, candidate())
    assert record.energy is None and not said
    assert any(
        n.startswith("no energy: energy by rails VDD_IN: expected a meter that can be read")
        for n in record.notes
    )


def test_progress_takes_as_many_steps_as_were_announced(
    candidate: Callable[..., System],
) -> None:
    options = Options(
        seconds=(1.0, 2.0), threads=(1, 2), plan=Plan(max_rounds=4, min_rounds=2), processes=1
    )
    taken: list[float] = []
    Suite(options, lambda e: None, lambda word, count: taken.append(count)).run(
        [candidate("a"), candidate("b")]
    )
    assert sum(taken) == options.steps(2) and min(taken) == 0


def test_what_cannot_be_loaded_is_told_and_the_others_are_measured(
    candidate: Callable[..., System],
) -> None:
    def refuses(threads: int) -> Session:
        raise BundleError("b.onnx", expected="a graph", found="none")

    def breaks(threads: int) -> Session:
        raise RuntimeError("driver too old\nand more")

    records, said = run(
        QUICK, candidate("a", open=refuses), candidate("b", open=breaks), candidate("c")
    )
    assert [r.system for r in records] == ["c"]
    assert records[0].against is None, "the first that runs is the one to compare with"
    assert said == [
        "b.onnx: expected a graph, found none",
        "b: expected a model that loads, found RuntimeError: driver too old",
    ]


def test_what_fails_while_it_runs_is_told(
    candidate: Callable[..., System], ser: edge_ser.Recognizer
) -> None:
    class Tired:
        runs = 0

        def run(self, samples: Any, lengths: Any) -> Any:
            Tired.runs += 1
            if Tired.runs > 3:
                raise MemoryError
            return ser.session.run(samples, lengths)

        def close(self) -> None:
            """Nothing to let go of."""

    records, said = run(QUICK, candidate("tired", open=lambda threads: Tired()), candidate("c"))
    assert [r.system for r in records] == ["c"]
    assert said == ["tired with 1 s: expected a run, found MemoryError"]


def test_a_machine_too_small_is_told_before_anything_is_loaded(
    candidate: Callable[..., System],
) -> None:
    def never(threads: int) -> Session:
        raise AssertionError("loaded")

    records, said = run(QUICK, candidate("huge", memory_bytes=10**15, open=never), candidate("c"))
    assert [r.system for r in records] == ["c"]
    (line,) = said
    assert line.startswith("huge: expected about 1000000000 MB of free memory, found ")
    assert "take a smaller model" in line


def test_systems_must_fit_beside_each_other_and_are_released_between_threads(
    candidate: Callable[..., System],
    ser: edge_ser.Recognizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: weakref.WeakSet[Any] = weakref.WeakSet()

    class Loaded:
        def __init__(self, threads: int) -> None:
            held.add(self)

        def run(self, samples: Any, lengths: Any) -> Any:
            return ser.session.run(samples, lengths)

        def close(self) -> None:
            """Nothing to let go of."""

    monkeypatch.setattr(suite, "available_memory", lambda: 150 - 100 * len(held))
    options = Options(seconds=(1.0,), threads=(1, 2), plan=QUICK.plan, processes=0)
    both = [candidate(name, open=Loaded, memory_bytes=100) for name in "ab"]
    records, said = run(options, *both)
    assert [(r.system, r.threads) for r in records] == [("a", 1), ("a", 2)]
    assert len(said) == 2 and all(line.startswith("b: expected about") for line in said)
    assert not held


def test_a_length_that_the_bundle_does_not_read(candidate: Callable[..., System]) -> None:
    options = Options(seconds=(1.0, 13.0), plan=QUICK.plan, processes=0)
    records, said = run(options, candidate())
    assert [r.seconds for r in records] == [1.0]
    assert said == [
        "good with 13 s: expected at most 12 s, what the bundle reads, found 13 s; choose --seconds"
    ]


def test_a_fresh_process_that_fails_leaves_the_times(candidate: Callable[..., System]) -> None:
    options = Options(seconds=(1.0,), plan=QUICK.plan, processes=1)
    bad = candidate("bad", cold=lambda *a: ColdSystem("raise ValueError('no weights')"))
    records, said = run(options, bad)
    assert records[0].fresh is None
    assert said == ["bad in a fresh process: expected a first result, found ValueError: no weights"]


# --- arithmetic


def test_work_is_counted_by_length_and_batch(ser: edge_ser.Recognizer) -> None:
    products, peaks = Products(ser.bundle.graph_path, 16_000), Peaks()
    one = peaks.work(products, 1.0, 1, 1, took=0.002)
    many = peaks.work(products, 1.0, 4, 1, took=0.002)
    longer = peaks.work(products, 2.0, 1, 1, took=0.002)
    assert set(one.gop) == {"fp32"}
    assert many.gop["fp32"] == pytest.approx(4 * one.gop["fp32"])
    assert 1.9 < longer.gop["fp32"] / one.gop["fp32"] < 2.2, "attention grows faster than time"
    assert one.gops == pytest.approx(one.gop["fp32"] / 0.002)
    # 1.1 M parameters, 100 frames per second, two operations each; attention and log-mel on top
    assert 0.03 < one.gop["fp32"] < 0.3
    assert one.peak_share is not None
    assert one.peak_share == pytest.approx(one.gops / one.peak_gops["fp32"])
    assert one.peak_share * 0.002 == pytest.approx(many.peak_share / 4 * 0.002)


def test_another_processor_is_not_held_against_this_ones_limit(ser: edge_ser.Recognizer) -> None:
    found = Peaks().work(Products(ser.bundle.graph_path, 16_000, cpu=False), 1.0, 1, 1, 0.002)
    assert found.peak_share is None and found.peak_gops == {} and found.gops > 0


def test_a_graph_that_cannot_be_counted(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(MeasurementError, match=r"model\.onnx: expected a graph that ONNX Runtime"):
        Peaks().work(Products(tmp_path / "model.onnx", 16_000), 1.0, 1, 1, 0.002)


def test_what_a_fresh_process_lacks_is_told_once_and_plainly(
    candidate: Callable[..., System],
) -> None:
    options = Options(seconds=(1.0,), plan=Plan(max_rounds=1, min_rounds=1), processes=1)
    code = """
from edge_ser.errors import MissingExtraError
raise MissingExtraError("runtime x", "xlib", "x")
"""
    words = "runtime x: expected the Python module `xlib`, found it is not installed; run: pip"

    def missing(threads: int) -> Any:
        raise MissingExtraError("runtime x", "xlib", "x")

    def fails(threads: int, first: Path, longest: Path, batch: int) -> ColdSystem:
        return ColdSystem(code)

    records, said = run(options, candidate("here", open=missing, cold=fails))
    assert not records and len(said) == 1 and said[0].startswith(words), said
    records, said = run(options, candidate("fresh", cold=fails))
    assert len(records) == 1 and records[0].fresh is None
    assert len(said) == 1
    assert said[0].startswith(f"fresh in a fresh process: expected a first result, found {words}")
