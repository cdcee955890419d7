"""Audio that cannot be rewound: pipes, sockets, responses, endless ones; what is told of others."""

import http.server
import io
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from edge_ser.audio.files import decode_file, read_file
from edge_ser.errors import AudioError, EdgeSerError, UsageError

RATE = 16_000
SECONDS = 60
Floats = NDArray[np.float32]
FORMATS = [
    ("WAV", "PCM_16"), ("WAV", "FLOAT"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None),
    ("AIFF", "PCM_24"), ("AU", "PCM_16"), ("CAF", "PCM_16"),
]  # fmt: skip


@pytest.fixture(scope="module")
def speech_like() -> Floats:
    """More than the first read holds, in every uncompressed format."""
    return (0.1 * np.random.default_rng(7).standard_normal((44_100 * 20, 2))).astype(np.float32)


def encoded(samples: Floats, rate: int, kind: str, subtype: str | None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@contextmanager
def pipe_of(blocks: Iterator[bytes]) -> Iterator[BinaryIO]:
    """The reading end of a pipe that a thread writes to until nobody reads."""
    reader, writer = os.pipe()

    def write() -> None:
        with open(writer, "wb", buffering=0) as file:
            try:
                for block in blocks:
                    file.write(block)
            except BrokenPipeError:
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with open(reader, "rb") as file:
            yield file
    finally:
        thread.join(SECONDS)
    assert not thread.is_alive()


def in_pieces(data: bytes) -> Iterator[bytes]:
    """As a slow network gives it."""
    return (data[i : i + 5000] for i in range(0, len(data), 5000))


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
def test_a_pipe_gives_what_the_file_gives(
    kind: str, subtype: str | None, speech_like: Floats
) -> None:
    data = encoded(speech_like, 44_100, kind, subtype)
    expected = decode_file(io.BytesIO(data), RATE, 12.0)
    with pipe_of(in_pieces(data)) as stream:
        recording = read_file(stream, RATE, 12.0)
    np.testing.assert_array_equal(recording.samples, expected)
    assert recording.total_seconds is None or recording.total_seconds > 19.9


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
def test_short_audio_in_a_pipe_is_whole(kind: str, subtype: str | None, noise: Floats) -> None:
    data = encoded(noise, RATE, kind, subtype)
    expected = read_file(io.BytesIO(data), RATE, 12.0)
    with pipe_of(in_pieces(data)) as stream:
        recording = read_file(stream, RATE, 12.0)
    np.testing.assert_array_equal(recording.samples, expected.samples)
    assert recording.total_seconds == expected.total_seconds


def test_without_a_limit_a_pipe_is_read_to_its_end(speech_like: Floats) -> None:
    data = encoded(speech_like, 44_100, "WAV", "PCM_16")
    with pipe_of(in_pieces(data)) as stream:
        recording = read_file(stream, 44_100)
    assert recording.samples.shape == (44_100 * 20,)
    assert recording.total_seconds == 20


def endless_wav(frames: Floats) -> Iterator[bytes]:
    data = encoded(frames, 48_000, "WAV", "PCM_16")
    header = bytearray(data[:44])
    header[4:8] = header[40:44] = b"\xff" * 4  # what recorders write who do not know the end
    yield bytes(header)
    while True:
        yield data[44:]


def test_endless_audio_is_answered(noise: Floats) -> None:
    with pipe_of(endless_wav(noise)) as stream:
        recording = read_file(stream, RATE, 12.0)
    assert recording.samples.shape == (12 * RATE,)
    assert recording.total_seconds is None, "nobody knows"


def test_audio_that_ended_is_answered_though_the_pipe_goes_on(noise: Floats) -> None:
    def blocks() -> Iterator[bytes]:
        yield encoded(noise, RATE, "WAV", "FLOAT")
        while True:
            yield bytes(100_000)

    with pipe_of(blocks()) as stream:
        recording = read_file(stream, RATE, 12.0)
    np.testing.assert_array_equal(recording.samples, noise)


PREDICT_STDIN = """
import sys
from pathlib import Path
from edge_ser.cli import main
code = main(["predict", "--json", "--threads", "1", "-"])
# not ru_maxrss, which a child has from the process that started it
status = Path("/proc/self/status").read_text().split()
print(int(status[status.index("VmHWM:") + 1]) // 1024, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="units of the highest memory differ")
@pytest.mark.parametrize("kind", ["audio", "zeros"])
def test_endless_stdin_is_bounded_in_memory(kind: str, noise: Floats) -> None:
    blocks = endless_wav(noise) if kind == "audio" else iter(lambda: bytes(100_000), b"")
    with pipe_of(blocks) as stream:
        done = subprocess.run(
            [sys.executable, "-c", PREDICT_STDIN], stdin=stream, capture_output=True, text=True,
            check=False, timeout=SECONDS,
        )  # fmt: skip
    *lines, megabytes = done.stderr.splitlines()
    assert int(megabytes) < 250, "some 90 of them are the libraries"
    if kind == "audio":
        assert (done.returncode, lines) == (
            0, ["edge-ser: warning: used the first 12 s of longer audio of <stdin>"],
        )  # fmt: skip
        assert '"source": "<stdin>", "seconds": 12.0' in done.stdout
    else:
        assert done.returncode == 2
        assert lines[0].startswith("edge-ser: error: <stdin>: expected audio that libsndfile reads")


# Kinds of streams


def reply_of_a_server(data: bytes) -> Iterator[Any]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Not on the terminal."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/a.wav") as reply:
            yield reply


def output_of_a_child(data: bytes) -> Iterator[Any]:
    child = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(data)
        process.stdin.close()
        yield process.stdout


def file_of_a_socket(data: bytes) -> Iterator[Any]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = threading.Thread(target=lambda: (theirs.sendall(data), theirs.close()))
        writer.start()
        with ours.makefile("rb") as file:
            yield file
        writer.join(SECONDS)


def plain_reader(data: bytes) -> Iterator[Any]:
    class Reader:
        """Has what its users need and nothing more."""

        def __init__(self) -> None:
            self.read = io.BytesIO(data).read

    yield Reader()


@pytest.mark.parametrize(
    "opened", [reply_of_a_server, output_of_a_child, file_of_a_socket, plain_reader]
)
def test_every_stream_of_bytes_is_read(
    opened: Callable[[bytes], Iterator[Any]], noise: Floats
) -> None:
    with contextmanager(opened)(encoded(noise, RATE, "WAV", "FLOAT")) as stream:
        np.testing.assert_array_equal(decode_file(stream, RATE, 12.0), noise)


def test_a_named_pipe_is_a_file(noise: Floats, tmp_path: Path) -> None:
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(encoded(noise, RATE, "WAV", "FLOAT"),))
    writer.start()
    np.testing.assert_array_equal(decode_file(path, RATE, 12.0), noise)
    writer.join(SECONDS)


def test_a_stream_is_read_from_where_it_is(noise: Floats) -> None:
    stream = io.BytesIO(b"before" + encoded(noise, RATE, "WAV", "FLOAT"))
    stream.seek(6)
    np.testing.assert_array_equal(decode_file(stream, RATE, 12.0), noise)


def test_a_stream_at_its_end_is_told_to_be_rewound(noise: Floats) -> None:
    stream = io.BytesIO()
    soundfile.write(stream, noise, RATE, format="WAV")
    with pytest.raises(AudioError, match=r"found none from byte 32044 on.*call its seek\(0\)"):
        decode_file(stream, RATE, 12.0)


def test_a_stream_of_text_is_called_that(tmp_path: Path, noise: Floats) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(noise, RATE, "WAV", "FLOAT"))
    with (
        path.open(encoding="latin-1") as file,
        pytest.raises(
            UsageError, match=r"^a\.wav: expected a binary stream, found one of text.*rb"
        ),
    ):
        decode_file(file, RATE, name="a.wav")  # type: ignore[arg-type]


def test_a_closed_stream_is_called_that() -> None:
    stream = io.BytesIO(b"RIFF")
    stream.close()
    with pytest.raises(UsageError, match=r"expected an open stream, found I/O operation on closed"):
        decode_file(stream, RATE)


def test_a_stream_that_has_nothing_now_is_called_that() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with (
        open(reader, "rb") as stream,
        open(writer, "wb"),
        pytest.raises(AudioError, match=r"expected a stream that waits .* make it blocking"),
    ):
        decode_file(stream, RATE, 12.0)


def test_a_socket_is_no_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        with pytest.raises(EdgeSerError, match="expected an audio file, found a socket"):
            decode_file(tmp_path / "s", RATE)
