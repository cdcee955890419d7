"""What one device answers, asked of the installed package: runs on the host and on emulated boards.

    python board.py OUT.npz BUNDLE...

Writes, per bundle, every output of the model for the package's own recordings, whole and cut, and
`verify`'s exit code; and what `doctor` says of the processor. No PyTorch, nothing but the device's
packages.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import soundfile

import edge_ser
from edge_ser.cli import main
from edge_ser.data import sample_utterances

_CUTS_SECONDS = (0.5, 1.3, 2.0)
_RATE = 16000  # of the package's recordings


def _utterances() -> list[np.ndarray]:
    whole = [soundfile.read(path, dtype="float32")[0] for path in sample_utterances()]
    return whole + [x[: int(seconds * _RATE)] for x in whole for seconds in _CUTS_SECONDS]


def _answers(bundle: str) -> dict[str, np.ndarray]:
    ser = edge_ser.load(bundle, threads=1)
    rows = [ser.infer([ser.prepare(x, _RATE)]).arrays for x in _utterances()]
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _said(*command: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = main(list(command))
    return status, out.getvalue()


def _asked(out: Path, bundles: list[str]) -> None:
    arrays: dict[str, np.ndarray] = {}
    verdicts = {}
    for bundle in bundles:
        arrays |= {f"{bundle}:{name}": value for name, value in _answers(bundle).items()}
        verdicts[bundle] = _said("verify", bundle)
    status, text = _said("doctor", "--json")
    findings = json.loads(text)["findings"] if status == 0 else sys.exit(text)
    facts = {f["name"]: [f["state"], f["found"]] for f in findings}
    np.savez(out, facts=json.dumps({"verdicts": verdicts, "doctor": facts}), **arrays)


if __name__ == "__main__":
    if emulated := os.environ.get("BOARD_PYTHON"):
        # children start the emulator again: nothing else can run an arm64 program here
        sys.executable = emulated
    _asked(Path(sys.argv[1]), sys.argv[2:])
