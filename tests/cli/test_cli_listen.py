"""`edge-ser listen`: samples on stdin and, where PortAudio is, a device, answered as they come."""

import contextlib
import ctypes.util
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import edge_ser
from edge_ser.audio.files import decode_file

RATE = 16_000
LISTEN = [sys.executable, "-m", "edge_ser", "listen", "--threads", "1"]
Listen = Callable[..., Any]
RAW = ["-", "--rate", "16000", "--format", "s16le", "--channels", "1"]


@pytest.fixture(scope="module")
def speech(utterances: list[Path]) -> np.ndarray:
    """8.2 s of int16."""
    parts = [decode_file(path, RATE) for path in utterances]
    return (np.concatenate(parts) * 32767).astype(np.int16)


@pytest.fixture
def listen(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run the command with these bytes on stdin."""

    def run(*words: object, data: bytes = b"") -> Any:
        reading, writing = os.pipe()

        def write() -> None:
            with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as end:
                end.write(data)

        writer = threading.Thread(target=write)
        writer.start()
        with os.fdopen(reading, encoding="latin-1") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            done = cli("listen", "--threads", 1, *words)
        writer.join()
        return done

    return run


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    return line.removeprefix("edge-ser: error: ")


def test_raw_samples_as_json(
    listen: Listen, ser: edge_ser.Recognizer, speech: np.ndarray, tmp_path: Path
) -> None:
    done = listen(*RAW, "--json", "--counters", tmp_path / "c.json", data=speech.tobytes())
    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    estimates = [line for line in lines if "utterance" not in line]
    expected = list(ser.segments(speech, RATE, window=3, hop=0.5, batch_size=1))
    for estimate, segment in zip(estimates, expected, strict=True):
        assert segment.emotion is not None
        assert (estimate["start"], estimate["end"]) == (segment.start, segment.end)
        assert estimate["emotion"] == segment.emotion.to_dict()
    spans = [line["utterance"] for line in lines if "utterance" in line]
    assert spans and all(0 <= s["start"] < s["end"] <= 8.3 for s in spans)
    counters = json.loads((tmp_path / "c.json").read_text())
    assert (counters["windows"], counters["answered"]) == (len(expected), len(expected))
    assert counters["utterances"] == len(spans)


def test_a_header_needs_no_options(listen: Listen, speech: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([speech, speech // 2], axis=1), RATE)
    done = listen("-", "--hop", 1, "--channel", "left", data=path.read_bytes())
    assert (done.code, done.err) == (0, "")
    first, *_, last = done.out.splitlines()
    assert re.fullmatch(
        r" +3\.00 s  speech  arousal \d\.\d\d  dominance \d\.\d\d  valence \d\.\d\d  \w+ \w+", first
    )
    assert re.fullmatch(r" +\d\.\d0 s  end     spoken for \d\.\d s", last)


def test_it_ends_after_so_many_seconds(listen: Listen, speech: np.ndarray) -> None:
    done = listen(*RAW, "--seconds", 4, data=speech.tobytes())
    ends = [float(line.split()[0]) for line in done.out.splitlines() if " end " not in line]
    assert ends == [3.0, 3.5, 4.0]


def test_silence_and_noise_are_told_and_not_answered(listen: Listen) -> None:
    noise = (np.random.default_rng(0).standard_normal(4 * RATE) * 300).astype(np.int16)
    data = np.concatenate([np.zeros(4 * RATE, np.int16), noise]).tobytes()
    done = listen(*RAW, data=data)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "- expected a signal, found 48000 samples, all zero" in lines[0]
    assert "hardly any speech" in lines[-1]
    assert not any("spoken" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "data", "expected"),
    [
        (["-"], bytes(99), "<stdin>: expected a WAV file, or --rate, --format and --channels"),
        (RAW, b"", "<stdin>: expected samples, found a pipe that ended before the first"),
        (["-", "--rate", "16"], b"", "sample rate: expected a sample rate of 1000 to 1000000 Hz"),
        (["-", "--format", "s16le"], b"", "--rate: expected Hz, beside the format, found none"),
        ([*RAW[:-3], "mp3"], b"", "format: expected one of s16le, s32le, f32le, f64le, found mp3"),
        (["-", "--device", "1"], b"", "--device: expected no - beside it, found samples on stdin"),
        (["--channels", "1"], b"", "--channels: expected - beside it, found a microphone"),
        (
            ["a.wav"],
            b"",
            "a.wav: expected a bundle, or - for samples on stdin, found an audio file",
        ),
        (["-", "-"], b"", "command line: expected at most one bundle and one -, found - -"),
        ([*RAW, "--window", "99"], bytes(99), "window: expected 0.025 to 12 s"),
        ([*RAW, "--seconds", "0"], b"", "--seconds: expected more than 0, found 0"),
        ([*RAW, "--seconds", "inf"], b"", "--seconds: expected more than 0, found inf"),
        ([*RAW, "--counters", "none/c.json"], b"", "none/c.json: expected an existing folder"),
    ],
)
def test_wrong_use_is_told_in_a_line(
    words: list[str], data: bytes, expected: str, listen: Listen
) -> None:
    assert listen(*words, data=data).error().startswith(expected)


def test_samples_that_are_not_finite_end_it(listen: Listen, speech: np.ndarray) -> None:
    floats = speech.astype(np.float32) / 32768
    floats[5 * RATE] = np.nan
    done = listen("-", "--rate", RATE, "--format", "f32le", data=floats.tobytes())
    assert re.match(r"samples at \d\.\d s: expected finite samples, found 1 NaN", done.error())
    assert done.out.startswith("     3.00 s"), "what was answered before stands"


def started(*words: object, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*LISTEN, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "words", "code"),
    [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)],
)
def test_a_signal_ends_it_with_its_counters(
    number: int, words: str, code: int, speech: np.ndarray, tmp_path: Path
) -> None:
    counters = tmp_path / "c.json"
    with started(*RAW, "--counters", counters, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(speech[: 4 * RATE].tobytes())
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"     3.00 s")
        process.send_signal(number)
        assert process.stderr.read().decode() == f"edge-ser: error: {words}\n"
        assert process.wait(timeout=20) == code
    assert json.loads(counters.read_text())["windows"] >= 1


def test_a_reader_that_has_gone_ends_it(speech: np.ndarray, tmp_path: Path) -> None:
    counters = tmp_path / "c.json"
    with started(*RAW, "--counters", counters, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(speech[: 4 * RATE].tobytes())
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        try:
            process.stdin.write(speech.tobytes() * 4)
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b""
    assert json.loads(counters.read_text())["windows"] >= 1


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminal_has_a_live_view(speech: np.ndarray) -> None:
    pytest.importorskip("rich")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "40"}
    process = subprocess.Popen(
        [*LISTEN, *RAW], stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)

    def feed() -> None:
        assert process.stdin
        process.stdin.write(speech.tobytes())
        process.stdin.close()

    threading.Thread(target=feed).start()
    parts = []
    while True:
        try:
            part = os.read(ours, 1 << 16)
        except OSError:  # a terminal whose program has ended
            break
        if not part:
            break
        parts.append(part)
    os.close(ours)
    assert process.wait(timeout=20) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(parts).decode())
    last = shown[shown.rindex("emosphere-spectral, onnx-fp32: stdin") :]
    for name in ("arousal", "dominance", "valence"):
        assert re.search(rf"{name} +█+·* \d\.\d\d", last)
    assert "●" in last and " utterance" in last and "┼" in last
    assert re.search(r"region +\w+ \w+", last)


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminal_is_no_source() -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*LISTEN, "-"], stdin=theirs, capture_output=True, text=True, check=False, timeout=60
    )
    os.close(ours), os.close(theirs)
    assert error_of(done).startswith("-: expected audio on stdin, found a terminal; run: ffmpeg")


def without(code: str) -> str:
    """The error of a microphone in a process where something is not there."""
    program = f"{code}\nfrom edge_ser.cli import main\nraise SystemExit(main(['listen']))"
    return error_of(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
        )
    )


def test_a_microphone_needs_its_module() -> None:
    line = without("import sys; sys.modules['sounddevice'] = None")
    assert line.startswith("the microphone: expected the Python module `sounddevice`")
    assert "edge-ser[mic]" in line


def test_a_microphone_needs_portaudio() -> None:
    pytest.importorskip("cffi")
    line = without("import ctypes.util; ctypes.util.find_library = lambda name: None")
    assert "found PortAudio library not found" in line
    assert "apt install libportaudio2" in line


no_portaudio = pytest.mark.skipif(
    ctypes.util.find_library("portaudio") is None or not sys.platform.startswith("linux"),
    reason="needs PortAudio over ALSA",
)


@pytest.fixture
def on_device(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in a process whose ALSA has the system's devices, and those of a text."""
    base = Path("/usr/share/alsa/alsa.conf")
    if not base.exists():
        pytest.skip("needs ALSA's configuration")

    def run(configuration: str, *words: object) -> subprocess.CompletedProcess[str]:
        (tmp_path / "alsa.conf").write_text(f"<{base}>\n{configuration}")
        return subprocess.run(
            [*LISTEN, *map(str, words)], capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "ALSA_CONFIG_PATH": str(tmp_path / "alsa.conf")},
        )  # fmt: skip

    return run


