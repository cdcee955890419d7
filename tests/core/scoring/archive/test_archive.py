"""Archives of files and shards in one process: complete, nothing twice, nothing lost."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ser.errors import DataError, MissingPathError, UsageError
from edge_ser.scoring.archive import Scorer, reading, score_archive
from edge_ser.scoring.archive.parts import Part, cut_parts, find_archive
from edge_ser.scoring.archive.places import Place, find_place
from edge_ser.scoring.archive.store import Store
from edge_ser.scoring.archive.work import PartWorker

pyarrow = pytest.importorskip("pyarrow", reason="extra ray is not installed")
parquet = pytest.importorskip("pyarrow.parquet")

RowsIn = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


def files_of(folder: Path) -> list[str]:
    return sorted(str(p) for p in folder.rglob("*") if p.is_file())


def spoil(folder: Path, share: float) -> list[str]:
    """Overwrite the beginning of some recordings."""
    files = files_of(folder)
    bad = files[:: round(1 / share)]
    for path in bad:
        Path(path).write_bytes(b"broken" * 100)
    return bad


def test_every_file_has_its_answer_and_a_second_run_does_nothing(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    out = tmp_path / "out"
    told: list[int] = []
    summary = score_archive([str(speech)], str(out), scorer, part_files=5, progress=told.append)
    assert told == [5, 5, 2] and summary.parts == 3 and summary.skipped == 0
    rows = rows_in(out)
    assert [row["path"] for row in rows] == files_of(speech)
    direct = scorer.rows(files_of(speech), files_of(speech))
    for row, expected in zip(rows, direct, strict=True):
        assert row["arousal"] == pytest.approx(expected["arousal"], abs=1e-4)
        assert row["error"] is None and row["region"] == expected["region"]
    assert summary.metrics.files == summary.metrics.rows == 12 and summary.metrics.errors == 0
    assert summary.metrics.audio_seconds == pytest.approx(sum(r["seconds"] for r in rows))
    assert 0 < summary.metrics.real_time_factor < 1
    before = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    again = score_archive([str(speech)], str(out), scorer, part_files=5)
    assert again.parts == 0 and again.skipped == 12
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == before


def test_an_archive_that_grew_is_answered_where_it_did(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    out = tmp_path / "out"
    score_archive([str(speech)], str(out), scorer, part_files=5)
    first = files_of(speech)[0]
    shutil.copy(first, speech / "aaa.flac")
    # another size of parts changes nothing of what is there
    summary = score_archive([str(speech)], str(out), scorer, part_files=7)
    assert summary.metrics.files == 1 and summary.skipped == 12
    assert [row["path"] for row in rows_in(out)] == files_of(speech)


def test_an_archive_with_broken_files_is_answered_all_the_same(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    bad = spoil(speech, 0.3)
    summary = score_archive([str(speech)], str(tmp_path / "out"), scorer, part_files=5)
    rows = rows_in(tmp_path / "out")
    assert [row["path"] for row in rows] == files_of(speech)
    assert sorted(row["path"] for row in rows if row["error"]) == bad
    assert all((row["valence"] is None) == bool(row["error"]) for row in rows)
    assert summary.metrics.errors == len(bad) == 4
    assert summary.words.startswith("12 files, 4 with errors; 0.0")


def write_shards(speech: Path, folder: Path) -> None:
    """The same recordings as Parquet, as Hugging Face's Parquet, and as a WebDataset."""
    folder.mkdir()
    files = [Path(path) for path in files_of(speech)]
    data = [path.read_bytes() for path in files]
    plain = {"path": [p.name for p in files[:4]], "bytes": data[:4], "other": [1, 2, 3, 4]}
    parquet.write_table(pyarrow.table(plain), folder / "a.parquet", row_group_size=2)
    audio = [{"bytes": d, "path": p.name} for p, d in zip(files[4:8], data[4:8], strict=True)]
    parquet.write_table(pyarrow.table({"audio": audio, "id": [None] * 4}), folder / "b.parquet")
    with tarfile.open(folder / "c.tar", "w") as archive:
        for path, content in zip(files[8:], data[8:], strict=True):
            for name, what in ((path.name, content), (f"{path.stem}.json", b"{}")):
                info = tarfile.TarInfo(name)
                info.size = len(what)
                archive.addfile(info, io.BytesIO(what))


