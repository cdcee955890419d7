import csv
import io
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.bench_records import fresh, full, latency, record

from edge_ser.bench import plot, tables
from edge_ser.bench.records import Against, Record

SVG = "{http://www.w3.org/2000/svg}"


def three_systems(seconds: tuple[float, ...] = (1.0, 5.0, 12.0)) -> list[Record]:
    def beside(name: str, ratio: float, verdict: str, s: float) -> Record:
        against = Against("a/onnx", ratio, ratio - 0.02, ratio + 0.02, 0.99, verdict)
        return record(10 * s * ratio, s, system=name, against=against)

    return [
        r
        for s in seconds
        for r in (
            record(10 * s, s, system="a/onnx"),
            beside("b/onnx", 0.5, "faster", s),
            beside("c/torch", 1.01, "no difference", s),
        )
    ]


def test_latency_rows_put_systems_of_a_length_together() -> None:
    rows = tables.latency_rows(three_systems((5.0, 1.0)))
    assert rows[0][:3] == ("length", "system", "p50 ms")
    assert [row[:2] for row in rows[1:4]] == [
        ("1 s", "a/onnx"), ("1 s", "b/onnx"), ("1 s", "c/torch"),
    ]  # fmt: skip
    assert rows[0][-1] == "time, a/onnx = 1"
    assert [row[-1] for row in rows[1:4]] == [
        "1", "0.50 (0.48..0.52) faster", "= 1.01 (0.99..1.03) no difference",
    ]  # fmt: skip
    assert len({len(row) for row in rows}) == 1


def test_ratios_of_interrupted_runs_are_no_finding() -> None:
    other = Against("a/onnx", 0.5, 0.4, 0.6, 0.99, "could not be judged")
    records = [record(), record(system="b/onnx", against=other)]
    assert tables.latency_rows(records)[2][-1] == "? 0.50 (0.40..0.60) could not be judged"
    notes = " ".join(tables.notes(records))
    assert "? other programs interrupted more than 30% of the runs: measure on a quiet" in notes


def test_too_few_rounds_are_no_finding() -> None:
    few = Against("a/onnx", 1.01, 0.9, 1.1, 0.75, "too few rounds to judge")
    records = [record(), record(system="b/onnx", against=few)]
    assert tables.latency_rows(records)[2][-1] == "? 1.01 (0.90..1.10) too few rounds to judge"
    assert "? of fewer than 8 rounds nothing can be said: measure longer" in tables.notes(records)
    assert not any(note.startswith("?") for note in tables.notes(three_systems()))


def test_batch_and_threads_are_columns_only_where_they_differ() -> None:
    assert "threads" not in tables.latency_rows([record()])[0]
    header, one, two = tables.latency_rows([record(), record(threads=2)])
    at = header.index("threads")
    assert (one[at], two[at]) == ("1", "2") and "batch" not in header


def test_a_median_that_is_not_stable_is_marked_and_explained() -> None:
    shaky = record(latency=latency(10.0, stable=False))
    assert tables.latency_rows([shaky])[1][2] == "10.0 ~"
    assert any("~ not yet stable" in note for note in tables.notes([shaky]))
    assert not any("~" in note for note in tables.notes([record()]))


def test_system_rows_show_what_was_measured_and_a_dash_for_what_was_not() -> None:
    header, row, bare = tables.system_rows([full(), record(system="b", fresh=None)])
    found, missing = (dict(zip(header, r, strict=True)) for r in (row, bare))
    assert found["first result"] == "200 ms" and missing["first result"] == "-"
    assert found["peak RSS"] == "90 MB" and found["GPU"] == "512 MB" and missing["GPU"] == "-"
    assert (
        found["size"] == "2.80 MB" and found["J for 1 s"] == "0.25" and missing["J for 1 s"] == "-"
    )
    assert found["session ms"] == "8.00"


def test_the_split_of_time_is_that_of_the_length_it_names() -> None:
    records = [replace(r, stages_ms={**r.stages_ms, "session": r.seconds}) for r in three_systems()]
    header, *rows = tables.system_rows(records)
    assert {row[header.index("session ms")] for row in rows} == {"5.00"}
    assert any("5 s" in note and "read" in note for note in tables.notes(records))


