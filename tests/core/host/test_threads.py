"""How many threads compute: as many as this process may use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge_ser
from edge_ser.errors import UsageError
from edge_ser.host.threads import choose_threads, cpu_quota, physical_cores

LINUX = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux alone has it")


@pytest.fixture(autouse=True)
def without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_SER_THREADS", raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


CGROUP, PROC = "sys/fs/cgroup", "proc/self/cgroup"
V1 = "4:memory:/m\n3:cpuset:/docker/a\n2:cpu,cpuacct:/docker/a"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        # version 2, as seen in a container: its own group is the root
        ({PROC: "0::/", f"{CGROUP}/cpu.max": "150000 100000"}, 1.5),
        ({PROC: "0::/", f"{CGROUP}/cpu.max": "max 100000"}, None),
        # a service of systemd: its own group, and the slice above it
        ({PROC: "0::/a.slice/b.service", f"{CGROUP}/a.slice/b.service/cpu.max": "400000 100000",
          f"{CGROUP}/a.slice/cpu.max": "200000 100000"}, 2.0),
        # a path that holds outside of the container only
        ({PROC: "0::/../other", f"{CGROUP}/cpu.max": "50000 100000"}, 0.5),
        # version 1
        ({PROC: V1, f"{CGROUP}/cpu,cpuacct/cpu.cfs_quota_us": "300000",
          f"{CGROUP}/cpu,cpuacct/cpu.cfs_period_us": "100000"}, 3.0),
        ({PROC: V1, f"{CGROUP}/cpu/docker/a/cpu.cfs_quota_us": "70000",
          f"{CGROUP}/cpu/docker/a/cpu.cfs_period_us": "100000"}, 0.7),
        ({PROC: V1, f"{CGROUP}/cpu/docker/a/cpu.cfs_quota_us": "-1",
          f"{CGROUP}/cpu/docker/a/cpu.cfs_period_us": "100000"}, None),
        ({PROC: "garbage:x:y\n0::/", f"{CGROUP}/cpu.max": "garbage"}, None),
    ],
)  # fmt: skip
def test_the_quota_of_a_container(
    files: dict[str, str], quota: float | None, tmp_path: Path
) -> None:
    assert cpu_quota(write(tmp_path, files)) == quota


def topology(*siblings: str) -> dict[str, str]:
    place = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    return {place.format(i): text for i, text in enumerate(siblings)}


def test_two_threads_of_a_core_are_one_core(tmp_path: Path) -> None:
    write(tmp_path, topology("0,2", "1,3", "0,2", "1,3"))
    assert physical_cores({0, 1, 2, 3}, tmp_path) == 2
    assert physical_cores({0, 2}, tmp_path) == 1
    assert physical_cores({0, 1, 7}, tmp_path) == 3, "nothing tells of the last"


@LINUX
@pytest.mark.parametrize(
    ("quota", "threads"),
    [("max 100000", 4), ("800000 100000", 4), ("250000 100000", 3), ("10000 100000", 1)],
)
def test_without_a_wish_it_is_what_affinity_and_quota_allow(
    quota: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    write(tmp_path, {PROC: "0::/", f"{CGROUP}/cpu.max": quota})
    assert choose_threads(None, tmp_path) == threads
    assert choose_threads(2, tmp_path) == 2, "a wish is a wish"
    monkeypatch.setenv("EDGE_SER_THREADS", "7")
    assert choose_threads(None, tmp_path) == 7
    assert choose_threads(2, tmp_path) == 2


def test_where_nothing_tells_the_runtime_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert choose_threads(None) is None


@pytest.mark.parametrize(
    ("asked", "bound"), [(0, "at least 1"), (-1, "at least 1"), (5000, "at most .* this machine")]
)
def test_numbers_that_help_nobody_are_refused(
    asked: int, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=rf"^threads: expected {bound}, found {asked}"):
        edge_ser.load(threads=asked)
    monkeypatch.setenv("EDGE_SER_THREADS", str(asked))
    with pytest.raises(UsageError, match=rf"^EDGE_SER_THREADS: expected {bound}, found"):
        edge_ser.load()


def test_a_variable_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SER_THREADS", "two")
    with pytest.raises(
        UsageError, match=r"^EDGE_SER_THREADS: expected a whole number, found 'two'"
    ):
        edge_ser.load()


def test_more_threads_than_processors_are_told() -> None:
    many = len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else 65
    with pytest.warns(UserWarning, match=rf"{many} threads, but this process may use") as caught:
        edge_ser.load(threads=many).close()
    assert caught[0].filename == __file__


ON_ONE_PROCESSOR = """
import os, sys
one = {max(os.sched_getaffinity(0))}
os.sched_setaffinity(0, one)
import numpy as np
import edge_ser
ser = edge_ser.load(runtime=sys.argv[1])
x = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000)
x *= np.where(np.arange(16_000) // 3_000 % 2, 0.05, 1)  # it comes and goes, as speech does
ser(x, 16_000)
tasks = [int(task) for task in os.listdir("/proc/self/task")]
assert all(os.sched_getaffinity(task) == one for task in tasks), "a worker was put elsewhere"
print(len(tasks))
"""


@LINUX
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_no_worker_leaves_the_processors_of_the_process(runtime: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ON_ONE_PROCESSOR, runtime],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), "and no line of the library's own"
    if runtime == "onnx":
        assert int(done.stdout) == 1, "the caller itself computes"