def test_shards_are_answered_as_their_files_are(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    shards, out = tmp_path / "shards", tmp_path / "out"
    write_shards(speech, shards)
    summary = score_archive([str(shards)], str(out), scorer)
    assert summary.parts == 3 and summary.metrics.files == 12 and summary.metrics.errors == 0
    score_archive([str(speech)], str(tmp_path / "direct"), scorer)
    direct = {Path(row["path"]).name: row for row in rows_in(tmp_path / "direct")}
    rows = rows_in(out)
    assert {Path(row["path"]).name for row in rows} == set(direct)
    for row in rows:
        assert row["valence"] == pytest.approx(direct[Path(row["path"]).name]["valence"], abs=1e-4)
        assert row["path"].startswith(str(shards))
    (out / f"{Part('tar', (str(shards / 'c.tar'),)).name}.parquet").unlink()
    again = score_archive([str(shards)], str(out), scorer)
    assert again.metrics.files == 4 and again.skipped == 2
    assert len(rows_in(out)) == 12


def test_damaged_shards_are_answered_as_far_as_they_go(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    shards, out = tmp_path / "shards", tmp_path / "out"
    write_shards(speech, shards)
    whole = (shards / "c.tar").read_bytes()
    with tarfile.open(shards / "c.tar") as archive:
        second = [m for m in archive if m.name.endswith(".flac")][1]
    (shards / "c.tar").write_bytes(whole[: second.offset_data + 700])
    (shards / "a.parquet").write_bytes(b"no parquet")
    parquet.write_table(pyarrow.table({"text": ["a"]}), shards / "b.parquet")
    summary = score_archive([str(shards)], str(out), scorer)
    errors = {Path(r["path"]).name: r["error"] for r in rows_in(out) if r["error"]}
    assert errors["a.parquet"].startswith("the rest of this shard cannot be read: ")
    assert "expected a column of bytes, audio" in errors["b.parquet"]
    assert "unexpected end of data" in errors["c.tar"]
    assert summary.metrics.errors == 3 and len(rows_in(out)) == 4, "one recording of c.tar is whole"


def test_segments_are_written_and_resumed(speech: Path, tmp_path: Path, rows_in: RowsIn) -> None:
    out = tmp_path / "out"
    summary = score_archive([str(speech)], str(out), Scorer(window=1.0))
    rows = rows_in(out)
    assert len(rows) == summary.metrics.rows > 24
    assert {row["path"] for row in rows} == set(files_of(speech))
    assert all(row["end"] - row["start"] <= 1.0 for row in rows)
    assert score_archive([str(speech)], str(out), Scorer(window=1.0)).metrics.files == 0


def test_answers_of_two_jobs_are_not_mixed(
    speech: Path, tmp_path: Path, scorer: Scorer, bundle_dir: Path
) -> None:
    out = tmp_path / "out"
    score_archive([str(speech)], str(out), scorer)
    with pytest.raises(UsageError, match=r"expected answers of the same job, with window 1.0, fo"):
        score_archive([str(speech)], str(out), Scorer(window=1.0))
    with pytest.raises(UsageError, match="on_poor refuse"):
        score_archive([str(speech)], str(out), Scorer(on_poor="refuse"))
    # the same bundle elsewhere, and other threads, give the same answers
    assert score_archive([str(speech)], str(out), Scorer(bundle_dir, threads=2)).parts == 0
    (out / "_job.json").write_text("{")
    with pytest.raises(DataError, match=r"_job.json: expected JSON"):
        score_archive([str(speech)], str(out), scorer)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda out: (out.mkdir(), (out / "notes.txt").touch()), "found a folder with notes.txt"),
        (lambda out: out.touch(), "out: expected a folder, found a file"),
    ],
)
def test_another_place_is_not_written_to(
    speech: Path, tmp_path: Path, scorer: Scorer, change: Callable[[Path], object], said: str
) -> None:
    change(tmp_path / "out")
    with pytest.raises(UsageError, match=said):
        score_archive([str(speech)], str(tmp_path / "out"), scorer)


def test_sources_that_cannot_be(speech: Path, tmp_path: Path, scorer: Scorer) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(MissingPathError, match=r"none: expected a folder, audio files or shards"):
        score_archive([str(tmp_path / "none")], out, scorer)
    with pytest.raises(MissingPathError, match="expected a path, or an address that PyArrow"):
        score_archive(["nowhere://bucket/folder"], out, scorer)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"expected audio files, Parquet or .tar shards of them"):
        score_archive([str(tmp_path / "empty")], out, scorer)
    with pytest.raises(UsageError, match="expected another folder than for the answers"):
        score_archive([str(speech)], str(speech), scorer)
    with pytest.raises(UsageError, match="part_files: expected at least 1, found 0"):
        score_archive([str(speech)], out, scorer, part_files=0)
    assert not Path(out).exists()


