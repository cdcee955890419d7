"""Whether one model is slower than another: claimed only where it is beyond doubt."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from helpers.small_graphs import graph, noise

from edge_ser.host.cpu import usable_cores
from edge_ser.measure.timing import Plan
from edge_ser_export.graph.rewrite import save
from edge_ser_export.proof.speed import Speed, compare_speed, graph_speed
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES


@pytest.fixture
def busy() -> Iterator[None]:
    """Every core has another program to run."""
    loops = [
        subprocess.Popen([sys.executable, "-I", "-c", "while True: pass"])
        for _ in range(usable_cores())
    ]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def chain(products: int, work: Path) -> Path:
    """A graph of so many equal matrix products, one after the other."""
    body = "x = Reshape(samples, frames) h0 = MatMul(x, v) "
    body += " ".join(f"h{i + 1} = MatMul(h{i}, w)" for i in range(products))
    model = graph(
        f"(float[batch, n] samples, int64[batch] lengths) => (float[b, t, u] h{products}) "
        f"{{ {body} }}",
        frames=np.array([1, -1, 4]), v=noise(4, 64), w=noise(64, 64) / 8,
    )  # fmt: skip
    path = work / f"{products}.onnx"
    save(model, path, EXTERNAL_DATA_BYTES)
    assert len([n for n in ir.load(path).graph if n.op_type == "MatMul"]) == products + 1
    return path


def test_a_graph_is_as_fast_as_itself(tmp_path: Path) -> None:
    path = chain(4, tmp_path)
    found = graph_speed(path, path, 1.0)
    assert found.outcome in ("no difference", "could not be judged")
    assert found.seconds == 1.0
    assert found.repetitions >= 8 and found.baseline_ms > 0 and found.candidate_ms > 0
    assert found.low <= found.speedup <= found.high
    assert set(found.to_dict()) == set(Speed.__dataclass_fields__)


@pytest.mark.usefixtures("busy")
def test_a_busy_machine_refuses_nothing(tmp_path: Path) -> None:
    """Seven of forty such runs fell below the limit of a gate that took medians of nine pairs."""
    path = chain(4, tmp_path)
    few = Plan(min_rounds=8, max_rounds=16, max_seconds=20.0, precision=0.03)
    assert "slower" not in [graph_speed(path, path, 1.0, few).outcome for _ in range(4)]


@pytest.mark.parametrize("factor", [2, 4])
def test_a_graph_with_more_to_do_is_slower(factor: int, tmp_path: Path) -> None:
    once, more = chain(8, tmp_path), chain(8 * factor, tmp_path)
    slower = graph_speed(once, more, 1.0)
    assert slower.outcome == "slower" and slower.why == "" and slower.doubt == ""
    assert slower.speedup < 0.75
    faster = graph_speed(more, once, 1.0)
    assert faster.outcome == "faster"
    assert faster.candidate_ms < faster.baseline_ms


def sleeps(milliseconds: Callable[[int], float]) -> Callable[[object], None]:
    """A model whose n-th run takes so long."""
    runs = iter(range(10**6))
    return lambda _: time.sleep(milliseconds(next(runs)) / 1000)


# as long as a turn, so that a turn is one run
PLAN = Plan(min_rounds=8, max_rounds=16, max_seconds=30.0, turn_seconds=0.001)


def test_what_varies_too_much_is_not_judged_and_says_so() -> None:
    steady, wild = sleeps(lambda _: 4), sleeps(lambda n: (2.0, 9.0)[n % 4 < 2])
    found = compare_speed(steady, wild, {}, 5.0, PLAN)
    assert found.outcome == "could not be judged"
    assert found.why.startswith(f"it lies between {found.low:.2f}x and {found.high:.2f}x after 16")
    assert found.doubt == f"; could not be judged: {found.why}"


def test_too_few_rounds_are_not_judged_and_say_so() -> None:
    plan = Plan(min_rounds=8, max_rounds=8, max_seconds=0.0)
    found = compare_speed(sleeps(lambda _: 10), sleeps(lambda _: 40), {}, 5.0, plan)
    assert found.outcome == "could not be judged"
    assert found.repetitions == 1 and found.why.startswith("1 rounds in ")


def test_what_fails_is_raised() -> None:
    def fails(_: object) -> None:
        raise ValueError("no such input")

    with pytest.raises(ValueError, match="no such input"):
        compare_speed(lambda _: None, fails, {}, 5.0, PLAN)
