"""What `edge-ser bench` measures: bundles in their runtimes, and the reference in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edge_ser.bench.suite import System
from edge_ser.bench.systems import bundle_system, labels_of
from edge_ser.bundle.bundle import Bundle
from edge_ser.cli.common import needs
from edge_ser.cli.console import print_warning
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import EdgeSerError, unknown_name

TORCH = "torch"


def runtime_names() -> list[str]:
    """All names of `--runtime`."""
    from edge_ser_runtimes.registry import RUNTIMES

    return [*RUNTIMES, TORCH]


def systems_of(
    bundles: Sequence[Path],
    runtimes: Sequence[str],
    checkpoint: str | None,
    complain: Callable[[EdgeSerError], None],
) -> list[System]:
    """Every bundle in every runtime; what cannot be is told and left out.

    Args:
        bundles: directories or .zip files; none: the default bundle.
        runtimes: names; none: of each bundle the one that its target wants.
        checkpoint: reference of runtime "torch"; None: the one in this package that a bundle was
            made from.
        complain: is told what is wrong.
    """
    known = runtime_names()
    wanted = []
    for name in runtimes:
        if name in (*known, "auto"):
            wanted.append(name)
        else:
            complain(unknown_name("--runtime", name, ["auto", *known], ""))
    systems: dict[str, System] = {}
    for path, label in zip(bundles or [DEFAULT_BUNDLE], labels_of(bundles), strict=True):
        try:
            bundle = Bundle.open(path)
            bundle.manifest.check_evidence()
        except EdgeSerError as error:
            complain(error)
            continue
        for runtime in wanted if runtimes else ["auto"]:
            try:
                if runtime == TORCH:
                    made = _torch_system(bundle, path, checkpoint)
                else:
                    made = bundle_system(bundle, path, label, runtime, print_warning)
            except EdgeSerError as error:
                complain(error)
            else:
                # two bundles of one checkpoint have one reference
                systems.setdefault(made.name, made)
    return list(systems.values())


def _torch_system(bundle: Bundle, path: Path, checkpoint: str | None) -> System:
    """The reference of a bundle.

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: the bundle's checkpoint is not in this package, and none was given.
    """
    with needs("export", "bench --runtime torch"):
        from edge_ser_export.builtin import existing_checkpoint

        if checkpoint is not None:
            existing_checkpoint(checkpoint)
        import torch  # noqa: F401 - said before anything is measured

        from edge_ser_export.torch_session import torch_system
    return torch_system(bundle, path, checkpoint)
