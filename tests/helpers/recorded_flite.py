"""A `flite` for machines without it: each voice says its one recorded sentence.

The clips in `tests/data/flite` are what flite 2.2 writes, sample for sample (with flite installed,
`test_corpus.py` compares them). The program answers the two calls that the corpus makes,
`flite -lv` and `flite -voice NAME -t TEXT -o FILE`; whatever the text, the recorded sentence comes,
so the texts of a corpus made with it are not what is heard in it.

    python tests/helpers/recorded_flite.py record   makes the clips anew, with the real program
"""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile

RECORDINGS = Path(__file__).resolve().parent.parent / "data" / "flite"
VOICES = ("kal16", "awb", "rms", "slt")
SENTENCE = "And then the singer gathered our winter coats"
VERSION = "flite-2.2"


def installed_flite() -> str | None:
    """Path of a real flite of the version that was recorded, or None."""
    program = shutil.which("flite")
    if program is None:
        return None
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return (
        program if re.search(rf"\b{re.escape(VERSION)}\b", answer.stdout + answer.stderr) else None
    )


def install(folder: Path) -> None:
    """Put a program `flite` into `folder`, which is to stand in PATH."""
    program = folder / "flite"
    command = shlex.join([sys.executable, str(Path(__file__).resolve())])
    program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    program.chmod(0o755)


def record() -> None:
    """Write the clips with the real program."""
    program = installed_flite()
    if program is None:
        sys.exit(f"{VERSION} is not installed")
    RECORDINGS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        for voice in VOICES:
            subprocess.run([program, "-voice", voice, "-t", SENTENCE, "-o", wav], check=True)
            samples, rate = soundfile.read(wav, dtype="int16")
            soundfile.write(RECORDINGS / f"{voice}.flac", samples, rate, compression_level=1.0)


def main(arguments: list[str]) -> int:
    """Answer as flite does; returns the exit code."""
    if arguments == ["record"]:
        record()
    elif arguments == ["-lv"]:
        print("Voices available:", *VOICES)
    else:
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        samples, rate = soundfile.read(RECORDINGS / f"{options['-voice']}.flac", dtype="int16")
        soundfile.write(options["-o"], samples, rate, subtype="PCM_16", format="WAV")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
