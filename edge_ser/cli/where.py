"""`edge-ser verify --where`: the first tensor in which two computations of a model differ."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli.common import needs
from edge_ser.cli.console import print_warning
from edge_ser.errors import UsageError
from edge_ser.printable import printable

if TYPE_CHECKING:
    from edge_ser_runtimes.divergence import Divergence, TensorDifference
    from edge_ser_runtimes.exposed import Side

# Rows of the table before the first tensor that differs, and after it.
_BEFORE, _AFTER = 3, 6


def add_where(parser: Any) -> None:
    """The options."""
    parser.add_argument(
        "--where",
        action="store_true",
        help="name the first tensor that differs: of this runtime against ONNX Runtime without "
        "its optimisations, of --reference, or of --against",
    )
    parser.add_argument(
        "--against",
        metavar="BUNDLE",
        help="with --where: compare with this bundle of the same model, such as the one in float32",
    )


def find_where(bundle: Bundle, arguments: argparse.Namespace) -> Divergence | None:
    """Compare where asked to; None where not.

    Args:
        bundle: that is verified.
        arguments: of the command.

    Raises:
        UsageError: options that do not fit together, or graphs of different models.
        BundleError: a graph that a runtime cannot compute.
        MissingExtraError: a checkpoint is the reference, and the extra for it not installed.
    """
    if not arguments.where:
        if arguments.against is not None:
            raise UsageError("--against", expected="--where beside it", found="none")
        return None
    if arguments.against is not None and arguments.reference:
        raise UsageError("--against", expected="it or --reference", found="both")
    runtime = arguments.runtime
    if runtime == "trt":
        raise UsageError(
            "--where", expected="a runtime that computes the graph: onnx or openvino", found="trt",
            advice="an engine does not show what lies between its inputs and outputs",
        )  # fmt: skip
    from edge_ser_runtimes.divergence import find_divergence

    ours = _opened(bundle, "onnx" if runtime == "auto" else runtime, arguments)
    with _reference(bundle, arguments) as reference:
        return find_divergence(ours, reference)


def _opened(bundle: Bundle, runtime: str, arguments: argparse.Namespace) -> Side:
    """The bundle as the command's options say that it is computed."""
    from edge_ser_runtimes import registry
    from edge_ser_runtimes.base import BaseSession
    from edge_ser_runtimes.exposed import Side

    def opened(draft: Bundle) -> BaseSession:
        session = registry.open_session(draft, runtime, arguments.threads, arguments.provider)
        assert isinstance(session, BaseSession)  # as all of those that compute graphs
        return session

    provider = "" if arguments.provider is None else f", provider {arguments.provider}"
    return Side(bundle, opened, f"{bundle.manifest.name} in {runtime}{provider}")


@contextlib.contextmanager
def _reference(bundle: Bundle, arguments: argparse.Namespace) -> Iterator[Side]:
    """What is trusted, node by node: the checkpoint, another bundle, or the bundle itself."""
    from edge_ser_runtimes.exposed import Side
    from edge_ser_runtimes.onnxruntime.session import OrtSession

    plainly = partial(OrtSession, threads=arguments.threads, rewrites=False)
    how = "in onnx without optimisations"
    if arguments.against is not None:
        other = Bundle.open(arguments.against)
        with contextlib.closing(other):
            _tell_another(bundle, other)
            yield Side(other, plainly, f"{other.manifest.name} ({arguments.against}) {how}")
    elif arguments.reference:
        with needs("export", "verify --where --reference"):
            from edge_ser.scratch import scratch_folder
            from edge_ser_export.checkpoints.load import load_checkpoint
            from edge_ser_export.trace.plain import traced_bundle

            checkpoint = load_checkpoint(
                arguments.reference, arguments.epoch, arguments.neutral_radius
            )
            with scratch_folder() as folder:
                traced = traced_bundle(checkpoint, bundle.manifest, Path(folder))
                yield Side(traced, plainly, f"the checkpoint {arguments.reference} {how}")
    else:
        yield Side(bundle, plainly, f"the same {how}")


def _tell_another(bundle: Bundle, other: Bundle) -> None:
    """Tensors of two models differ from the first on, which says nothing of a fault."""
    ours, theirs = (b.manifest.provenance.checkpoint.sha256 for b in (bundle, other))
    if None not in (ours, theirs) and ours != theirs:
        print_warning(
            f"wrong bundle? {other.manifest.name} was made from another checkpoint than "
            f"{bundle.manifest.name}: sha256 {theirs!s:.16}... and {ours!s:.16}..."
        )


def print_where(divergence: Divergence, compared_with_another: bool) -> None:
    """The table around the first tensor that differs, and what it is.

    Args:
        divergence: of two computations.
        compared_with_another: whether they are of two graphs.
    """
    print(f"where    {printable(divergence.ours)}, against {printable(divergence.reference)}")
    print(
        f"where    utterance {printable(divergence.utterance)}, {len(divergence.tensors)} tensors; "
        f"one differs from {divergence.tolerance:g} of its largest magnitude on"
    )
    tensors, first = divergence.tensors, divergence.first
    if first is None:
        largest = max(tensors, key=lambda t: t.difference)
        print(f"where    none differs; the farthest is {_words(largest)}")
        if not compared_with_another:
            print(
                "where    this runtime computes the graph as it is written; --reference CKPT or "
                "--against BUNDLE tells whether the graph is the right one"
            )
        return
    index = tensors.index(first)
    shown = tensors[max(0, index - _BEFORE) : index + 1 + _AFTER]
    width = max(len(printable(t.tensor)) for t in shown)
    for t in shown:
        mark, name = ">" if t is first else " ", printable(t.tensor)
        print(f"{mark} {t.difference:9.1e}  {name:<{width}}  {t.operator} {list(t.shape)}")
    before = max((t.difference for t in tensors[:index]), default=0.0)
    print(f"first    {_words(first)}; the {index} before it are within {before:.1e}")
    print(f"first    it reads {printable(', '.join(first.reads))}")
    if first.read_by:
        print(f"first    it is read by {printable(', '.join(first.read_by))}")
    if divergence.answers <= divergence.tolerance:
        print(
            f"note     the answers agree ({divergence.answers:.1e}): tensors of one name may be "
            "others in a graph of another version or precision"
        )


def _words(t: TensorDifference) -> str:
    return f"{printable(t.tensor)} ({t.operator} {printable(t.node)}): {t.difference:.1e}"
