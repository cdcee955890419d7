import json

import pytest
from helpers.bench_records import MACHINE, fresh, latency, record

from edge_ser.bench.compare import Comparison, compare
from edge_ser.bench.records import Record
from edge_ser.bench.tables import change_rows
from edge_ser.errors import UsageError


def verdicts(found: Comparison) -> dict[str, tuple[str, bool]]:
    return {c.metric: (c.verdict, c.regression) for c in found.changes}


def against(old: Record, new: Record, threshold: float = 0.1) -> dict[str, tuple[str, bool]]:
    return verdicts(compare([old], [new], threshold, "old.jsonl"))


def test_nothing_changed() -> None:
    found = against(record(10.0), record(10.1))
    assert found["latency ms"] == ("no difference", False)
    assert found["size MB"] == ("no difference", False)
    assert found["first result ms, 1 s"] == ("no difference", False)
    assert found["peak RSS MB, 1 x 5 s"] == ("no difference", False)


@pytest.mark.parametrize(
    ("now", "spread", "threshold", "expected"),
    [
        (12.0, 0.02, 0.1, ("worse", True)),
        (12.0, 0.02, 0.25, ("worse", False)),  # known to be worse, but allowed
        (12.0, 0.25, 0.1, ("no difference", False)),  # past the threshold, but inside the noise
        (10.5, 0.005, 0.1, ("worse", False)),
        (8.0, 0.02, 0.1, ("better", False)),
    ],
)
def test_latency(now: float, spread: float, threshold: float, expected: tuple[str, bool]) -> None:
    new = record(now, latency=latency(now, spread))
    old = record(10.0, latency=latency(10.0, min(spread, 0.02)))
    assert against(old, new, threshold)["latency ms"] == expected


def test_a_busy_machine_is_no_regression() -> None:
    """Another program slows half of the runs down; the fastest ones are as fast as ever."""
    quiet = record(10.0)
    busy = record(13.0, latency=latency(13.0, 0.02, p10_ms=9.6))
    assert against(quiet, busy)["latency ms"] == ("no difference", False)
    assert against(busy, quiet)["latency ms"] == ("no difference", False)
    a_little = record(13.0, latency=latency(13.0, 0.02, p10_ms=10.0))
    assert against(quiet, a_little)["latency ms"] == ("worse", False), "5 % of the fastest tenth"


def test_times_of_a_saturated_machine_are_not_judged_but_sizes_are() -> None:
    quiet = record(10.0)
    new = record(30.0, latency=latency(30.0, preempted=0.6), fresh=fresh(900), size_mb=9.0)
    for old, now in ((quiet, new), (new, quiet)):
        found = against(old, now)
        assert found["latency ms"] == ("not judged", False)
        assert found["first result ms, 1 s"] == ("not judged", False)
    assert against(quiet, new)["size MB"] == ("worse", True)
    assert len(compare([quiet], [new], 0.1, "old").not_judged) == 2


def test_first_result_memory_and_size() -> None:
    old = record(fresh=fresh(200, 90), size_mb=1.0)
    new = record(fresh=fresh(300, 120), size_mb=1.2)
    found = against(old, new)
    assert found["first result ms, 1 s"] == ("worse", True)
    assert found["peak RSS MB, 1 x 5 s"] == ("worse", True)
    assert found["size MB"] == ("worse", True)
    assert found["latency ms"] == ("no difference", False)


def test_memory_of_other_utterances_is_another_figure() -> None:
    old = record(fresh=fresh(memory_batch=8))
    assert not any("RSS" in metric for metric in against(old, record()))


def test_a_history_tells_how_much_runs_differ() -> None:
    """One lucky run earlier is no reason to call an ordinary one a regression."""
    lucky, ordinary = record(8.0, run="a"), record(10.2, run="b")
    new = record(10.0)
    assert against(lucky, new)["latency ms"] == ("worse", True)
    found = compare([lucky, ordinary], [new], 0.1, "old")
    assert verdicts(found)["latency ms"] == ("no difference", False)
    assert found.runs == 2
    ages_ago = [record(5.0, run="z")]
    recent = [record(10.0, run=str(i)) for i in range(5)]
    found = compare(ages_ago + recent, [record(10.0)], 0.1, "old")
    assert found.changes[0].old.low > 9, "only the last five count"


def test_what_belongs_to_the_system_is_told_once() -> None:
    old = [record(seconds=s) for s in (1.0, 5.0)]
    new = [record(seconds=s) for s in (1.0, 5.0)]
    found = compare(old, new, 0.1, "old")
    assert [c.metric for c in found.changes].count("size MB") == 1
    assert [c.place for c in found.changes if c.metric == "latency ms"] == [
        "default/onnx, 1 s, batch 1, 1 thread",
        "default/onnx, 5 s, batch 1, 1 thread",
    ]


def test_what_has_no_earlier_measurement_is_named() -> None:
    found = compare([record()], [record(), record(threads=2)], 0.1, "old")
    assert found.unmatched == ["default/onnx, 1 s, batch 1, 2 threads"]


@pytest.mark.parametrize(
    "other",
    [
        record(system="other/onnx"),
        record(seconds=3.0),
        record(batch=4),
        record(threads=2),
        record(machine={**MACHINE, "cores": 8}),
        record(machine={**MACHINE, "processor": "Another"}),
    ],
)
def test_comparing_nothing_is_an_error(other: Record) -> None:
    with pytest.raises(UsageError, match=r"old\.jsonl: expected a measurement of the same system"):
        compare([other], [record()], 0.1, "old.jsonl")


def test_regressions_come_first_and_are_shouted() -> None:
    found = compare(
        [record(seconds=1), record(10.0, seconds=5)],
        [record(seconds=1), record(20.0, seconds=5)],
        0.1,
        "old",
    )
    header, first, *rest = change_rows(found)
    assert header[-1] == "verdict"
    assert first[-1] == "REGRESSION" and "5 s" in first[0] and first[4].startswith("2.000 (1.9")
    assert all(row[-1] == "no difference" for row in rest)
    assert len(found.regressions) == 1


def test_one_interrupted_run_does_not_keep_a_history_from_being_compared_with() -> None:
    history = [record(10.0) for _ in range(5)]
    history.append(record(10.0, latency=latency(10.0, preempted=1.0)))
    found = verdicts(compare(history, [record(20.0)], 0.1, "old.jsonl"))
    assert found["latency ms"] == ("worse", True)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("p50_ms", "NaN", "a finite number"),
        ("p50_ms", "Infinity", "a finite number"),
        ("high_ms", "1e999", "a finite number"),
        ("low_ms", "0", "more than 0 ms"),
        ("p10_ms", "-1", "more than 0 ms"),
        ("preempted", "1.5", "0 to 1"),
        ("preempted", "-Infinity", "a finite number"),
    ],
)
def test_figures_that_none_can_be_are_refused(field: str, value: str, words: str) -> None:
    data = json.loads(record(10.0).to_json())
    data["latency"][field] = 12345.5
    line = json.dumps(data).replace("12345.5", value)
    with pytest.raises(UsageError, match=f"expected {words}"):
        Record.from_json(line, "old.jsonl, line 1")
