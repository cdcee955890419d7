import os
import time
from pathlib import Path
from typing import Any

import pytest

from edge_ser.errors import MeasurementError
from edge_ser.host.facts import available_memory, machine, same_machine, state
from edge_ser.measure.energy import Meter, Rails, Rapl, find_meter, measure_energy


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


CPUINFO = """processor\t: 0
model name\t: Fast CPU
flags\t\t: fpu avx2 avx512_vnni
cpu MHz\t\t: 2400.5

processor\t: 1
model name\t: Another CPU
flags\t\t: fpu
cpu MHz\t\t: 1200.0
"""
MEMINFO = "MemTotal:       16000000 kB\nMemFree: 1000 kB\nMemAvailable:    8000000 kB\n"


def test_facts_of_a_server(tmp_path: Path) -> None:
    write(tmp_path, {"proc/cpuinfo": CPUINFO, "proc/meminfo": MEMINFO})
    found = machine(tmp_path)
    assert found["processor"] == "Fast CPU"
    assert found["instructions"] == ["avx2", "avx512_vnni"]
    assert found["memory_mb"] == 16384
    assert {"numpy", "onnxruntime", "soundfile"} <= set(found["libraries"])
    assert found["cores"] >= 1


def test_facts_of_a_board(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "proc/cpuinfo": "processor: 0\nFeatures : fp asimd asimddp i8mm\n",
            "proc/device-tree/model": "Small Board 5\0",
        },
    )
    found = machine(tmp_path)
    assert found["processor"] == "Small Board 5"
    assert found["instructions"] == ["asimddp", "i8mm"]
    assert found["memory_mb"] is None


