"""Recordings of any kind as blocks: together they are what is read in one go."""

import contextlib
import io
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from helpers.signals import make_noise

from edge_ser.audio import resample
from edge_ser.audio.files import decode_file
from edge_ser.audio.resampling import resample_blocks
from edge_ser.errors import AudioError, DamagedAudioWarning, MissingPathError, UsageError
from edge_ser.segments.source import AudioSource

RATE = 16_000


def read(audio: Any, rate: float | None = None, channel: Any = "mean") -> np.ndarray:
    source = AudioSource(audio, rate, "samples", RATE, channel)
    try:
        return np.concatenate(list(source))
    finally:
        source.close()


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 16_001])
@pytest.mark.parametrize("size", [1, 777, 4096, 1 << 20])
def test_a_resampled_stream_is_the_resampled_whole(rate: int, size: int) -> None:
    whole = make_noise(3.3, rate) if size > 1 else make_noise(0.05, rate)
    blocks = (whole[start : start + size] for start in range(0, whole.size, size))
    parts = list(resample_blocks(blocks, rate, RATE))
    np.testing.assert_array_equal(np.concatenate(parts), resample(whole, rate, RATE))


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3", "aiff"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_files(kind: str, rate: int, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    with soundfile.SoundFile(path, "w", rate, 2) as file:
        for _ in range(20):  # libsndfile crashes on long blocks of Vorbis
            file.write(make_noise(0.35, rate, 2))
    expected = decode_file(path, RATE)
    np.testing.assert_array_equal(read(path), expected)
    np.testing.assert_array_equal(read(str(path)), expected)
    np.testing.assert_array_equal(read(path.read_bytes()), expected)
    with path.open("rb") as stream:
        np.testing.assert_array_equal(read(stream), expected)
        assert not stream.closed


def test_a_channel_may_be_chosen(tmp_path: Path) -> None:
    stereo = make_noise(1, RATE, 2)
    soundfile.write(tmp_path / "a.wav", stereo, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read(tmp_path / "a.wav", channel="right"), stereo[:, 1])
    np.testing.assert_array_equal(read(stereo, RATE, channel=1), stereo[:, 0])


def test_samples_in_memory() -> None:
    noise = make_noise(2, 44_100)
    whole = (noise * 32767).astype(np.int16)
    expected = resample(whole / np.float32(32768), 44_100, RATE)
    np.testing.assert_array_equal(read(whole, 44_100), expected)
    with pytest.raises(UsageError, match="their sample rate"):
        read(noise)


def test_a_pipe_is_read_to_its_end() -> None:
    made = io.BytesIO()
    noise = make_noise(30, RATE)
    soundfile.write(made, noise, RATE, format="WAV", subtype="FLOAT")
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as end:
            end.write(made.getvalue())

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb") as stream:
        np.testing.assert_array_equal(read(stream), noise)
    writer.join()


def test_an_endless_pipe_fills_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_ser.segments.source._MAX_COPY_BYTES", 3 << 20)
    block = make_noise(10, RATE).tobytes()
    reading, writing = os.pipe()
    written = 0

    def write() -> None:
        nonlocal written
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as end:
            while True:
                written += end.write(block) or 0

    writer = threading.Thread(target=write)
    writer.start()
    before = len(os.listdir("/dev/fd"))
    with os.fdopen(reading, "rb") as stream:
        with pytest.raises(AudioError, match="expected a stream that ends within 3145728 bytes"):
            AudioSource(stream, None, "samples", RATE, "mean")
        assert len(os.listdir("/dev/fd")) == before
    writer.join()
    assert written < 6 << 20


def test_a_pipe_as_long_as_the_limit_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    made = io.BytesIO()
    noise = make_noise(1, RATE)
    soundfile.write(made, noise, RATE, format="WAV", subtype="FLOAT")
    data = made.getvalue()
    monkeypatch.setattr("edge_ser.segments.source._MAX_COPY_BYTES", len(data))
    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: [os.write(writing, data), os.close(writing)])
    writer.start()
    with os.fdopen(reading, "rb") as stream:
        np.testing.assert_array_equal(read(stream), noise)
    writer.join()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_what_ffmpeg_decodes_is_taken_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    make = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "anullsrc=r=48000:cl=mono",
        "-c:a",
        "flac",
        "-t",
    ]
    subprocess.run([*make, str(60), path], check=True)
    assert read(path).size == 60 * RATE
    subprocess.run([*make, str(24 * 60), "-y", path], check=True)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(AudioError, match=r"found more than 256 MB of samples; convert it to WAV"):
        AudioSource(path, None, "samples", RATE, "mean")
    assert len(os.listdir("/dev/fd")) == before


def test_what_is_no_audio_is_refused_before_the_first_block(tmp_path: Path) -> None:
    with pytest.raises(MissingPathError, match="no such file"):
        AudioSource(tmp_path / "none.wav", None, "samples", RATE, "mean")
    (tmp_path / "a.wav").write_text("words")
    with pytest.raises(AudioError, match="expected audio that libsndfile reads"):
        AudioSource(tmp_path / "a.wav", None, "samples", RATE, "mean")
    with pytest.raises(UsageError, match="none beside a file"):
        AudioSource(tmp_path / "a.wav", 8000, "samples", RATE, "mean")


def test_what_is_not_finite_is_refused_with_its_place(tmp_path: Path) -> None:
    noise = make_noise(60, RATE)
    noise[50 * RATE] = np.nan
    soundfile.write(tmp_path / "a.wav", noise, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav at 49\.\d s: expected finite samples"):
        read(tmp_path / "a.wav")


def test_damage_ends_a_file_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, make_noise(20, RATE), RATE)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    with pytest.warns(DamagedAudioWarning, match=r"used the first 9\.\d+ s of .*a\.flac") as told:
        samples = read(path)
    assert 9 * RATE < samples.size < 11 * RATE
    assert told[0].filename == __file__


def test_descriptors_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, make_noise(1, RATE), RATE)
    before = len(os.listdir("/dev/fd"))
    read(path)
    (tmp_path / "b.wav").write_text("words")
    with pytest.raises(AudioError):
        read(tmp_path / "b.wav")
    assert len(os.listdir("/dev/fd")) == before
