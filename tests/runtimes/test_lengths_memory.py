"""A device runs for months, and no two utterances are of one length: memory stays as it is."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.integer_bundle import dynamic_bundle

from edge_ser.data import DEFAULT_BUNDLE

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="only Linux tells resident memory here"
)
# Every length once, in no order. What the first of them cost, and the longest, is not counted.
GROWTH = """
import os, sys
import numpy as np
import edge_ser
session = edge_ser.load(sys.argv[1], runtime=sys.argv[2], threads=1).session
noise = np.random.default_rng(0).standard_normal((1, 16_000), np.float32)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def run(length):
    session.run(np.ascontiguousarray(noise[:, :length]), np.full(1, length))

lengths = np.random.default_rng(1).permutation(np.arange(400, 400 + 2 * 3000, 2))
for length in (*range(6398, 399, -1000), *lengths[:200]):
    run(int(length))
before = resident()
for length in lengths:
    run(int(length))
print(resident() - before)
"""


@pytest.fixture(scope="module")
def bundles() -> dict[str, Path]:
    return {"fp32": DEFAULT_BUNDLE, "int8": dynamic_bundle()}


@needs_proc
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_3000_lengths_leave_memory_as_it_was(
    bundles: dict[str, Path], precision: str, runtime: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(bundles[precision]), runtime],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 5  # MB


# Every number of rows with every length, in no order. What each part of a batch costs once, and the
# largest batch, is not counted.
ROWS = """
import os, sys
import numpy as np
import edge_ser
session = edge_ser.load(sys.argv[1], runtime=sys.argv[2], threads=1).session
noise = np.random.default_rng(0).standard_normal((24, 12_000), np.float32)

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def run(rows, length):
    session.run(np.ascontiguousarray(noise[:rows, :length]), np.full(rows, length))

lengths = (4000, 8000, 12_000)
for length in lengths:
    for rows in (24, 8, 4, 2, 1):
        run(rows, length)
before = resident()
shapes = [(rows, length) for rows in range(1, 25) for length in lengths]
for index in np.random.default_rng(1).permutation(len(shapes)):
    run(*shapes[index])
print(resident() - before)
"""


@needs_proc
@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_72_shapes_of_batches_leave_memory_as_it_was(runtime: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ROWS, str(DEFAULT_BUNDLE), runtime],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 25  # MB; kernels for each shape took 161 in OpenVINO
