import pytest
from helpers.bench_records import fresh, full, record

from edge_ser.bench.budgets import FIGURES, broken, check_lengths, parse_budget
from edge_ser.errors import UsageError

# what `full()` has
MEASURED = {
    "latency_ms": 10.0,
    "p90_ms": 11.0,
    "p99_ms": 13.0,
    "rtf": 0.01,
    "energy_j": 0.25,
    "first_result_ms": 200.0,
    "load_ms": 30.0,
    "rss_mb": 90.0,
    "device_mb": 512.0,
    "size_mb": 2.8,
}


def test_every_kind_is_tried_here() -> None:
    assert list(MEASURED) == list(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_budget_holds_and_breaks(name: str) -> None:
    value = MEASURED[name]
    assert broken([parse_budget(f"{name}={value * 1.001:.6f}")], [full()]) == []
    (line,) = broken([parse_budget(f"{name}={value * 0.999:.6f}")], [full()])
    assert line.startswith(f"{name}={value * 0.999:.6f}: {value:.4g} (default/onnx")


@pytest.mark.parametrize("name", ["energy_j", "first_result_ms", "rss_mb", "device_mb"])
def test_what_could_not_be_measured_breaks_its_budget(name: str) -> None:
    lines = broken([parse_budget(f"{name}=1e6")], [record(fresh=None)])
    assert len(lines) == 1 and "not measured (default/onnx" in lines[0]
    assert broken([parse_budget(f"{name}=1e6")], []) == [f"{name}=1e6: not measured"]


def test_a_length_picks_its_records() -> None:
    records = [record(10.0, 1.0), record(50.0, 5.0)]
    assert broken([parse_budget("latency_ms=21@1s")], records) == []
    assert broken([parse_budget("latency_ms=21@5s")], records) == [
        "latency_ms=21@5s: 50 (default/onnx, 5 s, batch 1, 1 thread)"
    ]
    assert len(broken([parse_budget("latency_ms=5")], records)) == 2


def test_several_systems_and_budgets_are_all_named() -> None:
    records = [record(10.0), record(30.0, system="slow/onnx", fresh=fresh(rss=200))]
    budgets = [parse_budget(b) for b in ("latency_ms=20", "rss_mb=100", "size_mb=1.8")]
    assert broken(budgets, records) == [
        "latency_ms=20: 30 (slow/onnx, 1 s, batch 1, 1 thread)",
        "rss_mb=100: 200 (slow/onnx)",
        "size_mb=1.8: 2.8 (default/onnx)",
        "size_mb=1.8: 2.8 (slow/onnx)",
    ]


@pytest.mark.parametrize("text", ["latency_ms=21@1s", "latency_ms=21@1", "latency_ms=21.0@1.0s"])
def test_forms(text: str) -> None:
    budget = parse_budget(text)
    assert (budget.name, budget.limit, budget.seconds) == ("latency_ms", 21, 1)
    assert parse_budget("rtf=1e-2").limit == 0.01


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast", "expected NAME=LIMIT"),
        ("rtf=", "expected NAME=LIMIT"),
        ("rtf=-1", "expected NAME=LIMIT"),
        ("rtf=1.2.3", "expected NAME=LIMIT"),
        ("rtf=0.1@", "expected NAME=LIMIT"),
        ("speed=3", "expected one of latency_ms, p90_ms"),
        ("size_mb=2@1s", "expected size_mb without a length"),
    ],
)
def test_other_forms_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="--budget") as caught:
        parse_budget(text)
    assert said in str(caught.value)


def test_a_length_that_is_not_measured() -> None:
    check_lengths([parse_budget("rtf=1@5s"), parse_budget("rtf=1")], [1.0, 5.0])
    with pytest.raises(UsageError, match="add 2 to --seconds"):
        check_lengths([parse_budget("rtf=1@2s")], [1.0, 5.0])
