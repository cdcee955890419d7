"""A real Ray cluster of two workers on this machine: the answers of one process, whatever dies."""

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.deadly_scorers import DeadlyScorer

from edge_ser.cli import main
from edge_ser.errors import ArchiveError, BundleError, MissingPathError
from edge_ser.scoring.archive import COLUMNS, Scorer, score_archive
from edge_ser.scoring.archive.by_ray import import_ray

pytest.importorskip("ray", reason="extra ray is not installed")

RowsIn = Callable[[Path], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Two workers, which all tests share."""
    ray = import_ray()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # workers find the helpers of tests
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 << 20,
            log_to_driver=False, logging_level=logging.ERROR,
        )  # fmt: skip
        yield ray
        ray.shutdown()


def files_of(folder: Path) -> list[str]:
    return sorted(str(p) for p in folder.rglob("*") if p.is_file())


def score(speech: Path, out: Path, scorer: Scorer, part_files: int = 2) -> Any:
    return score_archive(
        [str(speech)], str(out), scorer, engine="ray", workers=2, part_files=part_files
    )


@pytest.fixture(scope="module")
def plain(rows_in: RowsIn) -> Callable[[Path, Path], list[dict[str, Any]]]:
    """What one process without Ray answers."""

    def answer(speech: Path, out: Path) -> list[dict[str, Any]]:
        score_archive([str(speech)], str(out), Scorer())
        return rows_in(out)

    return answer


def assert_same(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        for name, value in other.items():
            same = pytest.approx(value, abs=1e-3) if isinstance(value, float) else value
            assert row[name] == same, (row["path"], name)


def test_killed_workers_lose_nothing_and_double_nothing(
    cluster: Any, speech: Path, tmp_path: Path, rows_in: RowsIn, plain: Any
) -> None:
    files = files_of(speech)
    for path in files[::3]:  # a third of the archive is broken besides
        Path(path).write_bytes(b"broken" * 50)
    out, mark, deadly = tmp_path / "out", tmp_path / "killed", files[8]
    summary = score(speech, out, DeadlyScorer(Path(files[4]).name, mark, Path(deadly).name))
    assert mark.exists(), "the worker was there, and is gone"
    assert not Path(f"/proc/{mark.read_text()}").exists()
    rows = rows_in(out)
    assert summary.metrics.files == summary.metrics.rows == 12 and summary.metrics.errors == 5
    (lost,) = (row for row in rows if row["path"] == deadly)
    assert lost["error"].startswith("ended 2 workers that answered it: too large, or no sound")
    expected = plain(speech, tmp_path / "plain")
    assert_same([r for r in rows if r is not lost], [r for r in expected if r["path"] != deadly])
    assert not list(out.glob("_tmp-*")) and not list(out.glob("_attempt-*"))
    # the archive grows, and the command goes on where the first run ended
    first = files_of(out)
    shutil.copy(files[1], speech / "new.flac")
    words = ["predict", str(speech), "--engine", "ray", "--workers", "2", "-o", str(out)]
    assert main(words) == 0
    assert len(files_of(out)) == len(first) + 1 and set(first) < set(files_of(out))
    assert [row["path"] for row in rows_in(out)] == files_of(speech)


def test_the_class_is_one_of_ray_data(cluster: Any, utterances: list[Path]) -> None:
    """As users write it in a pipeline of their own, over whatever Ray reads."""
    data = import_ray("ray.data")
    files = data.read_binary_files([str(p) for p in utterances], include_paths=True)
    answers = files.map_batches(
        Scorer, batch_size=2, compute=data.ActorPoolStrategy(size=1), num_cpus=1
    ).take_all()
    assert [list(row) for row in answers] == [list(COLUMNS)] * len(utterances)
    direct = {row["path"]: row for row in Scorer().rows(*[list(map(str, utterances))] * 2)}
    for row in answers:
        # Ray's paths have no scheme of this machine
        assert row["valence"] == pytest.approx(direct[row["path"]]["valence"], abs=1e-3)


def test_a_model_that_is_gone_is_one_error(
    cluster: Any, speech: Path, tmp_path: Path, bundle_dir: Path
) -> None:
    scorer = Scorer(bundle_dir)
    scorer.describe()
    (bundle_dir / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx"):
        score(speech, tmp_path / "out", scorer)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_paths_that_are_not_there_start_nothing(tmp_path: Path) -> None:
    started = time.perf_counter()
    with pytest.raises(MissingPathError, match="found nothing there"):
        score(tmp_path / "none", tmp_path / "out", Scorer())
    assert time.perf_counter() - started < 5 and not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_ser.scoring.archive import by_ray

    class Ray:
        """Asked in place of Ray, which waits minutes for an address that nobody has."""

        @staticmethod
        def is_initialized() -> bool:
            return False

        @staticmethod
        def init(**_: object) -> None:
            raise ConnectionError("ray://nobody:1 does not answer\nmore")

    monkeypatch.setenv("RAY_ADDRESS", "ray://nobody:1")
    monkeypatch.setattr(by_ray, "import_ray", lambda module="ray": Ray)
    with pytest.raises(ArchiveError, match=r"found ray://nobody:1 does not answer$"):
        list(by_ray.answered_by_ray([], Scorer(), str(tmp_path), 1))


def test_ray_tells_its_makers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "1")
    import_ray()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
