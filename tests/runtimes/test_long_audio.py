"""Audio after the last second that a model takes is not dropped without a word."""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from helpers.signals import make_syllables

import edge_ser
from edge_ser.audio.files import read_file
from edge_ser.audio.long_audio import MAX_CUTS_TOLD
from edge_ser.errors import AudioError, LongAudioWarning, UsageError


@pytest.fixture
def ser() -> edge_ser.Recognizer:
    """A recogniser that has not warned of anything yet."""
    return edge_ser.load(threads=1)


@pytest.fixture
def told() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("default")
        yield messages


def lines(told: list[warnings.WarningMessage]) -> list[str]:
    assert all(m.category is LongAudioWarning for m in told)
    return [str(m.message) for m in told]


def signal(seconds: float, rate: int = 16_000) -> Any:
    return make_syllables(seconds, rate, seed=1)


def write(path: Path, seconds: float, rate: int = 16_000) -> Path:
    samples = signal(seconds, rate)
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for start in range(0, samples.size, 4096):  # libsndfile crashes on long blocks of Vorbis
            file.write(samples[start : start + 4096])
    return path


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "aiff"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_file(kind: str, rate: int, ser: edge_ser.Recognizer, tmp_path: Path, told: Any) -> None:
    path = write(tmp_path / f"a.{kind}", 60, rate)
    assert ser(path).seconds == 12.0
    assert lines(told) == [f"used the first 12 s of 60.0 s of {path}"]
    assert told[0].filename == __file__, "said where the recogniser was called"


def test_samples_and_lists_of_them(ser: edge_ser.Recognizer, told: Any) -> None:
    assert ser(signal(31.5), 16_000).seconds == 12.0
    assert lines(told) == ["used the first 12 s of 31.5 s of samples"]
    stereo = np.stack([signal(20, 8000)] * 2, axis=1)
    assert ser([signal(3, 8000), stereo], 8000)[1].seconds == 12.0
    assert lines(told)[1:] == ["used the first 12 s of 20.0 s of samples[1]"]


def test_a_list_of_files_names_each_that_is_long(
    ser: edge_ser.Recognizer, tmp_path: Path, told: Any
) -> None:
    files = [write(tmp_path / f"{i}.wav", s) for i, s in enumerate((13, 2, 14))]
    assert [e.seconds for e in ser(files)] == [12.0, 2.0, 12.0]
    assert lines(told) == [
        f"used the first 12 s of 13.0 s of {files[0]}",
        f"used the first 12 s of 14.0 s of {files[2]}",
    ]
    assert all(m.filename == __file__ for m in told)


def test_streams_that_say_their_length_and_one_that_does_not(
    ser: edge_ser.Recognizer, told: Any
) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, signal(15), 16_000, format="FLAC")
    stream.seek(0)
    assert ser(stream).seconds == 12.0
    # of a FLAC that was piped, the header says 0 samples in all, which means: not known
    data = bytearray(stream.getvalue())
    assert int.from_bytes(data[18:26], "big") & (1 << 36) - 1 == 15 * 16_000
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    unknown = io.BytesIO(bytes(data))
    assert ser(unknown).seconds == 12.0
    assert lines(told) == [
        "used the first 12 s of 15.0 s of <stream>",
        "used the first 12 s of longer audio of <stream>",
    ]
    assert read_file(io.BytesIO(bytes(data)), 16_000, 12.0).total_seconds is None


@pytest.mark.parametrize("seconds", [0.5, 11.99, 12.0, 12.02])
def test_nothing_is_said_of_what_is_used_whole(
    seconds: float, ser: edge_ser.Recognizer, tmp_path: Path, told: Any
) -> None:
    ser(signal(seconds), 16_000)
    for rate in (16_000, 11_025, 44_100):
        ser(write(tmp_path / f"{rate}.wav", seconds, rate))
    assert told == []


def test_a_frame_more_is_said_in_milliseconds(ser: edge_ser.Recognizer, told: Any) -> None:
    ser(signal(12.025), 16_000)
    assert lines(told) == ["used the first 12 s of 12.025 s of samples"]


def test_what_the_bundle_takes_decides(tiny_bundle: Callable[..., Path], told: Any) -> None:
    from dataclasses import replace

    bundle = tiny_bundle(
        change=lambda m: replace(m, preprocessing=replace(m.preprocessing, max_seconds=2.5))
    )
    edge_ser.load(bundle, threads=1)(signal(4), 16_000)
    assert lines(told) == ["used the first 2.5 s of 4.0 s of samples"]


def test_audio_that_is_refused_was_not_used(
    ser: edge_ser.Recognizer, tmp_path: Path, told: Any
) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(20 * 16_000), 16_000)
    with pytest.raises(edge_ser.EdgeSerError, match="expected a signal"):
        ser(tmp_path / "silent.wav")
    assert told == [] and ser.cut_count == 0


def test_it_is_not_said_for_ever(
    tiny_bundle: Callable[..., Path], told: Any, tmp_path: Path
) -> None:
    ser = edge_ser.load(tiny_bundle(), threads=1)
    path = write(tmp_path / "a.wav", 13)
    for i in range(MAX_CUTS_TOLD + 5):
        link = tmp_path / f"{i}.wav"
        os.link(path, link)
        ser(link)
    assert len(told) == MAX_CUTS_TOLD
    assert lines(told)[-1].endswith("; longer audio after this is cut without a warning")
    assert sum("without" in line for line in lines(told)) == 1
    assert ser.cut_count == MAX_CUTS_TOLD + 5
    # Python's own memory of warnings does not grow with the names
    assert not any("used the first" in str(key) for key in globals().get("__warningregistry__", {}))


def test_it_can_be_made_an_error_or_silence(ser: edge_ser.Recognizer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", LongAudioWarning)
        with pytest.raises(LongAudioWarning, match="used the first 12 s"):
            ser(signal(14), 16_000)
        warnings.simplefilter("ignore", LongAudioWarning)
        assert ser(signal(14), 16_000).seconds == 12.0


def test_the_mean_of_all_of_it_is_what_the_command_gives(
    ser: edge_ser.Recognizer, tmp_path: Path, told: list[warnings.WarningMessage]
) -> None:
    path, short = write(tmp_path / "long.wav", 30.0), write(tmp_path / "short.wav", 3.0)
    index = ser.segments(path, window=12.0)
    list(index)
    expected = index.overall.emotion
    assert expected is not None
    for emotion in (ser(path, long="mean"), *ser([path], long="mean")):
        assert emotion == expected and emotion.seconds == 30.0
    x = signal(30.0)
    assert ser(x, 16_000, long="mean").arousal == pytest.approx(expected.arousal, abs=1e-3)
    assert told == []
    # what the model takes whole has its usual answer
    assert ser(short, long="mean").arousal == pytest.approx(ser(short).arousal, abs=1e-5)
    assert ser(path, long="first") == ser(path)


def test_another_word_for_long_audio_is_refused(ser: edge_ser.Recognizer) -> None:
    x = signal(1.0)
    with pytest.raises(UsageError, match=r"expected first or mean, found 'segments'; call ser.seg"):
        ser(x, 16_000, long="segments")  # type: ignore[call-overload]
    with pytest.raises(UsageError, match=r"found 'meen'; did you mean mean\?"):
        ser([x], 16_000, long="meen")  # type: ignore[call-overload]


def test_a_long_silence_has_no_mean(ser: edge_ser.Recognizer) -> None:
    with pytest.raises(AudioError, match=r"a piece that can be answered, found none of 3"):
        ser(np.zeros(16_000 * 30, np.float32), 16_000, long="mean")
