"""Label tables in MSP-Podcast's columns, and where a corpus keeps its table and its audio."""

from pathlib import Path

import numpy as np
import pytest

from edge_ser.errors import DataError, MissingPathError
from edge_ser.label_table import find_corpus, read_labels

HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set"


def write(path: Path, *lines: str, header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_scores_are_in_the_order_of_the_model(tmp_path: Path) -> None:
    table = read_labels(
        write(
            tmp_path / "l.csv",
            "MSP-PODCAST_0001_0008.wav,N,5.2,4.4,5.0,127,Female,Test1",
            "MSP-PODCAST_0001_0019.wav,H,3,6,2,127,Female,Train",
        )
    )
    assert table.files[0] == "MSP-PODCAST_0001_0008.wav"
    assert table.scores.tolist() == [[5.2, 5.0, 4.4], [3, 2, 6]]
    assert table.rows("Test1").tolist() == [0]
    assert table.rows("all").tolist() == [0, 1]


def test_rows_without_labels_are_refused_where_they_are_asked_for(tmp_path: Path) -> None:
    table = read_labels(
        write(tmp_path / "l.csv", "a.wav,X,,,,1,F,Test3", "b.wav,N,4,4,4,1,F,Test1")
    )
    assert np.isnan(table.scores[0]).all()
    assert table.rows("Test1").tolist() == [1]
    with pytest.raises(DataError, match=r"line 2: .*split Test3.*1 of 1 rows without"):
        table.rows("Test3")
    with pytest.raises(DataError, match="1 of 2 rows without"):
        table.rows("all")


def test_an_unknown_split_is_told_beside_those_there_are(tmp_path: Path) -> None:
    table = read_labels(
        write(tmp_path / "l.csv", "a.wav,N,4,4,4,1,F,Test1", "b.wav,N,4,4,4,1,F,Train")
    )
    with pytest.raises(DataError, match=r"Split_Set = Test9, found splits Test1, Train"):
        table.rows("Test9")


def test_a_line_number_counts_lines_within_a_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", 'a.wav,"N\nX",4,4,4,1,F,Test1', "b.wav,N,4,9,4,1,F,Test1")
    with pytest.raises(DataError, match=r"line 4: expected scores in 1\.\.7, found 4, 4, 9"):
        read_labels(path)


def test_the_layout_of_msp_podcast_is_found_from_its_root_and_from_its_table(
    tmp_path: Path,
) -> None:
    table = write(tmp_path / "Labels" / "labels_consensus.csv")
    (tmp_path / "Audios").mkdir()
    assert find_corpus(tmp_path) == (table, tmp_path / "Audios")
    assert find_corpus(table) == (table, tmp_path / "Audios")
    other = tmp_path / "resampled"
    other.mkdir()
    assert find_corpus(tmp_path, other) == (table, other)


def test_audio_lies_beside_the_table_or_with_it(tmp_path: Path) -> None:
    table = write(tmp_path / "labels.csv")
    assert find_corpus(table) == (table, tmp_path)
    (tmp_path / "audio").mkdir()
    assert find_corpus(table) == (table, tmp_path / "audio")


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match=r"Labels/labels_consensus\.csv in it.*name the"):
        find_corpus(tmp_path)
    with pytest.raises(MissingPathError, match=r"a label table \(CSV\), found no such file"):
        find_corpus(tmp_path / "none.csv")
    with pytest.raises(MissingPathError, match="a folder of audio"):
        find_corpus(write(tmp_path / "l.csv"), tmp_path / "none")


def test_a_table_without_splits_is_read_whole(tmp_path: Path) -> None:
    header = "FileName,EmoAct,EmoVal,EmoDom"
    table = read_labels(write(tmp_path / "l.csv", "a.wav,4,4,4", "b.wav,1,2,3", header=header))
    assert table.rows("all").tolist() == [0, 1]
    with pytest.raises(
        DataError,
        match=r"Split_Set = Test1, found no column Split_Set; take every row: --split all",
    ):
        table.rows("Test1")


def test_a_missing_column_is_told_beside_those_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "l.csv", "a.wav,4,4,4", header="FileName,EmoAct,Emoval,dominance")
    with pytest.raises(
        DataError,
        match=r"columns FileName, EmoAct, EmoDom, EmoVal, found no EmoDom, EmoVal among FileName, "
        r"EmoAct, Emoval, dominance; did you mean Emoval\?",
    ):
        read_labels(path)


def test_a_split_that_is_nearly_one_is_asked_for(tmp_path: Path) -> None:
    table = read_labels(write(tmp_path / "l.csv", "a.wav,N,4,4,4,1,F,Development"))
    with pytest.raises(DataError, match=r"found splits Development; did you mean Development\?"):
        table.rows("development")
