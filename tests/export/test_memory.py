"""Memory that is given back."""

import sys
from pathlib import Path

import pytest

from edge_ser_export.memory import release_memory


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of a process")
def test_memory_between_what_is_kept_goes_back_to_the_system() -> None:
    # below the size that the C library asks the system for one by one
    blocks = [b"x" * 100_000 for _ in range(3000)]
    full = resident_mb()
    kept = blocks[::100]
    del blocks
    release_memory()
    assert full - resident_mb() > 200
    assert len(kept) == 30


def test_cycles_are_collected() -> None:
    class Node:
        alive = 0

        def __init__(self) -> None:
            self.itself = self
            Node.alive += 1

        def __del__(self) -> None:
            Node.alive -= 1

    Node()
    release_memory()
    assert Node.alive == 0
