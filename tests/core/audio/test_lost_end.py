"""Files whose end is lost are answered as far as they go, and it is said."""

import io
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

import edge_ser
from edge_ser.audio.files import read_file
from edge_ser.errors import DamagedAudioWarning

RATE = 16_000
SECONDS = 6
# Container, encoding, and what is said of one that is cut in its middle.
TOLD = "its header tells of "
KINDS = [
    ("WAV", "PCM_16", TOLD),
    ("WAV", "ULAW", TOLD),
    ("WAVEX", "PCM_24", TOLD),
    ("RF64", "PCM_16", TOLD),
    ("W64", "PCM_16", TOLD),
    ("AIFF", "PCM_16", TOLD),
    ("AU", "PCM_16", TOLD),
    ("OGG", "VORBIS", "its last page is "),
    ("OGG", "OPUS", "its last page is "),
    ("MP3", None, TOLD),
]
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")


@pytest.fixture(scope="module")
def signal() -> NDArray[np.float64]:
    rng = np.random.default_rng(5)
    return np.asarray(0.1 * rng.standard_normal(SECONDS * RATE))


def encoded(signal: NDArray[np.float64], kind: str, encoding: str | None) -> bytes:
    made = io.BytesIO()
    soundfile.write(made, signal, RATE, format=kind, subtype=encoding)
    return made.getvalue()


def damage(data: bytes, seconds: float | None = 12.0) -> str:
    return read_file(io.BytesIO(data), RATE, seconds).damage


@pytest.mark.parametrize(("kind", "encoding", "words"), KINDS)
def test_a_file_that_is_cut_says_so(
    kind: str, encoding: str | None, words: str, signal: NDArray[np.float64], tmp_path: Path
) -> None:
    data = encoded(signal, kind, encoding)
    path = tmp_path / "cut"
    for keep in (0.5, 0.99):
        cut = data[: int(keep * len(data))]
        path.write_bytes(cut)
        for source in (path, io.BytesIO(cut)):
            recording = read_file(source, RATE, 12.0)
            assert recording.damage.startswith(words), recording.damage
            # pages of Ogg are a second long, and the last one is lost
            assert keep * SECONDS - 1.5 < recording.samples.size / RATE < keep * SECONDS + 0.3
    if words == TOLD:
        there = len(data) - len(cut)
        told, left = (int(word) for word in recording.damage.split() if word.isdecimal())
        assert told - left == there
    # nobody hears the end
    assert damage(data[: len(data) // 2], 0.5) == ""


@pytest.mark.parametrize(("kind", "encoding", "words"), KINDS)
def test_a_whole_file_says_nothing(
    kind: str, encoding: str | None, words: str, signal: NDArray[np.float64]
) -> None:
    whole = encoded(signal, kind, encoding)
    assert damage(whole) == ""
    if kind in ("WAV", "MP3"):  # what programs put behind the samples
        tag = b"TAG" + bytes(125)
        assert damage(whole + (b"LIST\x04\0\0\0INFO" if kind == "WAV" else tag)) == ""


@pytest.mark.parametrize("lost", range(1, 30, 3))
def test_mp3_without_a_length_shows_a_frame_that_is_cut(
    lost: int, signal: NDArray[np.float64]
) -> None:
    data = bytearray(encoded(signal, "MP3", None))
    place = data.index(b"Xing") if b"Xing" in data else data.index(b"Info")
    (flags,) = struct.unpack_from(">I", data, place + 4)
    assert flags & 3 == 3
    data[place : place + 4] = b"none"
    assert damage(bytes(data)) == ""
    assert damage(bytes(data[:-lost])) == "its last frame is cut"


def test_ogg_whose_last_page_never_came(signal: NDArray[np.float64]) -> None:
    data = encoded(signal, "OGG", "VORBIS")
    whole_pages = data[: data.rindex(b"OggS")]
    assert damage(whole_pages) == "its last page is not there"


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_that_was_streamed_says_nothing(length: int, signal: NDArray[np.float64]) -> None:
    data = bytearray(encoded(signal, "WAV", "PCM_16"))
    place = data.index(b"data")
    struct.pack_into("<I", data, 4, length)
    struct.pack_into("<I", data, place + 4, length)
    recording = read_file(io.BytesIO(data), RATE, 12.0)
    assert recording.damage == "" and recording.samples.size == SECONDS * RATE


def test_a_recorder_that_counts_its_header_is_believed(signal: NDArray[np.float64]) -> None:
    data = bytearray(encoded(signal, "WAV", "PCM_16"))
    place = data.index(b"data")
    struct.pack_into("<I", data, place + 4, len(data))
    assert damage(bytes(data)) == ""


@pytest.mark.parametrize("kind", ["WAV", "OGG", "MP3"])
def test_it_is_warned_of_once_an_answer(
    kind: str, ser: edge_ser.Recognizer, utterances: list[Path], tmp_path: Path
) -> None:
    speech, rate = soundfile.read(utterances[0])
    data = encoded(np.tile(speech, 3)[: SECONDS * rate], kind, None)
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])
    pattern = r"used the first [23]\.\d\d s of .*cut, where it is damaged: its "
    with pytest.warns(DamagedAudioWarning, match=pattern) as told:
        ser(path)
    assert len(told) == 1
    with pytest.warns(DamagedAudioWarning, match=pattern) as told:
        list(ser.segments(path, window=1.0))
    assert len(told) == 1


def test_no_library_writes_to_stderr(signal: NDArray[np.float64], tmp_path: Path) -> None:
    data = encoded(signal, "MP3", None)
    # a tag of 32 KB, as pictures are, makes the file longer than it says
    tag = b"ID3\x04\0\0\0\x02\0\0" + bytes(1 << 15)
    contents = {"cut": data[: len(data) // 2], "tag": tag + data, "both": tag + data[:-2000]}
    for name, content in contents.items():
        (tmp_path / f"{name}.mp3").write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from edge_ser.audio.files import read_file\n"
        "from edge_ser.segments.source import AudioSource\n"
        "for path in sys.argv[1:]:\n"
        "    print(read_file(path, 16000, 12.0).damage, flush=True)\n"
        "    import warnings; warnings.simplefilter('ignore')\n"
        "    list(AudioSource(Path(path), None, '', 16000, 'mean'))\n"
    )
    files = [tmp_path / f"{name}.mp3" for name in contents]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    cut, whole, both = done.stdout.splitlines()
    assert cut.startswith(TOLD) and whole == "" and both.startswith(TOLD)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "options"),
    [("x.m4a", "-c:a aac -movflags +faststart"), ("x.aac", "-c:a aac"), ("x.webm", "-c:a libopus")],
)
def test_what_ffmpeg_decodes_says_so_too(
    name: str, options: str, signal: NDArray[np.float64], tmp_path: Path, ser: edge_ser.Recognizer
) -> None:
    soundfile.write(tmp_path / "x.wav", signal, RATE, subtype="PCM_16")
    path = tmp_path / name
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "x.wav"), *options.split(), str(path)]
    subprocess.run(command, check=True)
    assert read_file(path, RATE, 12.0).damage == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    recording = read_file(path, RATE, 12.0)
    assert 1 < recording.samples.size / RATE < 4
    assert recording.damage in (
        "Input buffer exhausted before END element found", "File ended prematurely",
    ) or "partial file" in recording.damage  # fmt: skip
    with pytest.warns(DamagedAudioWarning, match="where it is damaged: ") as told:
        warnings.simplefilter("always")
        list(ser.segments(path))
    assert sum(w.category is DamagedAudioWarning for w in told) == 1
