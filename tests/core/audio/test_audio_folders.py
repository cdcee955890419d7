"""Which files of a folder are audio."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_ser.audio.files import decode_file
from edge_ser.audio.folders import find_audio
from edge_ser.audio.kinds import (
    AUDIO_SUFFIXES,
    OTHER_SUFFIXES,
    SNDFILE_SUFFIXES,
    begins_as_audio,
    is_for_ffmpeg,
)

NOISE = (0.1 * np.random.default_rng(1).standard_normal(8000)).astype(np.float32)
# Every format that libsndfile writes with a header, under the name that it has in the wild.
WRITTEN = {
    "AIFF": (".aiff", ".aif", ".aifc"), "AU": (".au", ".snd"), "AVR": (".avr",), "CAF": (".caf",),
    "FLAC": (".flac",), "HTK": (".htk",), "IRCAM": (".sf", ".ircam"), "MP3": (".mp3",),
    "NIST": (".sph", ".nist"), "OGG": (".ogg", ".oga"), "PAF": (".paf", ".fap"), "PVF": (".pvf",),
    "RF64": (".rf64",), "SDS": (".sds",), "SVX": (".svx", ".8svx", ".iff"), "VOC": (".voc",),
    "W64": (".w64",), "WAV": (".wav", ".wave", ".bwf"), "WVE": (".wve",),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(set(WRITTEN) & set(soundfile.available_formats())))
def test_what_libsndfile_reads_is_taken(kind: str, tmp_path: Path) -> None:
    rate = 8000 if kind == "WVE" else 16_000
    for suffix in WRITTEN[kind]:
        path = tmp_path / f"x{suffix.upper()}"
        soundfile.write(path, NOISE, rate, format=kind)
        assert decode_file(path, 16_000).size > 0
        assert find_audio(tmp_path).files == (path,)
        path.unlink()


def test_names_are_those_of_formats_that_are_read() -> None:
    assert {s for names in WRITTEN.values() for s in names} <= SNDFILE_SUFFIXES
    rest = SNDFILE_SUFFIXES - {s for names in WRITTEN.values() for s in names}
    assert rest == {".opus", ".mp2", ".mpga"}, "read, and not written under that name here"
    assert not SNDFILE_SUFFIXES & OTHER_SUFFIXES
    assert {".m4a", ".aac", ".webm", ".amr"} <= OTHER_SUFFIXES
    assert AUDIO_SUFFIXES == SNDFILE_SUFFIXES | OTHER_SUFFIXES


def test_content_tells_audio_under_other_names_from_other_files(tmp_path: Path) -> None:
    for kind in ("WAV", "FLAC", "OGG", "AIFF", "CAF", "RF64"):
        soundfile.write(tmp_path / f"{kind}.bak", NOISE, 16_000, format=kind)
    (tmp_path / "phone.rec").write_bytes(b"\0\0\0\x1cftypM4A \0\0\0\0")
    (tmp_path / "picture.heic").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0")
    (tmp_path / "picture.webp").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    (tmp_path / "notes.txt").write_text("no audio")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    inside = find_audio(tmp_path)
    assert inside.files == ()
    assert [p.name for p in inside.skipped] == [
        "AIFF.bak", "CAF.bak", "FLAC.bak", "OGG.bak", "RF64.bak", "WAV.bak", "phone.rec",
    ]  # fmt: skip


# Beginnings -> whether it is audio for sure, and whether ffmpeg reads it where libsndfile does not.
BEGINNINGS = {
    b"RIFF\0\0\0\0WAVE": (True, False),
    b"RIFF\0\0\0\0WEBP": (False, False),
    b"ID3\4": (True, False),
    b"\0\0\0\x1cftypM4A ": (True, True),
    b"\0\0\0\x1cftyp3gp4": (True, True),
    b"\0\0\0\x1cftypmp42": (False, True),
    b"\x1aE\xdf\xa3": (True, True),
    b"\xff\xf1": (True, True),
    b"#!AMR\n": (True, True),
    b"\x0bw": (False, True),
    b"0&\xb2u\x8ef\xcf\x11": (False, True),
    b"text": (False, False),
}


@pytest.mark.parametrize("head", BEGINNINGS)
def test_one_table_says_what_begins_as_audio_and_who_reads_it(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_bytes(head + bytes(20))
    assert (begins_as_audio(path), is_for_ffmpeg(path)) == BEGINNINGS[head]


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder with one inside that its reader may not look into; root may look into any."""
    root = Path(tempfile.mkdtemp())
    root.chmod(0o755)
    (root / "closed").mkdir()
    soundfile.write(root / "open.wav", NOISE, 16_000)
    (root / "closed").chmod(0)
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    yield root
    os.seteuid(was)
    (root / "closed").chmod(0o755)
    shutil.rmtree(root)


def test_folders_that_cannot_be_looked_into_are_named(closed: Path) -> None:
    inside = find_audio(closed)
    assert inside.files == (closed / "open.wav",)
    assert inside.unreadable == ((closed / "closed", "permission denied"),)
