"""What is trained on: the label table, the decoded corpus, and its batches."""

import os
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile
import torch
from helpers.tiny_models import noise
from helpers.training_runs import COLUMNS, read_samples, split_rows, write_labels

from edge_ser.audio import Preprocessing
from edge_ser.cli import main
from edge_ser.errors import DataError, MissingPathError
from edge_ser.label_table import LabelTable
from edge_ser_export.training.data import Corpus, batch_count
from edge_ser_export.training.labels import read_training_labels

# --- the label table


def test_labels(labels: Path, clips: Path) -> None:
    table = read_training_labels(labels, clips)
    assert len(table.files) == 29
    assert table.rows("Train").tolist() == list(range(16))
    assert table.rows("Development").tolist() == list(range(16, 24))
    first = read_samples(clips)[0]
    # in the order of the model's outputs, which is not that of the file
    assert table.scores[0].tolist() == [float(first[c]) for c in ("EmoAct", "EmoDom", "EmoVal")]
    second = read_samples(clips)[1]
    assert table.scores[1].tolist() == [float(second[c]) for c in ("EmoAct", "EmoDom", "EmoVal")]
    assert len(set(table.scores[1])) > 1


def test_labels_with_byte_order_mark_and_more_columns(
    labels: Path, clips: Path, tmp_path: Path
) -> None:
    text = labels.read_text().splitlines()
    text = [f"{line},{'Speaker' if i == 0 else 'x'}" for i, line in enumerate(text)]
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(text), encoding="utf-8-sig")
    assert read_training_labels(path, clips).files == read_training_labels(labels, clips).files


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_column_is_named(clips: Path, tmp_path: Path, column: str) -> None:
    columns = tuple(c for c in COLUMNS if c != column)
    path = write_labels(tmp_path / "labels.csv", split_rows(clips), columns)
    with pytest.raises(DataError, match=f"no {column}"):
        read_training_labels(path, clips)


def test_missing_audio_is_counted_and_named(clips: Path, tmp_path: Path) -> None:
    rows = split_rows(clips)
    rows[3]["FileName"], rows[5]["FileName"] = "absent-1.flac", "absent-2.flac"
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=r"2 missing.*absent-1\.flac"):
        read_training_labels(path, clips)


@pytest.mark.parametrize("value", ["0.99", "7.01", "-4", "nan", "inf"])
@pytest.mark.parametrize("column", COLUMNS[1:4])
def test_scores_out_of_range_are_refused(
    clips: Path, tmp_path: Path, column: str, value: str
) -> None:
    rows = split_rows(clips)
    rows[4][column] = value
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=r"line 6.*1\.\.7"):
        read_training_labels(path, clips)


@pytest.mark.parametrize("value", ["neutral", "", "4,2", "4.0.0"])
def test_scores_that_are_no_numbers_are_refused(clips: Path, tmp_path: Path, value: str) -> None:
    rows = split_rows(clips)
    rows[0]["EmoVal"] = value
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=r"line 2.*three numbers"):
        read_training_labels(path, clips)


def test_scores_at_the_ends_are_taken(clips: Path, tmp_path: Path) -> None:
    rows = split_rows(clips)
    rows[0]["EmoVal"], rows[1]["EmoVal"] = "1", "7"
    table = read_training_labels(write_labels(tmp_path / "labels.csv", rows), clips)
    assert table.scores[:2, 2].tolist() == [1.0, 7.0]


def test_table_without_rows_is_refused(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="header only"):
        read_training_labels(write_labels(tmp_path / "labels.csv", []), clips)


