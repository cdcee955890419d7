"""What libsndfile does not read, through ffmpeg: where it is there, and where it is not."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import edge_ser
from edge_ser.audio import ffmpeg
from edge_ser.audio.files import decode_file, read_file
from edge_ser.errors import AudioError

RATE = 16_000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
CODECS = {"x.m4a": "aac", "x.aac": "aac", "x.webm": "libopus", "x.mka": "flac", "voice": "aac"}


def encode(source: Path, target: Path, *options: str) -> Path:
    command = ["ffmpeg", "-v", "error", "-i", source, *options, target]
    subprocess.run([str(word) for word in command], check=True)
    return target


@needs_ffmpeg
@pytest.mark.parametrize("name", CODECS)
def test_other_kinds_are_decoded(
    name: str, tmp_path: Path, utterances: list[Path], ser: edge_ser.Recognizer
) -> None:
    container = ("-f", "mp4") if name == "voice" else ()
    path = encode(utterances[0], tmp_path / name, "-c:a", CODECS[name], *container)
    original = decode_file(utterances[0], RATE)
    recording = read_file(path, RATE, 12.0)
    assert recording.total_seconds == pytest.approx(original.size / RATE, abs=0.15)
    # encoders put up to 0.1 s of silence before it
    count = original.size - 2048
    heard = [
        np.corrcoef(original[:count], recording.samples[lag : lag + count])[0, 1]
        for lag in range(0, 2048)
        if recording.samples.size >= lag + count
    ]
    assert max(heard) > 0.97
    assert ser(path).seconds == pytest.approx(recording.total_seconds, abs=1e-3)
    if CODECS[name] == "flac":
        np.testing.assert_array_equal(recording.samples, decode_file(utterances[0], RATE))


@needs_ffmpeg
def test_only_what_is_heard_is_decoded(tmp_path: Path) -> None:
    long = np.random.default_rng(0).normal(0, 0.1, 60 * RATE)
    soundfile.write(tmp_path / "long.wav", long, RATE, subtype="PCM_16")
    path = encode(tmp_path / "long.wav", tmp_path / "long.mka", "-c:a", "flac")
    recording = read_file(path, RATE, 12.0)
    assert recording.samples.size == 12 * RATE
    assert recording.total_seconds is None
    assert read_file(path, RATE).total_seconds == 60


@needs_ffmpeg
@pytest.mark.parametrize("name", ["text.m4a", "-i.m4a", "http:x.webm"])
def test_what_it_does_not_decode_either_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("dear diary, " * 50)
    with pytest.raises(AudioError, match=r"libsndfile reads or ffmpeg decodes, found .+; convert"):
        decode_file(path, RATE)


@needs_ffmpeg
def test_a_playlist_does_not_read_other_files(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "secret.wav", np.ones(RATE) / 4, RATE)
    path = tmp_path / "list.m4a"
    path.write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'secret.wav'}'\n")
    with pytest.raises(AudioError, match="ffmpeg decodes"):
        decode_file(path, RATE)


def test_without_ffmpeg_the_command_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "a note.m4a"
    path.write_bytes(b"\0\0\0\x1cftypM4A " + bytes(100))
    with pytest.raises(AudioError) as caught:
        decode_file(path, RATE)
    assert str(caught.value).endswith(
        "found none on the PATH; install it (apt install ffmpeg), or run where there is one: "
        "ffmpeg -i 'a note.m4a' -ac 1 'a note.wav'"
    )


def test_what_is_no_audio_at_all_is_not_for_ffmpeg(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary")
    with pytest.raises(AudioError, match="Format not recognised; convert it to WAV or FLAC"):
        decode_file(path, RATE)


# --- the child's limits, with a program of that name which misbehaves


@pytest.fixture
def misbehaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a program is to be written; it is found as ffmpeg is."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path / "bin" / "ffmpeg"


def program(path: Path, code: str) -> None:
    path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{code}\n")
    path.chmod(0o755)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "x.m4a"
    path.write_bytes(b"\0\0\0\x1cftypM4A " + bytes(100))
    return path


def test_a_program_that_hangs_is_ended(
    misbehaving: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "_SECONDS", 1)
    program(misbehaving, "time.sleep(60)")
    started = time.perf_counter()
    with pytest.raises(AudioError, match="found no end of it after 1 s"):
        decode_file(recording, RATE)
    assert time.perf_counter() - started < 10


def test_a_program_that_writes_without_end_is_ended(
    misbehaving: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "_MAX_BYTES", 1 << 20)
    program(misbehaving, "while True: os.write(1, bytes(1 << 16))")
    with pytest.raises(AudioError, match="found more than 1 MB of samples"):
        decode_file(recording, RATE)


def test_a_program_in_the_users_folder_is_not_run(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "ffmpeg", f"open({str(tmp_path / 'it-ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    for path in (".", "", ":."):
        monkeypatch.setenv("PATH", path)
        with pytest.raises(AudioError, match="none on the PATH"):
            decode_file(recording, RATE)
    assert not (tmp_path / "it-ran").exists()
