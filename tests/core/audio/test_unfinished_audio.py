"""Files whose recorder did not say how long they are, and files that end too soon."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import edge_ser
from edge_ser.audio.files import decode_file, read_file
from edge_ser.errors import AudioError, DamagedAudioWarning

RATE = 16_000
SECONDS = 3
Floats = NDArray[np.float32]


@pytest.fixture
def signal() -> NDArray[np.int16]:
    rng = np.random.default_rng(7)
    return (3000 * rng.standard_normal(SECONDS * RATE)).astype(np.int16)


def bytes_of(signal: NDArray[np.int16], kind: str) -> bytearray:
    made = io.BytesIO()
    soundfile.write(made, signal, RATE, format=kind, subtype="PCM_16")
    return bytearray(made.getvalue())


def scaled(signal: NDArray[np.int16]) -> Floats:
    return signal.astype(np.float32) / 32768


# --- FLAC of unknown length, as a pipe of ffmpeg and recorders write it


@pytest.fixture
def endless(signal: NDArray[np.int16], tmp_path: Path) -> Path:
    data = bytes_of(signal, "FLAC")
    data[21] &= 0xF0  # the number of samples, 36 bits of STREAMINFO, as 0: not known
    data[22:26] = bytes(4)
    path = tmp_path / "endless.flac"
    path.write_bytes(data)
    assert soundfile.info(path).frames > 1 << 60
    return path


@pytest.mark.parametrize("max_seconds", [None, 2.6, 12.0])
def test_flac_of_unknown_length_is_read_whole(
    endless: Path, signal: NDArray[np.int16], max_seconds: float | None
) -> None:
    expected = scaled(signal)[: None if max_seconds is None else int(max_seconds * RATE)]
    for source in (endless, io.BytesIO(endless.read_bytes())):
        recording = read_file(source, RATE, max_seconds)
        np.testing.assert_array_equal(recording.samples, expected)
        assert recording.total_seconds == SECONDS
        assert recording.damage == ""


def test_flac_of_unknown_length_that_goes_on_is_read_as_far_as_it_is_heard(
    endless: Path, signal: NDArray[np.int16]
) -> None:
    recording = read_file(endless, RATE, 1.0)
    np.testing.assert_array_equal(recording.samples, scaled(signal)[:RATE])
    assert recording.total_seconds is None


# --- WAV that was never finalised


def not_finalised(signal: NDArray[np.int16], riff: int = 0) -> bytearray:
    data = bytes_of(signal, "WAV")
    data[4:8] = struct.pack("<I", riff)
    place = data.index(b"data")
    data[place + 4 : place + 8] = bytes(4)
    return data


@pytest.mark.parametrize("riff", [0, 36])
def test_a_wav_that_was_never_finalised_has_its_samples(
    signal: NDArray[np.int16], tmp_path: Path, riff: int
) -> None:
    path = tmp_path / "recorder.wav"
    path.write_bytes(not_finalised(signal, riff))
    for source in (path, io.BytesIO(path.read_bytes())):
        recording = read_file(source, RATE, 12.0)
        np.testing.assert_array_equal(recording.samples, scaled(signal))
        assert recording.total_seconds == SECONDS
    np.testing.assert_array_equal(decode_file(path, RATE, 0.5), scaled(signal)[: RATE // 2])


def test_a_wav_without_samples_stays_one(tmp_path: Path) -> None:
    empty = bytes_of(np.zeros(0, np.int16), "WAV")
    for more in (b"", b"LIST" + struct.pack("<I", 4) + b"INFO"):
        path = tmp_path / "empty.wav"
        path.write_bytes(empty + more)
        with pytest.raises(AudioError, match="expected samples, found an audio file with none"):
            decode_file(path, RATE)


# --- damage


@pytest.fixture
def truncated(signal: NDArray[np.int16], tmp_path: Path) -> Path:
    data = bytes_of(signal, "FLAC")
    path = tmp_path / "truncated.flac"
    path.write_bytes(data[: len(data) // 2])
    return path


def test_a_truncated_flac_gives_what_was_heard_and_says_so(
    truncated: Path, signal: NDArray[np.int16]
) -> None:
    for source in (truncated, io.BytesIO(truncated.read_bytes())):
        recording = read_file(source, RATE, 12.0)
        count = recording.samples.size
        assert 0.8 * signal.size / 2 < count <= signal.size / 2
        np.testing.assert_array_equal(recording.samples, scaled(signal)[:count])
        assert recording.damage == "flac decoder lost sync"


def test_damage_behind_what_is_heard_is_none(truncated: Path, signal: NDArray[np.int16]) -> None:
    recording = read_file(truncated, RATE, 1.0)
    np.testing.assert_array_equal(recording.samples, scaled(signal)[:RATE])
    assert recording.damage == ""


def test_a_recogniser_answers_it_with_a_warning(
    truncated: Path, ser: edge_ser.Recognizer, signal: NDArray[np.int16]
) -> None:
    with pytest.warns(DamagedAudioWarning, match=r"used the first 1\.\d\d s of .*truncated\.flac"):
        emotion = ser(truncated)
    count = round(emotion.seconds * RATE)
    assert emotion.arousal == pytest.approx(ser(signal[:count], RATE).arousal, abs=1e-5)


def test_a_header_alone_is_refused(signal: NDArray[np.int16], tmp_path: Path) -> None:
    path = tmp_path / "header.flac"
    path.write_bytes(bytes_of(signal, "FLAC")[:60])
    with pytest.raises(AudioError, match=r"header\.flac: expected "):
        decode_file(path, RATE)