def test_notes_tell_machine_method_and_each_gap_once() -> None:
    gap = "no energy: this machine exposes no energy counter"
    said = tables.notes([record(notes=(gap,)), record(seconds=5, notes=(gap,))])
    assert said[0] == "Test CPU, 4 cores, 3000 MHz, governor performance"
    assert said.count(gap) == 1
    assert not any("fresh" in s or "processes" in s for s in tables.notes([record(fresh=None)]))


def test_a_busy_machine_is_said() -> None:
    busy = record(latency=latency(10.0, preempted=0.42))
    said = tables.notes([record(), busy])
    assert "the machine was busy: up to 42% of a row's runs were interrupted" in said
    assert not any("busy" in s for s in tables.notes([record()]))
    assert any("busy" in t.get_text() for t in plot.figure([busy]).texts)
    assert not any("busy" in t.get_text() for t in plot.figure([record()]).texts)


def test_systems_are_told_apart_by_threads_where_these_differ() -> None:
    rows = tables.system_rows([record(), record(threads=2)])
    assert [row[0] for row in rows[1:]] == ["default/onnx, 1 thread", "default/onnx, 2 threads"]


def test_text_is_aligned() -> None:
    rows: tables.Rows = [("name", "ms"), ("a", "1.5"), ("long name", "100")]
    assert tables.text(rows) == "name        ms\na          1.5\nlong name  100"


def test_markdown_is_a_table_whatever_the_names() -> None:
    rows: tables.Rows = [("name", "ms"), ("a|b", "1.5")]
    assert tables.markdown(rows) == "| name | ms |\n| --- | ---: |\n| a\\|b | 1.5 |"


def test_csv_holds_every_record_in_full() -> None:
    records = [*three_systems(), full()]
    rows = list(csv.DictReader(io.StringIO(tables.csv_text(records))))
    assert len(rows) == len(records)
    last = rows[-1]
    assert None not in last and None not in last.values()
    assert float(last["p50_ms"]) == 10 and last["verdict"] == "faster"
    assert float(last["joules"]) == 0.25 and float(last["session_ms"]) == 8
    assert rows[0]["against"] == "" and rows[0]["joules"] == ""


@pytest.mark.parametrize(
    ("value", "shown"), [(1234.5, "1234"), (12.34, "12.3"), (1.234, "1.23"), (0.0123, "0.012")]
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert tables.figure(value) == shown


# --- pictures


def test_one_line_per_system() -> None:
    drawn = plot.lines(three_systems())
    assert list(drawn) == ["a/onnx", "b/onnx", "c/torch"]
    assert [r.seconds for r in drawn["a/onnx"]] == [1, 5, 12]
    both = plot.lines([record(), record(threads=2), record(batch=4)])
    assert list(both) == [
        "default/onnx, batch 1, 1 thread",
        "default/onnx, batch 1, 2 threads",
        "default/onnx, batch 4, 1 thread",
    ]


def test_an_svg_has_a_line_and_a_name_for_every_system(tmp_path: Path) -> None:
    path = tmp_path / "speed.svg"
    plot.write_plot(path, three_systems())
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg"
    ids = {g.get("id") for g in root.iter(f"{SVG}g")}
    assert {"a/onnx", "b/onnx", "c/torch"} <= ids


def test_a_png_is_a_picture_of_the_measured_points(tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "speed.PNG"
    plot.write_plot(path, three_systems())
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    picture = np.asarray(imread(path))
    assert picture.shape[0] > 400 and picture.shape[1] > 700
    assert picture[..., :3].std() > 0.05, "not an empty sheet"


def test_the_figure_shows_medians_at_their_lengths() -> None:
    (axes,) = plot.figure(three_systems()).axes
    curves = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    assert list(curves["b/onnx"].get_xdata()) == [1, 5, 12]
    assert list(curves["b/onnx"].get_ydata()) == pytest.approx([5, 25, 60])
    assert axes.get_yscale() == "linear" and axes.get_ylim()[0] == 0
    legend = [t.get_text() for t in axes.get_legend().get_texts()]
    assert legend == ["a/onnx", "b/onnx", "c/torch"]


def test_systems_far_apart_are_drawn_on_a_log_scale() -> None:
    records = [record(1.0), record(100.0, system="slow")]
    (axes,) = plot.figure(records).axes
    assert axes.get_yscale() == "log"


def test_one_length_is_drawn_too(tmp_path: Path) -> None:
    plot.write_plot(tmp_path / "one.svg", [record(fresh=fresh())])
    ElementTree.parse(tmp_path / "one.svg")
