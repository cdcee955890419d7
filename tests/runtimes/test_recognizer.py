"""`edge_ser.load`: files, samples, streams and lists in, emotions out."""

import dataclasses
import gc
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import edge_ser
from edge_ser import Emotion
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import (
    AudioError,
    BundleError,
    EdgeSerError,
    MissingPathError,
    UsageError,
)
from edge_ser.session import Session


def numbers(e: Emotion) -> list[float]:
    return [e.arousal, e.dominance, e.valence, *(e.region_probabilities or {}).values()]


def same(a: Emotion, b: Emotion, tolerance: float = 1e-4) -> None:
    assert numbers(a) == pytest.approx(numbers(b), abs=tolerance)
    assert a.seconds == b.seconds


@pytest.fixture(scope="module")
def expected(ser: edge_ser.Recognizer, utterances: list[Path]) -> list[Emotion]:
    """Every sample utterance alone."""
    return [ser(path) for path in utterances]


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """Files of many lengths, in no order of length, more than a batch."""
    rng = np.random.default_rng(9)
    paths = []
    for i, seconds in enumerate(rng.permutation(np.linspace(0.1, 1.3, 13))):
        paths.append(tmp_path / f"{i:02}.wav")
        soundfile.write(paths[-1], 0.1 * rng.standard_normal(int(16_000 * seconds)), 16_000)
    return paths


# One utterance


def test_a_file(ser: edge_ser.Recognizer, expected: list[Emotion], utterances: list[Path]) -> None:
    for path, e in zip(utterances, expected, strict=True):
        assert all(1 <= x <= 7 for x in (e.arousal, e.dominance, e.valence))
        assert e.source == str(path)
        info = soundfile.info(path)
        assert e.seconds == pytest.approx(min(info.duration, 12.0), abs=1e-3)
        assert ser(str(path)) == e, "the same file gives the same answer"
    assert len({round(e.arousal, 2) for e in expected}) > 1, "not the same for any speech"


def test_region_and_sphere_follow_from_the_scores(expected: list[Emotion]) -> None:
    for e in expected:
        x, y, z = ((score - 4) / 3 for score in (e.arousal, e.valence, e.dominance))
        around = [(True, True), (False, True), (False, False), (True, False)]  # X, Y of I to IV
        assert e.region.index == around.index((x >= 0, y >= 0)) + (0 if z >= 0 else 4)
        assert e.sphere.radius == pytest.approx((x * x + y * y + z * z) ** 0.5)
        assert e.boundary_margin == pytest.approx(min(map(abs, (x, y, z))))


def test_samples_of_any_type(
    ser: edge_ser.Recognizer, expected: list[Emotion], utterances: list[Path]
) -> None:
    ints, rate = soundfile.read(utterances[0], dtype="int16")
    for array in (ints, ints / 32768, (ints / 32768).astype(np.float32), ints[:, None]):
        e = ser(array, rate)
        same(e, expected[0], 1e-9)
        assert e.source == ""


