"""What `edge-ser bench` measures: bundles in their runtimes, and the reference in PyTorch."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.bench.suite import Candidate
from edge_ser.bench.work import Products
from edge_ser.bundle.bundle import Bundle, sha256
from edge_ser.cli.common import needs, open_session
from edge_ser.cli.console import print_warning
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import (
    BundleError,
    DeviceError,
    EdgeSerError,
    MissingExtraError,
    UsageError,
)
from edge_ser.measure.process import ColdSystem

if TYPE_CHECKING:
    from edge_ser_export.checkpoints.checkpoint import Checkpoint

TORCH = "torch"
# Resident memory of a process that has loaded ONNX Runtime and numpy, but no model; measured.
_RUNTIME_BYTES = 50_000_000
# The same with torch and Transformers.
_TORCH_BYTES = 250_000_000
# Least memory over file size, so that nothing is refused that would run: weights are read, and
# most of them packed anew for the processor. Float16 is widened to float32 before that.
_MEMORY_FACTOR, _WIDENED_FACTOR = 1.3, 2.6

# What a fresh process does once it has a recogniser.
_COLD_USE = """
mark("load")
ser(sys.argv[4])
mark("first")
batch = int(sys.argv[6])
for _, outcome in ser.each([sys.argv[5]] * batch, batch):
    if isinstance(outcome, Exception):
        raise outcome
"""
_COLD_BUNDLE = f"""
import edge_ser
mark("import")
ser = edge_ser.load(sys.argv[1], sys.argv[2], int(sys.argv[3]))
{_COLD_USE}"""
_COLD_TORCH = f"""
from edge_ser.cli.bench_systems import torch_recognizer
import edge_ser_export.checkpoints.load
mark("import")
ser = torch_recognizer(sys.argv[1], sys.argv[2], int(sys.argv[3]))
{_COLD_USE}"""


def runtime_names() -> list[str]:
    """All names of `--runtime`."""
    from edge_ser_runtimes.registry import RUNTIMES

    return [*RUNTIMES, TORCH]


def candidates(
    bundles: Sequence[Path],
    runtimes: Sequence[str],
    checkpoint: str | None,
    complain: Callable[[EdgeSerError], None],
) -> list[Candidate]:
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
            complain(UsageError("--runtime", expected=f"auto, {', '.join(known)}", found=name))
    found: dict[str, Candidate] = {}
    for path, label in zip(bundles or [DEFAULT_BUNDLE], _labels(bundles), strict=True):
        try:
            bundle = Bundle.open(path)
        except EdgeSerError as error:
            complain(error)
            continue
        for runtime in wanted if runtimes else ["auto"]:
            try:
                if runtime == TORCH:
                    made = _torch(bundle, path, checkpoint)
                else:
                    made = _bundle(bundle, path, label, runtime)
            except EdgeSerError as error:
                complain(error)
            else:
                # two bundles of one checkpoint have one reference
                found.setdefault(made.name, made)
    return list(found.values())


def _labels(bundles: Sequence[Path]) -> list[str]:
    """Names that tell the bundles apart: of the directory, with its parents where they must."""
    if not bundles:
        return ["default"]
    paths = [p.resolve() for p in bundles]
    for depth in range(1, max(len(p.parts) for p in paths) + 1):
        names = ["/".join(p.parts[-depth:]) for p in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def _bundle(bundle: Bundle, path: Path, label: str, runtime: str) -> Candidate:
    """A bundle in a runtime, which is opened later: here only what can be told at once.

    Raises:
        UsageError: the runtime does not run the bundle's target.
    """
    from edge_ser_runtimes.registry import RUNTIMES, runtimes_of, usual_runtimes_of

    m = bundle.manifest
    fitting, usual = runtimes_of(m.target), usual_runtimes_of(m.target)
    if runtime == "auto" and usual:
        runtime = _first_that_opens(bundle, usual)
    if runtime not in fitting:
        raise UsageError(
            f"{label}/{runtime}",
            expected=f"a runtime for {m.target} ({', '.join(fitting) or 'none here'})",
            found=runtime,
            advice="choose another --runtime, or export for it",
        )
    widened = m.weight_storage == "float16" and m.precision == "fp32"
    factor = _WIDENED_FACTOR if widened else _MEMORY_FACTOR
    graph = sum(f.bytes for f in m.files if f.path.startswith(m.graph))

    def cold(threads: int, first: Path, longest: Path, batch: int) -> ColdSystem:
        arguments = (path, runtime, threads, first, longest, batch)
        return ColdSystem(_COLD_BUNDLE, tuple(str(a) for a in arguments))

    products = None
    if m.graph.endswith(".onnx"):
        on_cpu = RUNTIMES[runtime].on_cpu  # the processor whose limit is measured
        products = Products(
            bundle.graph_path, m.preprocessing.sample_rate, cpu=on_cpu, owner=bundle
        )
    return Candidate(
        name=f"{label}/{runtime}",
        runtime=runtime,
        manifest=m,
        target=m.target,
        precision=m.precision,
        sha256=next((f.sha256 for f in m.files if f.path == m.graph), ""),
        size_bytes=bundle.size_bytes,
        memory_bytes=_RUNTIME_BYTES + int(factor * graph),
        open=lambda threads: open_session(Bundle.open(path), runtime, threads),
        cold=cold,
        products=products,
    )


def _first_that_opens(bundle: Bundle, runtimes: list[str]) -> str:
    """What `auto` of the registry would take; the last is not tried, as nothing comes after it."""
    for name, following in itertools.pairwise(runtimes):
        try:
            session = open_session(bundle, name)
        except (DeviceError, MissingExtraError, BundleError) as error:
            print_warning(f"runtime {following} instead of {name}: {error}")
        else:
            close = getattr(session, "close", None)
            if close is not None:
                close()
            return name
    return runtimes[-1]


# --- the reference


class _TorchSession:
    """The reference model in PyTorch, eager, on the processor, in `session.Session`'s terms."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        self.model, self.threads = checkpoint.model.eval(), threads

    def run(self, samples: Any, lengths: Any) -> Outputs:
        """Outputs of a padded batch."""
        import torch

        # of the whole process: another system of the run may have other wishes
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            vad, logits = self.model(torch.from_numpy(samples), torch.from_numpy(lengths))
        return Outputs.of(vad.numpy(), None if logits is None else logits.numpy())