def test_answers_inside_the_archive_are_no_part_of_it(speech: Path, scorer: Scorer) -> None:
    out = speech / "answers"
    assert score_archive([str(speech)], str(out), scorer).metrics.files == 12
    assert score_archive([str(speech)], str(out), scorer).skipped == 12


def test_what_a_crash_left_is_done_again(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    out = tmp_path / "out"
    score_archive([str(speech)], str(out), scorer, part_files=5)
    cut = sorted(out.glob("files-*.parquet"))[0]
    cut.write_bytes(cut.read_bytes()[:200])
    (out / "_tmp-files-0123-a").write_bytes(b"half")
    summary = score_archive([str(speech)], str(out), scorer, part_files=5)
    assert summary.metrics.files in (5, 2)
    assert [row["path"] for row in rows_in(out)] == files_of(speech)
    assert not list(out.glob("_tmp-*")) and not list(out.glob("_attempt-*"))


def test_a_folder_of_somebody_else_keeps_all_that_it_has(
    speech: Path, tmp_path: Path, scorer: Scorer
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "_tmp-notes").write_text("mine")
    with pytest.raises(UsageError, match="found a folder with _tmp-notes"):
        score_archive([str(speech)], str(out), scorer)
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [("_tmp-notes", "mine")]


def test_a_job_that_was_killed_as_it_began_begins_again(
    speech: Path, tmp_path: Path, scorer: Scorer
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "_tmp-_job.json-0123").write_bytes(b"{")
    assert score_archive([str(speech)], str(out), scorer).metrics.files == 12
    assert not list(out.glob("_tmp-*"))


def test_a_recording_that_ended_two_workers_is_not_tried_again(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    out = tmp_path / "out"
    store = Store(str(out))
    store.begin(scorer.describe())
    (part,) = cut_parts(find_archive([str(speech)], store.place), 100)
    deadly = part.paths[3]
    store.note_attempt(part, {"ended": {deadly: 1}, "at": deadly})
    PartWorker(scorer, str(out)).work(part)
    rows = rows_in(out)
    assert [row["path"] for row in rows if row["error"]] == [deadly]
    assert rows[3]["error"].startswith("ended 2 workers that answered it")
    assert len(rows) == 12 and store.attempt(part) == {}


def test_an_attempt_that_ended_by_chance_costs_no_answer(
    speech: Path, tmp_path: Path, scorer: Scorer, rows_in: RowsIn
) -> None:
    out = tmp_path / "out"
    store = Store(str(out))
    store.begin(scorer.describe())
    (part,) = cut_parts(find_archive([str(speech)], store.place), 100)
    store.note_attempt(part, {"ended": {}, "at": part.paths[3]})
    PartWorker(scorer, str(out)).work(part)
    assert len(rows_in(out)) == 12 and not any(row["error"] for row in rows_in(out))


def test_a_full_disk_leaves_nothing_half_written(
    speech: Path, tmp_path: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_ser.scoring.archive.store.PartWriter.write", full)
    with pytest.raises(OSError, match="No space left"):
        score_archive([str(speech)], str(out), scorer)
    assert [p.name for p in out.glob("[!_]*")] == [] and not list(out.glob("_tmp-*"))


def test_files_elsewhere_are_read_and_tried_again(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of an address: the file system is this machine's, and fails at first."""
    files = find_place(tmp_path).files
    opened: list[str] = []

    class Network:
        def open_input_stream(self, path: str) -> object:
            opened.append(path)
            if opened.count(path) < 3 and "gone" not in path:
                raise OSError("connection reset")
            return files.open_input_stream(path)

    def find(address: str) -> Place:
        return Place(Network(), address.removeprefix("net://"), "net://")

    monkeypatch.setattr(reading, "find_place", find)
    monkeypatch.setattr(reading, "_PAUSE_SECONDS", 0.0)
    path = files_of(speech)[0]
    there, gone = reading.items_of(Part("files", (f"net://{path}", "net:///gone.wav")))
    assert there.path == f"net://{path}" and there.source == Path(path).read_bytes()
    assert opened.count(path) == 3
    assert gone.source is None and gone.error == "expected a file, found nothing there any more"
    monkeypatch.setattr(reading, "_MOST_BYTES", 100)
    (large,) = reading.items_of(Part("files", (f"net://{path}",)))
    assert large.error == "cannot be read: more than 0 MiB"


def test_parts_are_called_by_what_is_in_them() -> None:
    assert find_place("file:///a/b").path == "/a/b"
    one = Part("files", ("a.wav", "b.wav"))
    assert Part.from_json(one.to_json()) == one
    assert one.name == Part("files", ("a.wav", "b.wav")).name != Part("files", ("a.wav",)).name
    assert json.loads(one.to_json())["kind"] == "files"