def test_state_with_clocks_governor_and_temperatures(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    write(
        tmp_path,
        {
            f"{cpu}/cpu0/cpufreq/scaling_cur_freq": "1800000\n",
            f"{cpu}/cpu1/cpufreq/scaling_cur_freq": "600000\n",
            f"{cpu}/cpu0/cpufreq/scaling_max_freq": "2400000\n",
            f"{cpu}/cpu0/cpufreq/scaling_governor": "schedutil\n",
            f"{cpu}/cpu1/cpufreq/scaling_governor": "schedutil\n",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": "61540\n",
            "sys/class/thermal/thermal_zone1/type": "broken\n",
            "proc/loadavg": "0.52 0.4 0.3 1/100 999\n",
            "proc/meminfo": MEMINFO,
        },
    )
    found = state(tmp_path)
    assert found["clock_mhz"] == [1800, 600] and found["clock_limit_mhz"] == 2400
    assert found["governor"] == "schedutil"
    assert found["temperature_c"] == {"cpu-thermal": 61.5}
    assert found["load_1min"] == 0.52 and found["available_memory_mb"] == 8192


def test_clocks_of_a_virtual_machine_and_nothing_at_all(tmp_path: Path) -> None:
    assert "clock_mhz" not in state(tmp_path)
    write(tmp_path, {"proc/cpuinfo": CPUINFO})
    assert state(tmp_path)["clock_mhz"] == [2400, 1200]


def test_power_mode_of_a_jetson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvpmodel"
    tool.write_text("#!/bin/sh\necho 'NV Power Mode: MAXN'\necho 0\n", encoding="utf-8")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert state(tmp_path)["power_mode"] == "MAXN"
    tool.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    assert "power_mode" not in state(tmp_path)


def test_memory_that_a_container_allows(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    write(tmp_path, {"proc/meminfo": MEMINFO})
    assert available_memory(tmp_path) == 8_000_000 * 1024
    group = tmp_path / "sys/fs/cgroup"
    write(group, {"memory.max": "max\n", "memory.current": "5\n"})
    assert available_memory(tmp_path) == 8_000_000 * 1024
    write(group, {"memory.max": "300000000\n", "memory.current": "200000000\n"})
    assert available_memory(tmp_path) == 100_000_000
    write(group, {"memory.stat": "anon 100\ninactive_file 50000000\n"})
    assert available_memory(tmp_path) == 150_000_000, "cached files make room"


def test_machines_are_the_same_by_processor_and_cores() -> None:
    a = {"processor": "x", "architecture": "arm64", "cores": 4, "python": "3.11"}
    assert same_machine(a, {**a, "python": "3.12"})
    assert not same_machine(a, {**a, "cores": 8})


# --- energy


def rapl(root: Path, energy: dict[int, int]) -> None:
    zones = root / "sys/class/powercap"
    for number, value in energy.items():
        write(
            zones / f"intel-rapl:{number}",
            {
                "name": f"package-{number}\n",
                "energy_uj": f"{value}\n",
                "max_energy_range_uj": "10000000\n",
            },
        )
    # parts of a package, and a second view of the same: not to be counted twice
    write(zones / "intel-rapl:0:0", {"name": "core\n", "energy_uj": "1\n"})
    write(zones / "intel-rapl:9", {"name": "psys\n", "energy_uj": "1\n"})


def test_counters_of_processor_packages_are_summed_and_may_overflow(tmp_path: Path) -> None:
    rapl(tmp_path, {0: 1_000_000, 1: 9_000_000})
    meter, why = find_meter(tmp_path)
    assert isinstance(meter, Rapl) and not why
    assert meter.source == "RAPL package-0, package-1"
    meter.start()
    rapl(tmp_path, {0: 3_500_000, 1: 500_000})
    assert meter.stop() == pytest.approx(2.5 + 1.5)


def counted(meter: Meter, seconds: float) -> tuple[float, float]:
    """Joules of a pause, and how long it was with all that measuring it takes."""
    began = time.perf_counter()
    meter.start()
    time.sleep(seconds)
    return meter.stop(), time.perf_counter() - began


def test_energy_of_a_run(tmp_path: Path) -> None:
    rapl(tmp_path, {0: 0})
    meter, _ = find_meter(tmp_path)
    assert meter is not None
    counter = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"

    def run() -> None:
        time.sleep(0.01)
        counter.write_text(f"{int(counter.read_text()) + 200_000}\n")

    began = time.perf_counter()
    used = measure_energy(meter, run, seconds=0.1)
    elapsed = time.perf_counter() - began
    assert used.joules == pytest.approx(0.2)
    assert 3 <= used.runs <= 10
    assert 0.1 <= used.joules * used.runs / used.watts <= elapsed, "over the time that it took"


def test_a_counter_for_root_only_is_said(tmp_path: Path) -> None:
    rapl(tmp_path, {0: 0})
    counter = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    counter.unlink()
    counter.mkdir()  # unreadable for root too, who runs tests in containers
    meter, why = find_meter(tmp_path)
    assert meter is None and why.endswith("energy_uj may be read by root only")


def test_no_counter(tmp_path: Path) -> None:
    assert find_meter(tmp_path) == (None, "this machine exposes no energy counter")


def test_rails_of_a_board_are_the_whole_board_once(tmp_path: Path) -> None:
    sensor = tmp_path / "sys/class/hwmon/hwmon3"
    write(
        sensor,
        {
            "name": "ina3221\n",
            "in1_label": "VDD_IN\n", "in1_input": "5000\n", "curr1_input": "2000\n",
            "in2_label": "VDD_CPU_GPU_CV\n", "in2_input": "5000\n", "curr2_input": "900\n",
            "in7_label": "sum of shunt voltages\n", "in7_input": "12\n",
        },
    )  # fmt: skip
    write(tmp_path / "sys/class/hwmon/hwmon0", {"name": "coretemp\n", "in1_label": "x\n"})
    meter, _ = find_meter(tmp_path)
    assert isinstance(meter, Rails) and meter.source == "rails VDD_IN"
    joules, elapsed = counted(meter, 0.2)
    assert 10 * 0.2 <= joules <= 10 * elapsed  # 5 V x 2 A
    began = time.perf_counter()
    used = measure_energy(meter, lambda: time.sleep(0.05), seconds=0.2)
    elapsed = time.perf_counter() - began
    assert used.watts == pytest.approx(10, rel=0.1)
    assert 10 * 0.2 <= used.joules * used.runs <= 10 * elapsed


def test_rails_of_older_boards_and_those_without_a_total(tmp_path: Path) -> None:
    folder = tmp_path / "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    write(
        folder,
        {
            "rail_name_0": "VDD_GPU\n", "in_power0_input": "1500\n",
            "rail_name_1": "VDD_CPU\n", "in_power1_input": "500\n",
        },
    )  # fmt: skip
    meter, _ = find_meter(tmp_path)
    assert meter is not None and meter.source == "rails VDD_GPU, VDD_CPU"
    joules, elapsed = counted(meter, 0.1)
    assert 2 * 0.1 <= joules <= 2 * elapsed


def test_what_is_used_before_the_sampling_thread_runs_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = Rails._sample

    def late(*arguments: Any) -> None:
        time.sleep(0.2)
        sample(*arguments)

    monkeypatch.setattr(Rails, "_sample", late)
    joules, elapsed = counted(Rails([("VDD_IN", lambda: 10.0)]), 0.1)
    assert 10 * 0.2 <= joules <= 10 * elapsed


def test_a_rail_beside_others_is_no_whole_board(tmp_path: Path) -> None:
    files = {"name": "ina3221\n"}
    for number, name in enumerate(("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"), 1):
        files[f"in{number}_label"] = f"{name}\n"
        files[f"in{number}_input"], files[f"curr{number}_input"] = "5000\n", f"{number}000\n"
    write(tmp_path / "sys/class/hwmon/hwmon3", files)
    meter, _ = find_meter(tmp_path)
    assert isinstance(meter, Rails)
    assert meter.source == "rails VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0"
    assert sum(read() for _, read in meter.rails) == pytest.approx(5 * (1 + 2 + 3))


@pytest.mark.parametrize("good", [0, 3])
def test_a_rail_that_fails_meanwhile_gives_no_energy(good: int) -> None:
    left = good

    def read() -> float:
        nonlocal left
        if not left:
            raise OSError("Remote I/O error")
        left -= 1
        return 10.0

    meter = Rails([("VDD_IN", read)])
    with pytest.raises(MeasurementError, match=r"energy by rails VDD_IN: .* found Remote I/O"):
        measure_energy(meter, lambda: time.sleep(0.05), seconds=0.1)
    left = 10_000  # another measurement begins anew
    assert measure_energy(meter, lambda: time.sleep(0.02), seconds=0.1).joules > 0


def test_a_counter_that_goes_away_gives_no_energy(tmp_path: Path) -> None:
    rapl(tmp_path, {0: 0})
    meter, _ = find_meter(tmp_path)
    assert meter is not None
    counter = tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj"
    with pytest.raises(MeasurementError, match="a meter that can be read"):
        measure_energy(meter, lambda: counter.write_text("\n"), seconds=0.01)