def torch_recognizer(checkpoint: str, bundle: str, threads: int) -> Any:
    """A recogniser that runs a checkpoint in PyTorch, read as a bundle's manifest says.

    Args:
        checkpoint: as `edge-ser export` takes it.
        bundle: path of the bundle.
        threads: for one operator.
    """
    from edge_ser.recognizer import Recognizer
    from edge_ser_export.checkpoints.load import load_checkpoint

    opened = Bundle.open(bundle)
    return Recognizer(opened, _TorchSession(load_checkpoint(checkpoint), threads))


def _torch(bundle: Bundle, path: Path, checkpoint: str | None) -> Candidate:
    """The reference of a bundle.

    Raises:
        MissingExtraError: torch is not installed.
        UsageError: the bundle's checkpoint is not in this package, and none was given.
    """
    with needs("export", "bench --runtime torch"):
        import torch  # noqa: F401 - said before anything is measured

        from edge_ser_export.builtin import find_checkpoint, installed_checkpoints
        from edge_ser_export.checkpoints.load import load_checkpoint
    m = bundle.manifest
    source = checkpoint
    digest = m.provenance.checkpoint.sha256
    if source is None:
        builtin = installed_checkpoints().items()
        source = next((name for name, file in builtin if sha256(file) == digest), None)
    if source is None:
        raise UsageError(
            f"{m.name}/torch",
            expected="a bundle of a checkpoint in this package, or --checkpoint",
            found=f"a bundle of checkpoint {str(digest)[:12]}...",
            advice="give its checkpoint with --checkpoint",
        )
    loaded = load_checkpoint(source)
    if (loaded.config.region_count > 0) != m.has_region_head:
        raise UsageError(
            "--checkpoint",
            expected=f"the checkpoint of {m.name}",
            found="a model with other outputs",
        )
    file = find_checkpoint(source)
    size = sum(f.stat().st_size for f in ([file] if file.is_file() else file.rglob("*"))
               if f.is_file())  # fmt: skip

    def cold(threads: int, first: Path, longest: Path, batch: int) -> ColdSystem:
        arguments = (source, path, threads, first, longest, batch)
        return ColdSystem(_COLD_TORCH, tuple(str(a) for a in arguments), sys.executable)

    products = None
    if m.graph.endswith(".onnx") and digest == loaded.sha256:
        # the same model, so the same products, but in float32
        products = Products(
            bundle.graph_path, m.preprocessing.sample_rate, as_float=True, owner=bundle
        )
    parameters = sum(p.numel() for p in loaded.model.parameters())
    return Candidate(
        name=f"{loaded.name}/{TORCH}",
        runtime=TORCH,
        manifest=m,
        target="checkpoint",
        precision="fp32",
        sha256=loaded.sha256,
        size_bytes=size,
        memory_bytes=_TORCH_BYTES + 4 * parameters,
        open=lambda threads: _TorchSession(load_checkpoint(source), threads),
        cold=cold,
        products=products,
    )
