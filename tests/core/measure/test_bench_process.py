import sys

import pytest

from edge_ser.measure import ColdSystem, measure_cold

MEGABYTE = 1_000_000


def test_parts_first_result_and_memory_of_a_fresh_process() -> None:
    small = ColdSystem("import time\ntime.sleep(0.2)\nmark('load')\nmark('first')")
    # bytes that are not zero are really there; after the first result they count for memory only
    large = ColdSystem("mark('load')\nmark('first')\nx = b'x' * int(sys.argv[1])", ("200000000",))
    found, errors = measure_cold({"small": small, "large": large}, rounds=2)
    assert not errors
    assert list(found["small"].parts) == ["load", "first"]
    assert 0.2 <= found["small"].parts["load"] < 1
    assert found["small"].parts["first"] < 0.1
    assert found["small"].first_result.value > found["small"].parts["load"]
    assert len(found["small"].starts) == 2, "the start that warms up does not count"
    few, much = found["small"].peak_rss_bytes, found["large"].peak_rss_bytes
    if few is not None and much is not None:
        assert MEGABYTE < few < 100 * MEGABYTE
        assert 190 * MEGABYTE < much - few < 230 * MEGABYTE


def test_the_parents_memory_is_not_the_childs() -> None:
    held = b"x" * 300_000_000
    found, _ = measure_cold({"child": ColdSystem("mark('first')")}, rounds=1)
    peak = found["child"].peak_rss_bytes
    assert peak is None or peak < len(held) / 2


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise ValueError('broken weights')", "ValueError: broken weights"),
        ("sys.exit('no such file')", "no such file"),
        ("pass", "exit status 0"),
        ("sys.exit(3)", "exit status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it was killed"),
    ],
)
def test_a_process_without_a_result_is_named_and_the_others_go_on(code: str, expected: str) -> None:
    systems = {"bad": ColdSystem(code), "good": ColdSystem("mark('first')")}
    found, errors = measure_cold(systems, rounds=1)
    assert list(found) == ["good"]
    error = errors["bad"]
    assert str(error).startswith("bad in a fresh process: expected a first result, found ")
    assert expected in error.found
    assert error.exit_code == 2


def test_a_process_that_hangs_is_ended() -> None:
    systems = {"slow": ColdSystem("import time\nprint('some words')\ntime.sleep(60)")}
    found, errors = measure_cold(systems, rounds=1, timeout_seconds=0.5)
    assert not found
    assert errors["slow"].found == "none after 0.5 s"


def test_environment_interpreter_and_progress() -> None:
    code = "import os\nassert os.environ['A_WORD'] == 'yes'\nmark('first')"
    names: list[str] = []
    system = ColdSystem(code, python=sys.executable, environment={"A_WORD": "yes"})
    found, errors = measure_cold({"x": system}, rounds=2, progress=names.append)
    assert found and not errors
    assert names == ["x"] * 3
