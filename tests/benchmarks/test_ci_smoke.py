"""The regression watch: only a ratio far outside the noise fails, and only on such a processor."""

import json
import math
from pathlib import Path

import ci_smoke
import numpy as np
import pytest
from ci_smoke import Ratio, judge, like, report, stored_ratios

from edge_ser.measure import ratio

QUIET = Ratio(1.0, 0.995, 1.005)


def timed(factor: float, noise: float, seed: int, rounds: int = 40) -> Ratio:
    """Made-up timings: a system that takes `factor` of the other's time, both disturbed."""
    rng = np.random.default_rng(seed)
    shared = 0.01 * rng.lognormal(0, 0.5, rounds)  # what a round shares hurts no ratio
    first = shared * factor * rng.lognormal(0, noise, rounds)
    second = shared * rng.lognormal(0, noise, rounds)
    return Ratio.of(ratio(first.tolist(), second.tolist()))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("noise", [0.01, 0.1, 0.4])
def test_noise_alone_never_fails(seed: int, noise: float) -> None:
    stored, found = timed(0.6, noise, seed), timed(0.6, noise, seed + 1000)
    assert judge(stored, found, timed(1.0, noise, seed + 2000), True) == "as stored"


@pytest.mark.parametrize("seed", range(10))
def test_a_system_twice_as_slow_fails_on_a_quiet_machine(seed: int) -> None:
    stored, found = timed(0.6, 0.02, seed), timed(1.2, 0.02, seed + 1000)
    itself = timed(1.0, 0.02, seed + 2000)
    assert judge(stored, found, itself, True) == "worse"
    assert judge(found, stored, itself, True) == "better"


def test_the_same_change_is_no_claim_where_a_system_differs_from_itself() -> None:
    stored, found = Ratio(0.6, 0.59, 0.61), Ratio(0.9, 0.89, 0.91)
    assert judge(stored, found, QUIET, True) == "worse"
    assert judge(stored, found, Ratio(1.2, 1.19, 1.21), True) == "as stored"
    assert judge(stored, found, Ratio(1.0, 0.8, 1.25), True) == "as stored"


def test_small_changes_are_nobody_s_business_however_sure() -> None:
    stored = Ratio(1.0, 0.999, 1.001)
    least = 1 + ci_smoke.LEAST_CHANGE
    assert judge(stored, Ratio(least - 0.01, least - 0.011, least - 0.009), QUIET, True) == (
        "as stored"
    )
    assert judge(stored, Ratio(least + 0.01, least + 0.009, least + 0.011), QUIET, True) == "worse"


def test_nothing_is_judged_without_a_stored_ratio_or_on_another_processor() -> None:
    slow = Ratio(9.0, 8.9, 9.1)
    assert judge(None, slow, QUIET, True) == "not judged"
    assert judge(Ratio(1.0, 0.9, 1.1), slow, QUIET, False) == "not judged"


def test_noise_is_half_the_interval() -> None:
    assert Ratio(1.0, 0.5, 2.0).noise == pytest.approx(math.log(2))


def test_processors_are_alike_by_their_instructions() -> None:
    here = {"architecture": "x86_64", "instructions": ["avx2"], "processor": "A"}
    assert like(here, {**here, "processor": "B"})
    assert not like(here, {**here, "instructions": ["avx2", "avx512_vnni"]})
    assert not like(here, {**here, "architecture": "aarch64"})
    assert not like({}, {})


def test_the_report_names_what_is_worse() -> None:
    stored = {"a": Ratio(1.0, 0.99, 1.01), "b": Ratio(1.0, 0.99, 1.01)}
    found = {"a": Ratio(1.01, 1.0, 1.02), "b": Ratio(2.0, 1.9, 2.1), "c": Ratio(3.0, 2.9, 3.1)}
    lines, well = report(found, QUIET, stored, True)
    assert not well
    assert [line.rsplit(": ", 1)[1] for line in lines[1:]] == ["as stored", "worse", "not judged"]
    assert "2.000 (1.900..2.100), stored 1.000 (0.990..1.010)" in lines[2]
    assert report(found, QUIET, stored, False)[1]


def test_stored_ratios_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "stored.json"
    assert stored_ratios(path) == ({}, {})
    record = {"machine": {"architecture": "x"}, "ratios": {"a": {"value": 1, "low": 1, "high": 2}}}
    path.write_text(json.dumps(record))
    assert stored_ratios(path) == ({"a": Ratio(1, 1, 2)}, {"architecture": "x"})


def test_what_is_stored_in_the_repository_is_what_is_measured() -> None:
    ratios, machine = stored_ratios(ci_smoke.STORED)
    assert set(ratios) == set(ci_smoke.RATIOS)
    assert all(0 < r.low <= r.value <= r.high for r in ratios.values())
    assert {"architecture", "instructions"} <= set(machine)
