import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.bench_records import full, record

from edge_ser.bench.records import (
    SCHEMA_VERSION,
    Record,
    append,
    check_history,
    one_per_system,
    read_history,
)
from edge_ser.errors import MissingPathError, UsageError


@pytest.mark.parametrize("made", [full(), record(), record(fresh=None)])
def test_a_record_survives_as_one_line_of_json(made: Record) -> None:
    line = made.to_json()
    assert "\n" not in line
    data = json.loads(line)
    assert (data["schema"], data["kind"]) == (SCHEMA_VERSION, "edge-ser-bench")
    assert Record.from_json(line, "here") == made


def test_a_history_grows_and_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    check_history(path)
    append(path, [record(1.0), record(2.0)])
    check_history(path)
    append(path, [full()])
    assert read_history(path) == [record(1.0), record(2.0), full()]


def test_fields_of_a_later_version_of_the_schema_are_no_error() -> None:
    data = json.loads(record().to_json())
    data["weather"] = "mild"
    assert Record.from_json(json.dumps(data), "here") == record()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("latency"), "here: expected a field `latency`, found none"),
        (lambda d: d["latency"].pop("p50_ms"), "here: latency: expected a field `p50_ms`"),
        (
            lambda d: d.update(seconds="long"),
            "here: seconds: expected a finite number, found 'long'",
        ),
        (lambda d: d.update(batch=1.5), "here: batch: expected a whole number, found 1.5"),
        (lambda d: d.update(threads=True), "here: threads: expected a whole number, found True"),
        (lambda d: d.update(notes=[3]), "here: notes[0]: expected text, found 3"),
        (
            lambda d: d.update(stages_ms={"read": "x"}),
            "here: stages_ms: read: expected a finite number, found",
        ),
        (lambda d: d.update(fresh=[1]), "here: fresh: expected an object"),
        (
            lambda d: d["latency"].update(stable=1),
            "here: latency: stable: expected true or false, found 1",
        ),
        (lambda d: d.update(schema=99), "expected records of schema 1, found schema 99; upgrade"),
        (lambda d: d.update(schema=0), "expected records of schema 1, found schema 0; measure"),
        (lambda d: d.update(kind="cake"), "expected records of edge-ser bench, found other JSON"),
    ],
)
def test_what_is_wrong_is_named(change: Any, said: str) -> None:
    data = json.loads(full().to_json())
    change(data)
    with pytest.raises(UsageError) as caught:
        Record.from_json(json.dumps(data), "here")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "an empty file"), ("\n\n", "an empty file"), ("nonsense\n", "line 1"), ("[]", "line 1")],
)
def test_a_file_that_is_no_history(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "other.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="expected records of edge-ser bench") as caught:
        read_history(path)
    assert said in str(caught.value)


def test_nothing_is_appended_to_another_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 1: expected records of edge-ser bench"):
        check_history(path)
    with pytest.raises(UsageError, match="expected a file to append to, found a directory"):
        check_history(tmp_path)
    with pytest.raises(UsageError, match="expected an existing directory"):
        check_history(tmp_path / "none" / "x.jsonl")


def test_a_history_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="expected a history of edge-ser bench"):
        read_history(tmp_path / "none.jsonl")


def test_places_and_first_records() -> None:
    one, two = record(seconds=1), record(seconds=5, threads=2)
    assert one.place == "default/onnx, 1 s, batch 1, 1 thread"
    assert two.place == "default/onnx, 5 s, batch 1, 2 threads"
    other = record(system="b/onnx")
    assert one_per_system([one, record(seconds=3), other, two]) == [one, other, two]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
def test_a_full_disk_leaves_the_history_as_it_was(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "history.jsonl"
    append(path, [record(1.0)])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # a file may grow by half a record, as on a disk with so much room
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            append(path, [record(2.0)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    append(path, [record(2.0)])
    assert read_history(path) == [record(1.0), record(2.0)]
