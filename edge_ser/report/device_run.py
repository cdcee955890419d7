"""One run of a bundle's recorded utterances on one device: what `edge-ser verify --json` prints.

A report reads it again, so that a page shows devices that it was not written on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import VAD, Outputs
from edge_ser.errors import MissingPathError, UsageError
from edge_ser.fidelity.limits import Limits
from edge_ser.host.facts import Machine, this_machine
from edge_ser.report.data import UNIT, Measures, Vad, measures
from edge_ser.session import Session
from edge_ser.typed_json import Reader
from edge_ser.verify import judge, run_recorded
from edge_ser.version import __version__

_KIND = "edge-ser-verify"
_READER = Reader(UsageError, advice="give a file that edge-ser verify --json wrote", strict=False)

# Of the TensorRT engine: "none" is a bundle without one.
EngineState = Literal["ran", "not run", "none"]


@dataclass(frozen=True)
class DeviceAnswer:
    """What the device said to one recorded utterance, run alone.

    Attributes:
        name: of the utterance.
        reference_vad: arousal, dominance, valence on 0..1, as recorded; None without them.
        vad: the same, of the device.
    """

    name: str
    reference_vad: Vad | None
    vad: Vad | None


@dataclass(frozen=True)
class DeviceRun:
    """The recorded utterances, run on a device.

    Attributes:
        bundle: name in its manifest.
        target: of it.
        fingerprint: of it.
        size_bytes: of all its files.
        passed: whether no limit was broken.
        failures: broken limits, in words.
        not_judged: limits that a group was too small for, in words.
        judged: what decided: limits by name of the group.
        notes: what else to say about how it was judged, in words.
        groups: fidelity by name of the group, as `Fidelity.to_dict` gives it.
        answers: one by one.
        runtime: that computed, with versions and options, in words.
        engine: whether that was the bundle's TensorRT engine.
        machine: that it ran on.
        date: UTC, ISO 8601.
    """

    bundle: str
    target: str
    fingerprint: str
    size_bytes: int
    passed: bool
    failures: tuple[str, ...]
    not_judged: tuple[str, ...]
    judged: dict[str, Limits]
    groups: dict[str, dict[str, float | int | dict[str, float] | None]]
    answers: tuple[DeviceAnswer, ...]
    runtime: str
    engine: EngineState
    machine: Machine
    date: str
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> dict[str, Measures]:
        """Numbers of each group by name, for a table."""
        return {name: measures(group) for name, group in self.groups.items()}

    @property
    def farthest(self) -> float:
        """Largest difference of any answer to the recorded one, on 0..1."""
        return max((g[k] for g in self.measures.values() for k in UNIT if k in g), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        judged = {name: limits.to_dict() for name, limits in self.judged.items()}
        return {"kind": _KIND, **asdict(self), "judged": judged}


def run_on_device(bundle: Bundle, session: Session, runtime: str, ran_engine: bool) -> DeviceRun:
    """Run the recorded utterances here, and judge them.

    Args:
        bundle: with recorded answers.
        session: opened from it.
        runtime: what the session computes with, in words.
        ran_engine: whether that is the bundle's TensorRT engine.

    Raises:
        BundleError: the bundle holds no recorded answers.
    """
    runs = run_recorded(bundle, session)
    verdict = judge(bundle, runs)
    golden, manifest = bundle.golden(), bundle.manifest
    state: EngineState = "ran" if ran_engine else "not run"
    return DeviceRun(
        bundle=manifest.name,
        target=manifest.target,
        fingerprint=bundle.fingerprint,
        size_bytes=bundle.size_bytes,
        passed=verdict.passed,
        failures=tuple(verdict.failures),
        not_judged=tuple(verdict.not_judged),
        judged=verdict.judged,
        notes=verdict.notes,
        groups={name: group.to_dict() for name, group in verdict.groups.items()},
        answers=tuple(
            DeviceAnswer(name, recorded, here)
            for name, recorded, here in zip(
                golden.names, _points(golden.reference), _points(runs.single), strict=True
            )
        ),
        runtime=runtime,
        engine="none" if manifest.engine is None else state,
        machine=this_machine(),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _points(outputs: Outputs) -> list[Vad] | list[None]:
    """Arousal, dominance and valence of each utterance; None of a model without."""
    if VAD not in outputs.arrays:
        return [None] * outputs.count
    return [(a, d, v) for a, d, v in outputs.vad.tolist()]


def read_device_run(path: Path) -> DeviceRun:
    """What `edge-ser verify --json` wrote, perhaps on another device.

    Raises:
        MissingPathError: no such file.
        UsageError: another file, or a field that is missing or wrong.
    """
    if not path.is_file():
        raise MissingPathError(
            path, expected="a result of edge-ser verify --json", found="no such file"
        )
    data = _READER.parse(path.read_bytes(), str(path))
    if not isinstance(data, dict) or data.get("kind") != _KIND:
        raise UsageError(
            path,
            expected="a result of edge-ser verify --json",
            found="other JSON",
            advice=f"write it on the device with edge-ser {__version__} or later",
        )
    return _READER.read(DeviceRun, data, str(path))
