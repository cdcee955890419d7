"""The same gate in another runtime: in which precision a bundle may run there, what that gains."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import ParitySummary, RuntimeProof, SpeedRecord
from edge_ser.bundle.manifest import Manifest
from edge_ser.errors import GateError
from edge_ser.session import Session, computation_of, pad_batch
from edge_ser_export.proof.parity import Parity
from edge_ser_export.proof.speed import Speed, compare_speed, noise
from edge_ser_runtimes import registry
from edge_ser_runtimes.registry import ALWAYS_PROVED, RUNTIMES

_SECONDS = 5.0


def parity_file(runtime: str) -> str:
    """Name of a bundle's file with the comparisons made in a runtime."""
    return f"parity-{runtime}.json"


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
        computation: that answered; see `edge_ser.session.computation_of`.
    """

    manifest: Manifest
    parity: Parity
    words: str
    computation: str


def prove_in_runtime(
    name: str,
    folder: Path,
    manifest: Manifest,
    judge: Callable[[Session], Parity],
    open_session: OpenSession,
) -> Proof:
    """Run the gate in a runtime, in the fastest type that it has for what is not integers.

    Args:
        name: of the runtime, one of `registry.proving_runtimes`.
        folder: of the bundle, unsealed.
        manifest: of it, with the proof in ONNX Runtime.
        judge: runs the gate on a session.
        open_session: opens the bundle.

    Raises:
        GateError: the bundle does not pass there.
        MissingExtraError: the runtime's library is not installed.
    """
    parity = None
    floats = RUNTIMES[name].int8_floats if manifest.precision == "int8" else ("f32",)
    for precision in floats:
        candidate = _with_proof(manifest, name, RuntimeProof(precision=precision))
        with closing(open_session(Bundle(folder, candidate), name)) as session:
            if getattr(session, "precision", "f32") != precision:
                continue  # this processor computes in float32 whatever is asked
            parity = judge(session)
            if not parity.passed:
                continue
            with closing(open_session(Bundle(folder, manifest), ALWAYS_PROVED)) as baseline:
                speed = _speed(baseline, session)
            computation = computation_of(session)
        evidence = {k: v for k, v in parity.to_dict().items() if k != "utterances"}
        (folder / parity_file(name)).write_text(json.dumps(evidence, indent=1) + "\n")
        record = RuntimeProof(
            **vars(parity.summary()),
            precision=precision,
            times_onnx=round(speed.speedup, 3),
            speed=SpeedRecord(**speed.to_dict()),
        )
        words = (
            f"{name}: parity passed, the rest computed in {precision}; "
            f"{speed.speedup:.2f}x the speed of runtime onnx on this machine{speed.doubt}"
        )
        return Proof(_with_proof(manifest, name, record), parity, words, computation)
    raise GateError(
        f"parity gate of {manifest.name} in {name}",
        expected="the checkpoint's answers",
        found="; ".join(parity.failures) if parity else "no precision that this machine has",
        advice=f"export without --runtime {name}",
    )


def _with_proof(manifest: Manifest, runtime: str, proof: RuntimeProof) -> Manifest:
    parity = manifest.parity or ParitySummary()
    runtimes = {**parity.runtimes, runtime: proof}
    return manifest.with_parts(parity=replace(parity, runtimes=runtimes))


def _speed(baseline: Session, candidate: Session) -> Speed:
    """The second's speed against the first's, each with its own threads."""
    samples, lengths = pad_batch([noise(_SECONDS)])
    return compare_speed(
        lambda x: baseline.run(x["samples"], x["lengths"]),
        lambda x: candidate.run(x["samples"], x["lengths"]),
        {"samples": samples, "lengths": lengths}, _SECONDS,
    )  # fmt: skip
