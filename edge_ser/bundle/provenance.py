"""Where a bundle came from and how well it did: the manifest's record of it, and in words."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from edge_ser.bundle.evidence import Lowering, ParitySummary
from edge_ser.errors import UsageError
from edge_ser.typed_json import OpenEnded

Row = tuple[str, str]


@dataclass(frozen=True)
class CheckpointOrigin(OpenEnded):
    """The checkpoint that a bundle was made from.

    Attributes:
        kind: such as `edge-ser` or `emosphere-run`; None: not told.
        sha256: of its weights; None: not told.
        assumed: because the checkpoint does not say, in words.
        trained_on: speech that it learnt from, in words; None: not told.
        repository: of a hub that it is from, such as `org/name`; None: not told.
        commit: of that repository.
    """

    kind: str | None = None
    sha256: str | None = None
    assumed: tuple[str, ...] = ()
    trained_on: str | None = None
    repository: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Provenance(OpenEnded):
    """Where the weights came from and what made the bundle.

    Attributes:
        checkpoint: that it was made from.
        command: that made it; None: not told.
        options: of the export, as they were given.
        versions: of the packages that made it.
        python: version of the interpreter.
        machine: architecture that it was made on, such as `x86_64`.
        date: when it was made, ISO 8601 in UTC; None: not told.
    """

    checkpoint: CheckpointOrigin = field(default_factory=CheckpointOrigin)
    command: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    python: str | None = None
    machine: str | None = None
    date: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data, without what is not told."""
        data = {key: value for key, value in asdict(self).items() if value not in (None, {})}
        for name in ("repository", "commit"):
            if data["checkpoint"][name] is None:
                del data["checkpoint"][name]
        return data

    @property
    def made_by(self) -> str:
        """The command, for people."""
        return "unknown" if self.command is None else self.command

    @property
    def made_with(self) -> str:
        """The packages' versions, for people."""
        return ", ".join(f"{name} {version}" for name, version in self.versions.items())


def made_now(environment: Mapping[str, str] = os.environ) -> str:
    """The date of a bundle that is made now, ISO 8601 in UTC.

    Args:
        environment: its `SOURCE_DATE_EPOCH`, seconds since 1970, is the date instead, where it is
            set: bundles that are made again are then the same.

    Raises:
        UsageError: `SOURCE_DATE_EPOCH` is no such number.
    """
    epoch = environment.get("SOURCE_DATE_EPOCH")
    try:
        seconds = time.time() if epoch is None else int(epoch)
        date = datetime.fromtimestamp(int(seconds), timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            "SOURCE_DATE_EPOCH",
            expected="whole seconds since 1970",
            found=f"{epoch!r:.40}",
            advice="set it to a number, or unset it",
        ) from error
    return date.isoformat().replace("+00:00", "Z")


def speed(lowered: Lowering | None) -> str:
    """Against float32, where it was measured; empty where it was not."""
    if lowered is None or lowered.speed is None or lowered.speed.speedup is None:
        return ""
    doubt = f", could not be judged: {lowered.speed.why}" if lowered.speed.why else ""
    return f"{lowered.speed.speedup:.2f}x float32 where it was made{doubt}"


def milliseconds(lowered: Lowering | None) -> str:
    """The times that `speed` is made of; empty where they are not told."""
    timed = lowered.speed if lowered is not None else None
    if timed is None:
        return ""
    after, before, seconds = timed.candidate_ms, timed.baseline_ms, timed.seconds
    if after is None or before is None or seconds is None:
        return ""
    return f"{after:.1f} ms instead of {before:.1f} ms for {seconds:g} s of speech, one thread"


def elsewhere(parity: ParitySummary | None) -> list[Row]:
    """Other runtimes in which the gate held: `in NAME`, and how."""
    return [
        (
            f"in {name}",
            f"passed, {proof.differences}, the rest computed in {proof.precision}; "
            f"{proof.times_onnx}x the speed of onnx where it was made",
        )
        for name, proof in (parity.runtimes if parity is not None else {}).items()
    ]