def test_empty_table_is_refused(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").touch()
    with pytest.raises(DataError, match="FileName"):
        read_training_labels(tmp_path / "labels.csv", clips)


def test_missing_paths_are_refused(labels: Path, clips: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="label table"):
        read_training_labels(tmp_path / "absent.csv", clips)
    with pytest.raises(MissingPathError, match="folder of audio"):
        read_training_labels(labels, tmp_path / "absent")


def test_table_in_another_encoding_is_refused(clips: Path, tmp_path: Path) -> None:
    rows = [{**row, "Speaker": "José"} for row in split_rows(clips)]
    path = write_labels(tmp_path / "labels.csv", rows, (*COLUMNS, "Speaker"))
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.csv"):
        read_training_labels(path, clips)


@pytest.mark.parametrize("missing", ["Train", "Development"])
def test_missing_split_is_named(
    clips: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    rows = [r for r in split_rows(clips) if r["Split_Set"] != missing]
    path = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError, match=missing):
        read_training_labels(path, clips).rows(missing)
    out = tmp_path / "run"
    assert main(["train", str(path), "--audio", str(clips), "-o", str(out)]) == 2
    assert f"Split_Set = {missing}" in capsys.readouterr().err
    assert not out.exists()


def test_rows_without_a_split_belong_to_none(clips: Path, tmp_path: Path) -> None:
    rows = split_rows(clips)
    path = write_labels(tmp_path / "labels.csv", rows)
    lines = path.read_text().splitlines()
    lines[1] = lines[1].rpartition(",")[0]  # the row ends before its last column
    path.write_text("\n".join(lines))
    with pytest.raises(DataError):
        read_training_labels(path, clips).rows("Test2")


# --- the corpus


def test_corpus_holds_the_audio(corpus: Corpus, clips: Path) -> None:
    for row in (0, 5, 20):
        expected, _ = librosa.load(clips / corpus.table.files[row], sr=16_000, mono=True)
        found = corpus.raw(row)
        assert found.dtype == np.float32
        assert found.size == corpus.lengths[row] == expected.size
        assert np.abs(found - expected).max() <= 0.5001 / 32768


def test_corpus_statistics(corpus: Corpus) -> None:
    rows = corpus.table.rows("Development")
    everything = np.concatenate([corpus.raw(r) for r in rows]).astype(np.float64)
    mean, std = corpus.statistics(rows)
    assert mean == pytest.approx(everything.mean(), abs=1e-12)
    assert std == pytest.approx(everything.std(), rel=1e-9)
    assert corpus.statistics(corpus.table.rows("Test1")) != (mean, std)


def test_corpus_cuts_long_files(corpus: Corpus, clips: Path, tmp_path: Path) -> None:
    short = Corpus(corpus.table, clips, tmp_path, 0.5)
    assert set(short.lengths.tolist()) == {8000}
    assert short.fingerprint() != corpus.fingerprint()
    assert np.array_equal(short.raw(3), corpus.raw(3)[:8000])


def state_of(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}


def test_corpus_is_decoded_once(labels: Path, clips: Path, tmp_path: Path) -> None:
    table = read_training_labels(labels, clips)
    first = Corpus(table, clips, tmp_path, 12.0)
    before = state_of(tmp_path)
    assert len(before) == 3, "samples, index and the lock of whoever writes them"
    second = Corpus(table, clips, tmp_path, 12.0)
    assert state_of(tmp_path) == before
    assert np.array_equal(first.samples, second.samples)
    assert np.array_equal(first.lengths, second.lengths)


def tiny_table(folder: Path) -> LabelTable:
    rows = [
        {"FileName": "a.wav", "EmoAct": "3", "EmoVal": "4", "EmoDom": "5", "Split_Set": "Train"}
    ]
    return read_training_labels(write_labels(folder / "labels.csv", rows), folder)


@pytest.mark.parametrize("count", [9000, 8000], ids=["longer", "same-size"])
def test_changed_audio_is_decoded_again(tmp_path: Path, count: int) -> None:
    old, new = noise(8000, 1).numpy() / 8, noise(count, 2).numpy() / 8
    soundfile.write(tmp_path / "a.wav", old, 16_000, subtype="PCM_16")
    os.utime(tmp_path / "a.wav", (1_600_000_000, 1_600_000_000))
    Corpus(tiny_table(tmp_path), tmp_path, tmp_path / "cache", 12.0)
    soundfile.write(tmp_path / "a.wav", new, 16_000, subtype="PCM_16")
    corpus = Corpus(tiny_table(tmp_path), tmp_path, tmp_path / "cache", 12.0)
    found = corpus.raw(0)
    assert found.size == count
    assert np.abs(found - new).max() < 1e-4


def test_interrupted_decoding_is_not_taken_for_a_cache(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(8000).numpy() / 8, 16_000)
    cache = tmp_path / "cache"
    Corpus(tiny_table(tmp_path), tmp_path, cache, 12.0)
    for path in cache.glob("*.json"):  # written last
        path.unlink()
    for path in cache.glob("*.int16"):
        path.write_bytes(b"\0" * 100)
    assert Corpus(tiny_table(tmp_path), tmp_path, cache, 12.0).raw(0).size == 8000


def batches(corpus: Corpus, size: int, crop: int = 0, seed: int | None = None) -> list[Any]:
    rng = None if seed is None else np.random.default_rng(seed)
    preprocessing = Preprocessing(mean=0.01, std=0.1)
    return list(corpus.batches(corpus.table.rows("Train"), size, preprocessing, crop, rng))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 15, 16, 100])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_batches_cover_every_row_once(corpus: Corpus, size: int, seed: int | None) -> None:
    found = batches(corpus, size, seed=seed)
    rows = np.concatenate([b[0] for b in found])
    assert sorted(rows.tolist()) == corpus.table.rows("Train").tolist()
    assert len(found) == batch_count(16, size)
    sizes = sorted(len(b[0]) for b in found)
    if size > 1 and 16 % size == 1:  # the last row is not left alone
        assert sizes == [size] * (16 // size - 1) + [size + 1]
    else:
        assert sizes == sorted([size] * (16 // size) + [16 % size] * (16 % size > 0))


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_hold_the_normalised_audio_and_zeros(corpus: Corpus, seed: int | None) -> None:
    for rows, samples, lengths in batches(corpus, 4, seed=seed):
        assert samples.dtype == torch.float32
        assert samples.shape == (len(rows), int(lengths.max()))
        for row, x, n in zip(rows, samples, lengths.tolist(), strict=True):
            assert n == corpus.lengths[row]
            expected = (corpus.raw(row) - np.float32(0.01)) / np.float32(0.1 + 1e-6)
            np.testing.assert_allclose(x[:n].numpy(), expected, atol=1e-5)
            assert not x[n:].any()


def test_batches_follow_their_seed(corpus: Corpus) -> None:
    def drawn(seed: int) -> list[tuple[list[int], bytes]]:
        found = batches(corpus, 3, crop=6000, seed=seed)
        return [(rows.tolist(), samples.numpy().tobytes()) for rows, samples, _ in found]

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_batches_without_a_seed_are_in_order_of_length(corpus: Corpus) -> None:
    lengths = [n for _, _, sizes in batches(corpus, 3) for n in sizes.tolist()]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) > 3


def test_crops_are_parts_of_their_utterance(corpus: Corpus) -> None:
    starts = set()
    for rows, samples, lengths in batches(corpus, 4, crop=5000, seed=0):
        for row, x, n in zip(rows, samples, lengths.tolist(), strict=True):
            assert n == 5000
            whole = (corpus.raw(row) - np.float32(0.01)) / np.float32(0.1 + 1e-6)
            windows = np.lib.stride_tricks.sliding_window_view(whole, 64)
            near = np.flatnonzero(np.abs(windows - x[:64].numpy()).max(1) < 1e-6)
            assert near.size
            starts.add(int(near[0]))
            np.testing.assert_allclose(whole[near[0] : near[0] + n], x.numpy(), atol=1e-6)
    assert len(starts) > 10
