"""Records of edge-ser bench, made up."""

from dataclasses import replace
from typing import Any

from edge_ser.bench.records import Against, EnergyUse, Fresh, Latency, Record, Work

MACHINE = {"processor": "Test CPU", "architecture": "x86_64", "cores": 4, "libraries": {}}


def latency(p50: float, spread: float = 0.02, **changes: Any) -> Latency:
    made = Latency(
        p10_ms=0.95 * p50,
        p50_ms=p50,
        p90_ms=1.1 * p50,
        p99_ms=1.3 * p50,
        low_ms=p50 * (1 - spread),
        high_ms=p50 * (1 + spread),
        confidence=0.96,
        rounds=20,
        runs=60,
        stable=True,
        preempted=0.02,
    )
    return replace(made, **changes)


def fresh(first: float = 200.0, rss: float = 90.0, **changes: Any) -> Fresh:
    made = Fresh(
        first_result_ms=first,
        low_ms=0.97 * first,
        high_ms=1.03 * first,
        parts_ms={"import": 100.0, "load": 60.0, "first": 20.0},
        processes=5,
        seconds=1.0,
        peak_rss_mb=rss,
        rss_low_mb=rss - 0.5,
        rss_high_mb=rss + 0.5,
        device_mb=None,
        memory_seconds=5.0,
        memory_batch=1,
    )
    return replace(made, **changes)


def record(p50: float = 10.0, seconds: float = 1.0, **changes: Any) -> Record:
    made = Record(
        run="run1",
        time="2026-01-02T03:04:05Z",
        system="default/onnx",
        runtime="onnx",
        bundle="emosphere-spectral",
        target="onnx-fp32",
        precision="fp32",
        sha256="ab" * 32,
        seconds=seconds,
        batch=1,
        threads=1,
        latency=latency(p50),
        rtf=p50 / 1000 / seconds,
        throughput=1000 * seconds / p50,
        size_mb=2.8,
        load_ms=30.0,
        stages_ms={"read": 1.0, "resample": 0.9, "prepare": 0.1, "session": 8.0, "answer": 0.3},
        fresh=fresh(),
        machine=MACHINE,
        before={"clock_mhz": [3000, 2900], "governor": "performance"},
    )
    return replace(made, **changes)


def full(**changes: Any) -> Record:
    """Nothing left out."""
    made = record(
        against=Against("other/torch", 0.5, 0.48, 0.52, 0.995, "faster"),
        work=Work({"fp32": 0.1, "int8": 0.3}, 40.0, {"fp32": 80.0, "int8": 300.0}, 0.4),
        energy=EnergyUse(0.25, 25.0, 40, "RAPL package-0"),
        fresh=fresh(device_mb=512.0),
        notes=("one thing", "another"),
        after={"temperature_c": {"cpu": 61.5}},
    )
    return replace(made, **changes)
