"""JetPack's `trtexec`, where TensorRT's Python module is not installed.

It builds the same strongly typed network, and runs the engine for the recorded answers.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.engine import Profile
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import DeviceError, GateError, UsageError
from edge_ser.fidelity.compare import concatenate
from edge_ser.install import JETSON_TENSORRT
from edge_ser.scratch import scratch_folder

# Where JetPack puts it, which is not on the path.
_JETPACK = Path("/usr/src/tensorrt/bin/trtexec")
# `[TensorRT v101303]`: 10.13.3
_VERSION = re.compile(r"\[TensorRT v(\d+?)(\d\d)(\d\d)\]")
_OLDEST = (10, 3)


def find_trtexec() -> Path | None:
    """The program, on the path or where JetPack puts it."""
    on_path = shutil.which("trtexec")
    if on_path is not None:
        return Path(on_path)
    return _JETPACK if _JETPACK.is_file() else None


@dataclass(frozen=True)
class Trtexec:
    """The program.

    Attributes:
        path: of it.
    """

    path: Path

    def build(self, graph: Path, engine: Path, profiles: Sequence[Profile]) -> str:
        """Build an engine; returns the version of TensorRT.

        Args:
            graph: precision-typed ONNX file.
            engine: file to write.
            profiles: one: several need TensorRT's Python module.

        Raises:
            UsageError: several profiles.
            DeviceError: it fails, or is older than 10.3.
        """
        if len(profiles) > 1:
            raise UsageError(
                "profiles",
                expected="one, which is what trtexec is given",
                found=str(len(profiles)),
                advice=f"install TensorRT's Python module: sudo {JETSON_TENSORRT}",
            )
        shapes = [
            f"--{which}Shapes="
            + ",".join(
                f"{name}:{'x'.join(str(n) for n in profiles[0].shapes(name)[index])}"
                for name in ("samples", "lengths")
            )
            for index, which in enumerate(("min", "opt", "max"))
        ]
        log = self.call(
            f"--onnx={graph}", f"--saveEngine={engine}", "--stronglyTyped", "--noTF32",
            "--skipInference", *shapes,
        )  # fmt: skip
        match = _VERSION.search(log)
        if match is None or not engine.is_file():
            raise DeviceError(
                self.path, expected="an engine and a version of TensorRT", found=_last(log)
            )
        version = tuple(int(g) for g in match.groups())
        if version < _OLDEST:
            raise DeviceError(
                "TensorRT", expected="10.3 or newer (JetPack 6 or 7)",
                found=".".join(map(str, version)), advice="upgrade JetPack",
            )  # fmt: skip
        return ".".join(str(n) for n in version)

    def call(self, *arguments: str) -> str:
        """Run the program; returns all that it says.

        Raises:
            DeviceError: it fails, with its first error.
        """
        process = subprocess.run(
            [str(self.path), *arguments], capture_output=True, text=True, errors="replace",
            check=False,
        )  # fmt: skip
        if process.returncode:
            raise DeviceError(
                self.path, expected="success", found=_last(process.stdout + "\n" + process.stderr),
                advice=f"run it by hand: {' '.join([self.path.name, *arguments])}",
            )  # fmt: skip
        return process.stdout + process.stderr


class TrtexecSession:
    """An engine run by the program, one process per batch: for the recorded answers only.

    More rows than the profile takes are run in parts; fewer are filled up, as are short samples.

    Args:
        program: trtexec.
        engine: that it built.
        profile: of the engine.
        outputs: names of the engine's outputs.
    """

    computation = "trt"

    def __init__(
        self, program: Trtexec, engine: Path, profile: Profile, outputs: Sequence[str]
    ) -> None:
        self.program, self.engine, self.profile = program, engine, profile
        self.outputs = tuple(outputs)

    def run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """Outputs for samples `[batch, n]` of the given lengths `[batch]`.

        Raises:
            DeviceError: the program fails, or its outputs are not as expected.
            GateError: they are not finite.
        """
        max_rows = self.profile.batch[2]
        parts = [
            self._run(samples[first : first + max_rows], lengths[first : first + max_rows])
            for first in range(0, lengths.size, max_rows)
        ]
        return parts[0] if len(parts) == 1 else concatenate(parts)

    def close(self) -> None:
        """Nothing: each run was a process of its own."""

    def _run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        rows = lengths.size
        batch = max(rows, self.profile.batch[0])
        count = max(samples.shape[1], self.profile.samples[0])
        samples = np.pad(samples, ((0, batch - rows), (0, count - samples.shape[1])))
        # rows that only fill the profile have a length, too: means over none divide by zero
        lengths = np.pad(lengths, (0, batch - rows), mode="edge")
        with scratch_folder() as folder:
            samples.astype(np.float32).tofile(folder / "samples.bin")
            lengths.astype(np.int64).tofile(folder / "lengths.bin")
            self.program.call(
                f"--loadEngine={self.engine}",
                f"--shapes=samples:{batch}x{count},lengths:{batch}",
                f"--loadInputs=samples:{folder / 'samples.bin'},lengths:{folder / 'lengths.bin'}",
                f"--exportOutput={folder / 'outputs.json'}",
                "--iterations=1", "--warmUp=0", "--duration=0",
            )  # fmt: skip
            answers = self._read(folder / "outputs.json", batch)
        missing_names = [n for n in self.outputs if n not in answers]
        if missing_names:
            raise DeviceError(
                self.program.path, expected=f"outputs {', '.join(self.outputs)}",
                found=f"no {', '.join(missing_names)}",
            )  # fmt: skip
        if any(not np.isfinite(answers[n][:rows]).all() for n in self.outputs):
            raise self._not_finite()
        return Outputs({name: answers[name][:rows] for name in self.outputs})

    def _read(self, path: Path, batch: int) -> dict[str, NDArray[np.float32]]:
        """Outputs `[batch, n]` by name."""
        # C++ prints nan and inf in words that JSON does not have
        text = path.read_text(errors="replace")
        if re.search(r"(?<=[\s,\[])[-+]?(nan|inf)(?=[\s,\]])", text, re.IGNORECASE):
            raise self._not_finite()
        try:
            return {
                t["name"]: np.array(t["values"], np.float32).reshape(batch, -1)
                for t in json.loads(text)
            }
        except (ValueError, KeyError, TypeError) as error:
            raise DeviceError(
                self.program.path, expected="outputs in JSON", found=f"others ({error})"
            ) from error

    def _not_finite(self) -> GateError:
        return GateError(
            self.engine.name, expected="finite answers", found="nan or inf",
            advice="do not use this engine; export another precision",
        )  # fmt: skip


def _last(text: str) -> str:
    """The first error that a program told, else its last words."""
    lines = [line for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if "[E]" in line]
    return (wrong or lines[-1:] or ["nothing"])[0].strip()
