"""Decoded audio that trainings share: whole and right, whoever else writes or dies meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.training_runs import Row, write_labels

from edge_ser.errors import AudioError
from edge_ser_export.training.data import Corpus
from edge_ser_export.training.labels import read_training_labels

COUNT, SECONDS = 40, 8
_READ = """
import sys
from pathlib import Path
from edge_ser_export.training.data import Corpus
from edge_ser_export.training.labels import read_training_labels
labels, audio, cache = map(Path, sys.argv[1:])
corpus = Corpus(read_training_labels(labels, audio), audio, cache)
print(*corpus.statistics(corpus.table.rows("Train")), corpus.fingerprint())
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A label table and its folder: noise of another loudness in each file."""
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for i in range(COUNT):
        samples = rng.normal(0, 0.01 * (1 + i % 5), SECONDS * 16_000 - 100 * i)
        soundfile.write(folder / f"{i}.flac", samples, 16_000)
        scores = {
            name: str(1 + (i + k) % 7) for k, name in enumerate(("EmoAct", "EmoVal", "EmoDom"))
        }
        rows.append({"FileName": f"{i}.flac", **scores, "Split_Set": "Train"})
    return write_labels(folder / "labels.csv", rows), folder


def read(corpus: tuple[Path, Path], cache: Path) -> Corpus:
    labels, audio = corpus
    return Corpus(read_training_labels(labels, audio), audio, cache)


def start(corpus: tuple[Path, Path], cache: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _READ, *map(str, corpus), str(cache)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def answer(corpus: Corpus) -> str:
    mean, std = corpus.statistics(corpus.table.rows("Train"))
    return f"{mean} {std} {corpus.fingerprint()}"


@pytest.fixture(scope="module")
def right(corpus: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    return answer(read(corpus, tmp_path_factory.mktemp("alone")))


def names(cache: Path) -> list[str]:
    return sorted(path.suffix for path in cache.iterdir())


def test_two_trainings_at_the_same_time_read_the_same(
    corpus: tuple[Path, Path], right: str, tmp_path: Path
) -> None:
    children = [start(corpus, tmp_path) for _ in range(2)]
    assert [child.communicate(timeout=300)[0].strip() for child in children] == [right, right]
    assert names(tmp_path) == [".int16", ".json", ".lock"]


def test_what_a_killed_training_leaves_is_made_anew(
    corpus: tuple[Path, Path], right: str, tmp_path: Path
) -> None:
    child = start(corpus, tmp_path)
    while not any(path.stat().st_size for path in tmp_path.glob(".*")):
        assert child.poll() is None
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert not list(tmp_path.glob("*.json"))
    assert answer(read(corpus, tmp_path)) == right
    assert names(tmp_path) == [".int16", ".json", ".lock"]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


def _hole(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:5000] + bytes(5000) + content[10_000:])


def _index(text: Callable[[dict[str, object]], str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        index = path.with_suffix(".json")
        index.write_text(text(json.loads(index.read_text())))

    return write


@pytest.mark.parametrize(
    "damage",
    [
        _cut,
        _hole,
        Path.unlink,
        _index(lambda index: ""),
        _index(lambda index: json.dumps(index)[:-9]),
        _index(lambda index: json.dumps(index["ends"])),
        _index(lambda index: json.dumps({**index, "ends": []})),
        _index(lambda index: json.dumps({**index, "ends": [10**30]})),
        _index(lambda index: json.dumps({**index, "ends": index["ends"][1:]})),  # type: ignore[index]
        _index(lambda index: json.dumps({**index, "ends": [5, *index["ends"][1:]][::-1]})),  # type: ignore[index]
        _index(lambda index: "[" * 100_000),
    ],
)  # fmt: skip
def test_a_damaged_cache_is_made_anew(
    corpus: tuple[Path, Path], right: str, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    read(corpus, tmp_path)
    damage(next(tmp_path.glob("*.int16")))
    assert answer(read(corpus, tmp_path)) == right


def test_a_whole_cache_is_not_decoded_again(
    corpus: tuple[Path, Path], right: str, tmp_path: Path
) -> None:
    read(corpus, tmp_path)
    before = next(tmp_path.glob("*.int16")).stat()
    assert answer(read(corpus, tmp_path)) == right
    after = next(tmp_path.glob("*.int16")).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_file_that_cannot_be_decoded_leaves_nothing(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"FileName": "a.wav", "EmoAct": "1", "EmoVal": "2", "EmoDom": "3", "Split_Set": "Train"}
    ]
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(AudioError):
        read((write_labels(tmp_path / "labels.csv", rows), tmp_path), tmp_path / "cache")
    assert names(tmp_path / "cache") == [".lock"]
