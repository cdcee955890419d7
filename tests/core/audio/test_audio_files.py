"""Audio files of all kinds, and what is refused about them."""

import io
import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.signals import RATE, Floats, make_noise

from edge_ser.audio.files import decode_file
from edge_ser.errors import AudioError, EdgeSerError, MissingPathError


def write_u8_wav(path: Path, rate: int, frames: int) -> None:
    """A header and a hole: the file takes no room on the disk."""
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + frames, b"WAVE", b"fmt ", 16, 1, 1,
                         rate, rate, 1, 8, b"data", frames)  # fmt: skip
    path.write_bytes(header)
    os.truncate(path, len(header) + frames)


@pytest.mark.parametrize(
    ("suffix", "options", "tolerance"),
    [
        ("wav", {"subtype": "PCM_16"}, 1e-4),
        ("wav", {"subtype": "PCM_24"}, 1e-6),
        ("wav", {"subtype": "PCM_U8"}, 1e-2),
        ("wav", {"subtype": "FLOAT"}, 0),
        ("wav", {"subtype": "DOUBLE"}, 0),
        ("flac", {"subtype": "PCM_16"}, 1e-4),
        ("aiff", {"subtype": "PCM_16"}, 1e-4),
        ("ogg", {}, None),
        ("mp3", {}, None),
    ],
)
def test_formats(
    suffix: str, options: dict[str, str], tolerance: float | None, tmp_path: Path
) -> None:
    t = np.arange(2 * RATE) / RATE
    x = (0.4 * np.sin(2 * np.pi * (300 + 200 * t) * t)).astype(np.float32)
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, x, RATE, **options)
    got = decode_file(path, RATE)
    assert got.dtype == np.float32
    if tolerance is None:  # lossy
        assert np.corrcoef(got[: x.size], x[: got.size])[0, 1] > 0.99
    else:
        np.testing.assert_allclose(got, x, atol=tolerance)


def test_a_file_named_outright_is_read_whatever_its_suffix(tmp_path: Path) -> None:
    x = make_noise(0.5, RATE)
    for name in ("speech", "speech.bin", "speech.mp3", "speech.raw"):
        path = tmp_path / name
        soundfile.write(path, x, RATE, format="WAV", subtype="FLOAT")
        np.testing.assert_array_equal(decode_file(path, RATE), x)


def test_streams_and_path_strings(tmp_path: Path) -> None:
    x = make_noise(0.5, RATE)
    path = tmp_path / "speech.flac"
    soundfile.write(path, x, RATE, subtype="PCM_24")
    expected = decode_file(path, RATE)
    np.testing.assert_array_equal(decode_file(str(path), RATE), expected)
    np.testing.assert_array_equal(decode_file(io.BytesIO(path.read_bytes()), RATE), expected)
    with path.open("rb") as file:
        np.testing.assert_array_equal(decode_file(file, RATE), expected)


def test_the_length_of_a_file_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "three-hours.wav"
    write_u8_wav(path, 8000, 3 * 3600 * 8000)
    assert path.stat().st_size > 80e6
    started = time.perf_counter()
    samples = decode_file(path, RATE, 12.0)
    assert time.perf_counter() - started < 1.0
    assert samples.size == 12 * RATE


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="expected an audio file, found no such file"):
        decode_file(tmp_path / "none.wav", RATE)
    with pytest.raises(FileNotFoundError):  # also what a caller would expect
        decode_file(str(tmp_path / "none.wav"), RATE)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="found a directory"):
        decode_file(tmp_path, RATE)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(AudioError, match=r"empty.wav: expected an audio file, found an empty file"):
        decode_file(path, RATE)
    with pytest.raises(AudioError):
        decode_file(io.BytesIO(b""), RATE)


@pytest.mark.parametrize("as_string", [True, False])
def test_text_is_no_audio(as_string: bool, tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("dear diary, " * 50)
    with pytest.raises(AudioError) as caught:
        decode_file(str(path) if as_string else path, RATE)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected audio that libsndfile reads")
    assert "Format not recognised" in message and "convert it" in message
    assert message.count(str(path)) == 1, "the path is named once"


def test_a_damaged_file(tmp_path: Path) -> None:
    good = io.BytesIO()
    soundfile.write(good, make_noise(1, RATE), RATE, format="FLAC", subtype="PCM_16")
    path = tmp_path / "damaged.flac"
    rng = np.random.default_rng(4)
    for size in rng.integers(1, len(good.getvalue()), 20):
        path.write_bytes(good.getvalue()[:size])
        try:
            samples = decode_file(path, RATE)
        except AudioError:
            continue
        assert 0 < samples.size <= RATE


def test_a_file_without_samples(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    soundfile.write(path, np.zeros((0, 1)), RATE)
    with pytest.raises(AudioError, match="expected samples, found an audio file with none"):
        decode_file(path, RATE)


def test_a_pipe_is_not_called_missing() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"RIFF")
        os.close(writer)
        with pytest.raises(EdgeSerError) as caught:
            decode_file(f"/dev/fd/{reader}", RATE)
    finally:
        os.close(reader)
    assert "no such file" not in str(caught.value)


def test_a_name_that_is_no_unicode(tmp_path: Path, noise: Floats) -> None:
    path = tmp_path / "plain.wav"
    soundfile.write(path, noise, RATE, subtype="FLOAT")
    odd = path.rename(tmp_path / os.fsdecode(b"sp\xe4t.wav"))
    np.testing.assert_array_equal(decode_file(odd, RATE), noise)


def test_a_name_that_is_too_long() -> None:
    with pytest.raises(EdgeSerError):
        decode_file("a" * 300 + ".wav", RATE)
