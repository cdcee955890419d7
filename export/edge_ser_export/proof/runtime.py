"""The same gate in OpenVINO: in which precision a bundle may be run there, and what that gains."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import ParitySummary, RuntimeProof, SpeedRecord
from edge_ser.bundle.manifest import Manifest
from edge_ser.errors import GateError, MissingExtraError, UsageError
from edge_ser.session import Session, pad_batch
from edge_ser_export.proof.parity import Parity
from edge_ser_export.proof.speed import Speed, compare_speed, noise
from edge_ser_export.targets import Target
from edge_ser_runtimes import registry
from edge_ser_runtimes.registry import RUNTIMES

RUNTIME = "openvino"
PARITY_FILE = "parity-openvino.json"
# Of what is left in float; the faster first, where a processor has it.
_PRECISIONS = {"int8": ("bf16", "f32")}
_SECONDS = 5.0


def check_runtimes(names: Sequence[str], target: Target, recipe: str) -> None:
    """Refuse runtimes that a bundle cannot be proved in here.

    Args:
        names: of runtimes.
        target: of the export.
        recipe: of INT8.

    Raises:
        UsageError: another name, or another target or recipe than OpenVINO's.
        MissingExtraError: openvino is not installed.
    """
    provable = [runtime.name for runtime in RUNTIMES.values() if runtime.proves]
    for name in names:
        if name not in provable:
            raise UsageError(
                "--runtime",
                expected=f"{' or '.join(provable)} (onnx is always used)",
                found=f"{name!r:.40}",
            )
    if RUNTIME not in target.runtimes:
        raise UsageError(
            f"--runtime {RUNTIME}",
            expected="an ONNX target beside it",
            found=f"--target {target.name}",
        )
    if recipe == "dynamic":
        raise UsageError(
            f"--runtime {RUNTIME}",
            expected="--recipe static or auto: OpenVINO measures dynamic scales otherwise than "
            "ONNX Runtime, and the answers with them",
            found="--recipe dynamic",
        )
    for runtime in (RUNTIMES[name] for name in names):
        library = runtime.libraries[0]
        if importlib.util.find_spec(library) is None:
            raise MissingExtraError(f"--runtime {runtime.name}", library, runtime.extra)


class OpenSession(Protocol):
    """Opens a bundle as a device would; `edge_ser_runtimes.registry.open_session` is one."""

    def __call__(self, bundle: Bundle, runtime: str = "auto") -> Session:
        """Open a bundle in a runtime."""


def open_on_cpu(bundle: Bundle, runtime: str = "onnx") -> Session:
    """Open a bundle for its proof: on the CPU, also where an engine's own runtime could open it."""
    return registry.open_session(bundle, runtime)


@dataclass(frozen=True)
class Proof:
    """Where the gate held.

    Attributes:
        manifest: with the proof in it.
        parity: every comparison.
        words: for the user, one line.
    """

    manifest: Manifest
    parity: Parity
    words: str


def prove_in_openvino(
    folder: Path, manifest: Manifest, judge: Callable[[Session], Parity], open_session: OpenSession
) -> Proof:
    """Run the gate in OpenVINO, in bfloat16 first if there are integers and the processor has it.

    Args:
        folder: of the bundle, unsealed.
        manifest: of it, with the proof in ONNX Runtime.
        judge: runs the gate on a session.
        open_session: opens the bundle.

    Raises:
        GateError: the bundle does not pass in OpenVINO.
        MissingExtraError: openvino is not installed.
    """
    parity = None
    for precision in _PRECISIONS.get(manifest.precision, ("f32",)):
        candidate = _with_proof(manifest, RuntimeProof(precision=precision))
        session: Any = open_session(Bundle(folder, candidate), RUNTIME)
        if session.precision != precision:
            continue  # this processor computes in float32 whatever is asked
        parity = judge(session)
        if not parity.passed:
            continue
        speed = _speed(open_session(Bundle(folder, manifest), "onnx"), session)
        evidence = {k: v for k, v in parity.to_dict().items() if k != "utterances"}
        (folder / PARITY_FILE).write_text(json.dumps(evidence, indent=1) + "\n")
        record = RuntimeProof(
            **vars(parity.summary()),
            precision=precision,
            times_onnx=round(speed.speedup, 3),
            speed=SpeedRecord(**speed.to_dict()),
        )
        words = (
            f"openvino: parity passed, the rest computed in {precision}; "
            f"{speed.speedup:.2f}x the speed of runtime onnx on this machine{speed.doubt}"
        )
        return Proof(_with_proof(manifest, record), parity, words)
    raise GateError(
        f"parity gate of {manifest.name} in OpenVINO",
        expected="the checkpoint's answers",
        found="; ".join(parity.failures) if parity else "no precision that this machine has",
        advice="export without --runtime openvino",
    )


def _with_proof(manifest: Manifest, proof: RuntimeProof) -> Manifest:
    parity = manifest.parity or ParitySummary()
    return manifest.with_parts(parity=replace(parity, runtimes={RUNTIME: proof}))


def _speed(baseline: Session, candidate: Session) -> Speed:
    """The second's speed against the first's, each with its own threads."""
    samples, lengths = pad_batch([noise(_SECONDS)])
    return compare_speed(
        lambda x: baseline.run(x["samples"], x["lengths"]),
        lambda x: candidate.run(x["samples"], x["lengths"]),
        {"samples": samples, "lengths": lengths}, _SECONDS,
    )  # fmt: skip
