"""A bundle over batches, wherever they come from."""

import io
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import edge_ser
from edge_ser.errors import BundleError, DataError, MissingPathError, UsageError
from edge_ser.scoring.archive import COLUMNS, SPARK_SCHEMA, Scorer


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer()


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory: pytest.TempPathFactory, utterances: list[Path]) -> Path:
    """Speech, two seconds of digital silence, and speech again."""
    samples, rate = soundfile.read(utterances[0], dtype="float32")
    path = tmp_path_factory.mktemp("long") / "long.wav"
    soundfile.write(path, np.concatenate([samples, np.zeros(2 * rate), samples]), rate)
    return path


def texts(*values: object) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def test_answers_are_those_of_the_recogniser(
    scorer: Scorer, ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    batch = scorer({"path": texts(*map(str, utterances))})
    assert list(batch) == list(COLUMNS)
    assert all(len(column) == len(utterances) for column in batch.values())
    for index, path in enumerate(utterances):
        emotion = ser(path)
        assert batch["path"][index] == str(path)
        assert batch["valence"][index] == pytest.approx(emotion.valence, abs=1e-4)
        assert emotion.sphere is not None and emotion.region is not None
        assert batch["azimuth"][index] == pytest.approx(emotion.sphere.azimuth, abs=1e-3)
        assert batch["region"][index] == emotion.region.name
        assert batch["seconds"][index] == batch["end"][index] == pytest.approx(emotion.seconds)
        assert batch["error"][index] is None and batch["category"][index] is None


def test_bytes_and_files_are_the_same(scorer: Scorer, utterances: list[Path]) -> None:
    names = texts(*map(str, utterances))
    files = scorer({"path": names})
    data = scorer({"path": names, "bytes": texts(*(p.read_bytes() for p in utterances))})
    for name in COLUMNS:
        np.testing.assert_array_equal(files[name], data[name])


def test_bad_recordings_are_rows_with_an_error(scorer: Scorer, utterances: list[Path]) -> None:
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(16_000), 16_000, format="WAV")
    good = utterances[0].read_bytes()
    contents = (b"no audio", good, silence.getvalue(), b"", good[: len(good) // 2])
    batch = scorer({"path": texts(*"abcde"), "bytes": texts(*contents)})
    assert batch["path"].tolist() == list("abcde")
    errors = batch["error"].tolist()
    assert errors[0].startswith("expected audio that libsndfile reads")
    assert errors[1] is None
    assert errors[2].startswith("expected a signal, found 16000 samples, all zero")
    assert "empty" in errors[3]
    assert [math.isnan(v) for v in batch["valence"]] == [e is not None for e in errors]
    missing = scorer({"path": texts("/nowhere/a.wav")})
    assert missing["error"][0] == "expected an audio file, found no such file"


@pytest.mark.filterwarnings("ignore::edge_ser.PoorAudioWarning")
def test_segments_are_a_row_each(
    ser: edge_ser.Recognizer, long_recording: Path, utterances: list[Path]
) -> None:
    scorer = Scorer(window=1.0, hop=0.5)
    batch = scorer({"path": texts(str(long_recording), "/nowhere.wav", str(utterances[1]))})
    expected = list(ser.segments(long_recording, window=1.0, hop=0.5))
    some = batch["path"] == str(long_recording)
    assert some.sum() == len(expected)
    for row, segment in enumerate(expected):
        assert batch["start"][row] == segment.start and batch["end"][row] == segment.end
        if segment.emotion is None:
            assert batch["error"][row] == segment.reason
        else:
            assert batch["arousal"][row] == pytest.approx(segment.emotion.arousal, abs=1e-4)
    assert any(s.emotion is None for s in expected), "there is silence in it"
    rest = batch["error"][~some].tolist()
    assert rest[0] == "expected an audio file, found no such file"
    assert rest[1] is None


def test_frames_of_spark_are_answered_in_their_shape(
    scorer: Scorer, utterances: list[Path]
) -> None:
    pandas = pytest.importorskip("pandas", reason="extra ray is not installed")
    paths = list(map(str, utterances))
    frames = (pandas.DataFrame({"path": [path]}) for path in paths)
    answers = list(scorer.in_pandas(frames))
    assert [list(frame.columns) for frame in answers] == [list(COLUMNS)] * len(paths)
    expected = scorer({"path": texts(*paths)})
    got = pandas.concat(answers)
    np.testing.assert_allclose(got["arousal"], expected["arousal"], atol=1e-4)
    declared = [word.split() for word in SPARK_SCHEMA.split(", ")]
    for (name, kind), column in zip(declared, expected.values(), strict=True):
        assert name.strip("`") in COLUMNS
        assert kind == ("double" if column.dtype == np.float64 else "string")


def test_an_empty_batch_has_all_columns(scorer: Scorer) -> None:
    batch = scorer({"path": texts()})
    assert list(batch) == list(COLUMNS) and all(column.shape == (0,) for column in batch.values())


def test_a_scorer_travels_without_its_model(scorer: Scorer, utterances: list[Path]) -> None:
    scorer({"path": texts(str(utterances[0]))})
    data = pickle.dumps(scorer)
    assert len(data) < 2000
    again = pickle.loads(data)
    paths = {"path": texts(str(utterances[0]))}
    assert again(paths)["valence"] == pytest.approx(scorer(paths)["valence"])
    again.close()
    assert again(paths)["valence"] == pytest.approx(scorer(paths)["valence"])


def test_a_fault_of_a_library_is_the_row_of_its_recording(
    utterances: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer()
    prepare = edge_ser.Recognizer.prepare

    def too_large(self: edge_ser.Recognizer, audio: object, *more: object) -> edge_ser.Utterance:
        if str(audio) == str(utterances[1]):
            raise MemoryError("cannot allocate")
        return prepare(self, audio, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(edge_ser.Recognizer, "prepare", too_large)
    batch = scorer({"path": texts(*map(str, utterances[:2]))})
    assert batch["error"].tolist() == [None, "internal error: MemoryError: cannot allocate"]


def test_what_is_wrong_with_the_model_is_no_fault_of_recordings(
    utterances: list[Path], bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"path": texts(str(utterances[0]))}
    with pytest.raises(MissingPathError):
        Scorer("/nowhere")(batch)
    with pytest.raises(UsageError, match="window"):
        Scorer(window=1000.0)(batch)
    scorer = Scorer(bundle_dir)

    def broken(*_: object) -> None:
        raise BundleError("model", expected="finite numbers", found="NaN")

    monkeypatch.setattr(edge_ser.Recognizer, "infer", broken)
    with pytest.raises(BundleError):
        scorer(batch)


def test_wrong_use(scorer: Scorer) -> None:
    with pytest.raises(DataError, match="expected a column path, found name"):
        scorer({"name": texts("a")})
    with pytest.raises(UsageError, match="expected a window beside it"):
        Scorer(hop=1.0)
    with pytest.raises(UsageError, match="expected at least 1, found 0"):
        Scorer(batch_size=0)


def test_spark_takes_it_in_map_in_pandas(utterances: list[Path], scorer: Scorer) -> None:
    """In Spark itself, where that is installed; its shape is tested above."""
    sql = pytest.importorskip("pyspark.sql", reason="pyspark, half a gigabyte, is not installed")
    spark = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    try:
        paths = [str(path) for path in utterances]
        frame = spark.createDataFrame([(path,) for path in paths], "path string").repartition(2)
        rows = frame.mapInPandas(Scorer().in_pandas, SPARK_SCHEMA).collect()
        direct = {row["path"]: row for row in scorer.rows(paths, paths)}
        assert sorted(row.path for row in rows) == sorted(paths)
        for row in rows:
            assert row.valence == pytest.approx(direct[row.path]["valence"], abs=1e-4)
            assert row.region == direct[row.path]["region"] and row.error is None
        contents = spark.read.format("binaryFile").load(paths[0])
        frame = contents.selectExpr("path", "content as bytes")
        (one,) = frame.mapInPandas(Scorer().in_pandas, SPARK_SCHEMA).collect()
        assert one.valence == pytest.approx(direct[paths[0]]["valence"], abs=1e-4)
    finally:
        spark.stop()