def test_samples_at_44_khz_in_stereo_are_those_of_the_file(
    ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    stereo = (3000 * rng.standard_normal((2 * 44_100, 2))).astype(np.int16)
    soundfile.write(tmp_path / "stereo.wav", stereo, 44_100)
    same(ser(stereo, 44_100), ser(tmp_path / "stereo.wav"), 1e-9)
    same(ser(stereo.astype(np.float32) / 32768, 44_100.0), ser(stereo, 44_100), 1e-9)
    left = ser(np.stack([stereo[:, 0]] * 2, axis=1), 44_100)
    same(left, ser(stereo[:, 0], 44_100), 1e-6)


def test_streams(ser: edge_ser.Recognizer, expected: list[Emotion], utterances: list[Path]) -> None:
    e = ser(io.BytesIO(utterances[0].read_bytes()))
    same(e, expected[0], 1e-9)
    assert e.source == "<stream>"
    with utterances[0].open("rb") as file:
        assert ser(file) == expected[0]


def test_only_the_first_seconds_are_used(ser: edge_ser.Recognizer) -> None:
    x = (0.1 * np.random.default_rng(2).standard_normal(14 * 16_000)).astype(np.float32)
    e = ser(x, 16_000)
    assert e.seconds == 12.0
    same(e, ser(x[: 12 * 16_000], 16_000), 0)


def test_samples_need_their_rate(ser: edge_ser.Recognizer) -> None:
    with pytest.raises(UsageError, match=r"expected their sample rate in Hz.*ser\(samples, "):
        ser(np.zeros(16_000, np.float32))  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", [str, Path, lambda p: io.BytesIO(p.read_bytes()), lambda p: [p]])
def test_files_take_no_rate(
    kind: Callable[[Path], Any], ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    with pytest.raises(UsageError, match=r"sample rate: expected none beside a file.*found 16000"):
        ser(kind(utterances[0]), 16_000)


def test_seconds_do_not_count_padding(tiny_bundle: Callable[..., Path], tmp_path: Path) -> None:
    bundle = tiny_bundle(
        change=lambda m: dataclasses.replace(
            m, preprocessing=dataclasses.replace(m.preprocessing, short="pad", max_seconds=1.0)
        )
    )
    ser = edge_ser.load(bundle, threads=1)
    x = (0.1 * np.random.default_rng(0).standard_normal(17_000)).astype(np.float32)
    files = []
    for size in (100, 17_000, 399):
        assert ser(x[:size], 16_000).seconds == min(size, 16_000) / 16_000
        files.append(tmp_path / f"{size}.wav")
        soundfile.write(files[-1], x[:size], 16_000, subtype="FLOAT")
    assert [e.seconds for e in ser(files)] == [100 / 16_000, 1.0, 399 / 16_000]
    assert ser(files[0]).seconds == 100 / 16_000


def test_short_audio_is_refused_by_name(ser: edge_ser.Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "click.wav"
    soundfile.write(path, np.ones(100) * 0.1, 16_000)
    with pytest.raises(AudioError, match=r"click.wav: expected at least 400 samples"):
        ser(path)


@pytest.mark.parametrize(
    "audio", [None, 1.5, {"a": 1}, np.float32(1), [0.1, 0.2], [np.zeros(16_000, np.float32)]],
    ids=["none", "number", "dict", "scalar", "list of numbers", "list of arrays"],
)  # fmt: skip
def test_what_is_no_audio_is_refused(audio: Any, ser: edge_ser.Recognizer) -> None:
    with pytest.raises(EdgeSerError, match="expected"):
        ser(audio)


def test_an_answer_cannot_be_changed(expected: list[Emotion]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        expected[0].valence = 7.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        expected[0].region.index = 0  # type: ignore[misc]


# Many


def test_a_list_keeps_its_order(ser: edge_ser.Recognizer, many: list[Path]) -> None:
    emotions = ser(many)
    assert [e.source for e in emotions] == [str(p) for p in many]
    for e, path in zip(emotions, many, strict=True):
        same(e, ser(path))
    assert [e.source for e in ser(tuple(many[:3]))] == [str(p) for p in many[:3]]


def test_an_empty_list_gives_an_empty_list(ser: edge_ser.Recognizer) -> None:
    assert ser([]) == []


def test_a_list_may_mix_paths_and_streams(
    ser: edge_ser.Recognizer, expected: list[Emotion], utterances: list[Path]
) -> None:
    emotions = ser([io.BytesIO(utterances[1].read_bytes()), str(utterances[0]), utterances[1]])
    for e, wanted in zip(emotions, (expected[1], expected[0], expected[1]), strict=True):
        same(e, wanted)


def test_a_list_of_arrays_of_one_rate(ser: edge_ser.Recognizer, many: list[Path]) -> None:
    arrays = [soundfile.read(p, dtype="float32")[0] for p in many]
    arrays[3] = np.stack([arrays[3]] * 2, axis=1)
    emotions = ser(arrays, 16_000)
    assert [e.source for e in emotions] == [""] * len(many)
    for e, x in zip(emotions, arrays, strict=True):
        same(e, ser(x, 16_000))
    assert len({e.seconds for e in emotions}) == len(many)
    assert ser(tuple(arrays[:2]), 16_000) == ser(arrays[:2], 16_000)
    assert ser([], 16_000) == []


def test_arrays_of_a_list_are_run_in_batches(ser: edge_ser.Recognizer) -> None:
    rows: list[int] = []

    class Counted:
        def run(self, samples: Any, lengths: Any) -> Any:
            rows.append(len(lengths))
            return ser.session.run(samples, lengths)

    x = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    assert len(edge_ser.Recognizer(ser.bundle, Counted())([x] * 10, 16_000)) == 10
    assert rows == [8, 2]


@pytest.mark.parametrize(
    ("audio", "rate", "words"),
    [
        ([np.ones(8000)], None, r"samples\[0\]: expected their .+ call .+ser\(\[a, b\], sample_"),
        ([np.ones(8000), np.ones(3)], 16_000, r"samples\[1\]: expected at least 400 samples"),
        ([np.ones(8000), np.ones(8000, bool)], 16_000, r"samples\[1\]: expected float32, float64"),
        ([np.ones(8000)], 3, r"samples\[0\]: expected a sample rate of"),
        ([np.ones(8000), "a.wav"], 16_000, "sample rate: expected none beside a file"),
        ([0.1, 0.2], 16_000, r"samples: expected at least 400 samples .*found 2;"),
        ([[np.ones(8000)]], 16_000, "audio: expected .+, found list"),
    ],
    ids=["no rate", "short", "type", "rate", "file", "numbers", "nested"],
)
def test_a_list_of_arrays_that_is_wrong(
    audio: Any, rate: Any, words: str, ser: edge_ser.Recognizer
) -> None:
    with pytest.raises(EdgeSerError, match=words):
        ser(audio, rate)


def test_a_bad_file_in_a_list_is_raised(
    ser: edge_ser.Recognizer, utterances: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(MissingPathError, match=r"none.wav"):
        ser([utterances[0], tmp_path / "none.wav", utterances[1]])


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_each_answers_every_file_once_and_survives_bad_ones(
    batch_size: int, ser: edge_ser.Recognizer, many: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("no audio")
    files = [tmp_path / "none.wav", *many[:4], tmp_path / "text.wav", *many[4:], tmp_path]
    outcomes = list(ser.each((f for f in files), batch_size=batch_size))
    assert sorted(i for i, _ in outcomes) == list(range(len(files)))
    for index, outcome in outcomes:
        if index in (0, 5, len(files) - 1):
            assert isinstance(outcome, AudioError if index == 5 else MissingPathError)
        else:
            assert isinstance(outcome, Emotion) and outcome.source == str(files[index])


def test_each_takes_arrays_of_one_rate_and_names_bad_ones(ser: edge_ser.Recognizer) -> None:
    rng = np.random.default_rng(3)
    arrays = [0.1 * rng.standard_normal(n).astype(np.float32) for n in (22_050, 9000, 30_000)]
    arrays.insert(1, np.zeros(22_050, np.float32))
    outcomes = dict(ser.each((a for a in arrays), 22_050, batch_size=2))
    assert str(outcomes.pop(1)).startswith("samples[1]: expected a signal")
    assert sorted(outcomes) == [0, 2, 3]
    for index, outcome in outcomes.items():
        assert isinstance(outcome, Emotion)
        same(outcome, ser(arrays[index], 22_050), 1e-4)
        assert outcome.seconds == pytest.approx(arrays[index].size / 22_050, abs=1e-3)


@pytest.mark.parametrize("one", ["a.wav", Path("a.wav"), np.ones(16_000, np.float32)])
def test_each_is_for_several(one: Any, ser: edge_ser.Recognizer) -> None:
    with pytest.raises(UsageError, match=r"audio: expected several files or arrays, found one"):
        next(ser.each(one))


class Choosy:
    """A real session that refuses rows of a second and more, as an engine's profile may."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        if lengths.max() >= 16_000:
            raise UsageError("lengths", expected="less than a second", found=str(lengths.max()))
        return self.session.run(samples, lengths)


def test_a_row_that_the_model_refuses_is_its_own_error(
    ser: edge_ser.Recognizer, tmp_path: Path
) -> None:
    rng = np.random.default_rng(2)
    files = [tmp_path / f"{i}.wav" for i in range(4)]
    for file, n in zip(files, (9000, 20_000, 8000, 7000), strict=True):
        soundfile.write(file, 0.1 * rng.standard_normal(n), 16_000)
    choosy = edge_ser.Recognizer(ser.bundle, Choosy(ser.session))
    outcomes = dict(choosy.each(files))
    assert isinstance(outcomes.pop(1), UsageError)
    assert all(isinstance(o, Emotion) for o in outcomes.values()) and len(outcomes) == 3


@pytest.mark.parametrize("batch_size", [0, -1])
def test_each_needs_a_batch_size(
    batch_size: int, ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    with pytest.raises(UsageError, match="batch"):
        list(ser.each(utterances, batch_size=batch_size))


def test_more_files_than_are_decoded_ahead(ser: edge_ser.Recognizer, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for i in range(70):
        soundfile.write(tmp_path / f"{i:02}.wav", 0.1 * rng.standard_normal(600 + i), 16_000)
    files = sorted(tmp_path.glob("*.wav"))
    emotions = ser(files)
    assert [e.source for e in emotions] == [str(p) for p in files]
    assert [round(e.seconds * 16_000) for e in emotions] == [600 + i for i in range(70)]


def test_one_recognizer_in_several_threads(
    ser: edge_ser.Recognizer, expected: list[Emotion], utterances: list[Path]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        for path, e in zip(utterances * 4, pool.map(ser, utterances * 4), strict=True):
            same(e, expected[utterances.index(path)], 1e-5)


# Loading


def test_load_takes_paths_strings_and_zips(
    tmp_path: Path, zip_bundle: Callable[..., Path], expected: list[Emotion],
    utterances: list[Path],
) -> None:  # fmt: skip
    archive = zip_bundle(DEFAULT_BUNDLE, tmp_path / "bundle.zip")
    for source in (DEFAULT_BUNDLE, str(DEFAULT_BUNDLE), archive):
        ser = edge_ser.load(source, threads=1)
        gc.collect()  # an unpacked zip must outlive the loading
        same(ser(utterances[0]), expected[0], 1e-9)


def test_load_says_what_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="expected a bundle, found no such"):
        edge_ser.load(tmp_path / "none")
    with pytest.raises(BundleError, match=r"expected a bundle with manifest.json"):
        edge_ser.load(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"\x08\x09")
    with pytest.raises(BundleError, match="expected a bundle"):
        edge_ser.load(tmp_path / "model.onnx")


def test_repr_names_model_and_target(ser: edge_ser.Recognizer) -> None:
    assert repr(ser) == f"Recognizer({ser.manifest.name}, {ser.manifest.target})"
