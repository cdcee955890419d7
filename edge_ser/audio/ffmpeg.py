"""Audio that libsndfile does not read - M4A, AAC, WebM, AMR - through the program ffmpeg.

It decodes what strangers recorded, so it is a process of its own: with a limit on its time and on
what it may write, without a network, and with no other file than the one that it is given.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from edge_ser.audio.samples import LOOKAHEAD_SECONDS
from edge_ser.audio.sound_file import Decoded, decode
from edge_ser.errors import AudioError

PROGRAM = "ffmpeg"
# Ten minutes of speech take a second.
_SECONDS = 60
# 12 s of eight channels at 192 kHz take a third of this.
_MAX_BYTES = 256 << 20
_QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")
# Of files of these kinds alone: a playlist would name other files.
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,aac,amr,amrnb,amrwb,matroska,webm,asf,ac3"
# Of its complaints about a file that it decodes as far as it goes: those of an end that is lost.
_LOST_END = re.compile(r"partial file|prematurely|exhausted|incomplete frame|Invalid data", re.I)


def decode_by_ffmpeg(path: Path, max_seconds: float | None, subject: str) -> Decoded:
    """The frames that are needed of a file, in its own rate and channels.

    Args:
        path: of the file.
        max_seconds: of audio that are needed; None: all.
        subject: named in errors.

    Raises:
        AudioError: no ffmpeg, or it cannot decode the file, or not within its limits.
    """
    program = _find_program()
    if program is None:
        name = shlex.quote(path.name)
        raise AudioError(
            subject,
            expected=f"the program {PROGRAM}, which decodes what libsndfile does not read",
            found="none on the PATH",
            advice=f"install it (apt install {PROGRAM}), or run where there is one: "
            f"{PROGRAM} -i {name} -ac 1 {shlex.quote(path.stem + '.wav')}",
        )
    length = None if max_seconds is None else max_seconds + LOOKAHEAD_SECONDS
    wav, messages = _run(_command(program, path, length), subject)
    decoded = decode(io.BytesIO(wav), max_seconds, subject)
    if decoded.is_enough:  # it was told to stop there: nobody knows how much there is
        return decoded._replace(total=None)
    return decoded._replace(damage=next(filter(_LOST_END.search, messages), ""))


def encode_by_ffmpeg(source: Path, encoded: Path, options: Sequence[str]) -> None:
    """Write a WAV file of ours in another encoding.

    Args:
        source: the WAV file.
        encoded: the file to write, whose suffix says the container.
        options: that name the encoder.

    Raises:
        AudioError: no ffmpeg, or it lacks the encoder.
    """
    program = _find_program()
    if program is None:
        raise AudioError(
            encoded.suffix.removeprefix("."),
            expected=f"the program {PROGRAM}, which encodes what libsndfile does not",
            found="none on the PATH",
        )
    command = [program, *_QUIET, "-i", f"file:{source.absolute()}", *options, "-f"]
    container = {".m4a": "ipod"}.get(encoded.suffix, encoded.suffix.removeprefix("."))
    # a pipe cannot be rewound, which this container asks for
    _run([*command, container, "-y", f"file:{encoded.absolute()}"], encoded.name)


def _find_program() -> str | None:
    """Where ffmpeg is; not in the folder that the user stands in, whatever PATH says."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which(PROGRAM, path=os.pathsep.join(p for p in places if os.path.isabs(p)))


def _command(program: str, path: Path, seconds: float | None) -> list[str]:
    source = ["-protocol_whitelist", "file,pipe", "-format_whitelist", _DEMUXERS]
    # `file:` and an absolute path: no name is taken for an option or an address
    source += ["-threads", "1", "-i", f"file:{path.absolute()}", "-map", "0:a:0"]
    limit = [] if seconds is None else ["-t", f"{seconds:.6f}"]
    return [program, *_QUIET, *source, *limit, "-c:a", "pcm_f32le", "-f", "wav", "pipe:1"]


def _run(command: list[str], subject: str) -> tuple[bytes, list[str]]:
    """What the program writes, and says; it is ended when that takes too long, or is too much.

    Raises:
        AudioError: it fails, or reaches a limit.
    """
    # without what would let it write a report or load code from elsewhere
    variables = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in variables if name in os.environ}
    overdue = threading.Event()
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            cwd=os.sep,
            env=environment,
        ) as child,
    ):

        def end() -> None:
            overdue.set()
            child.kill()

        alarm = threading.Timer(_SECONDS, end)
        alarm.start()
        try:
            assert child.stdout is not None
            wav = child.stdout.read(_MAX_BYTES + 1)
            if len(wav) <= _MAX_BYTES:
                child.wait()
        finally:
            alarm.cancel()
            child.kill()
        if overdue.is_set():
            reason = f"no end of it after {_SECONDS} s"
        elif len(wav) > _MAX_BYTES:
            reason = f"more than {_MAX_BYTES >> 20} MB of samples"
        else:
            messages.seek(0)
            text = messages.read(4096).decode(errors="replace")
            # without the part of the program that says it, and where in memory that is
            lines = re.sub(r"(?m)^\[[^]\n]* @ [^]\n]*\] ", "", text).strip().splitlines()
            if not child.returncode:
                return wav, lines
            reason = lines[-1].strip() if lines else f"exit code {child.returncode}"
    raise AudioError(
        subject,
        expected=f"audio that libsndfile reads or {PROGRAM} decodes",
        found=reason,
        advice="convert it to WAV or FLAC",
    )