@no_portaudio
@pytest.mark.skipif(Path("/dev/snd").exists(), reason="has a sound card")
def test_a_machine_without_microphones(on_device: Callable[..., Any]) -> None:
    assert error_of(on_device("")).startswith(
        "microphone: expected an input device, found none on this machine; plug one in"
    )


@no_portaudio
def test_what_a_device_brings_goes_through_the_stream(
    on_device: Callable[..., Any], speech: np.ndarray, tmp_path: Path
) -> None:
    """ALSA's device over a file knows no time: it gives samples as fast as they are taken."""
    speech.tofile(tmp_path / "speech.raw")
    device = (
        f"pcm.speech {{ type file slave.pcm null file /dev/null format raw\n"
        f"  infile {tmp_path}/speech.raw }}\npcm.!default {{ type plug slave.pcm speech }}\n"
    )
    done = on_device(device, "--rate", RATE, "--counters", tmp_path / "c.json")
    line = done.stderr.splitlines()[-1]
    assert re.search(r"samples at \d+\.\d s: expected 16000 of them a second, found about", line)
    assert done.returncode == 2
    assert json.loads((tmp_path / "c.json").read_text())["seconds"] >= 2
    line = on_device(device, "--device", "nowhere").stderr.splitlines()[-1]
    assert re.search(r"--device nowhere: expected an input device that opens, of \d+ speech", line)
