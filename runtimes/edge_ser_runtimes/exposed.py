"""What lies between a graph's operators: the same graph with more outputs, in any runtime.

Of protocol buffers, one message behind another is both in one, and lists go on. So a few bytes
behind a file add outputs to its graph, and nothing else of it is read or written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import TensorSpec
from edge_ser.scratch import scratch_folder
from edge_ser_runtimes.base import BaseSession

# Tensors of one run: a large model's are 3 GB together.
_MOST_AT_ONCE = 64
# Fields of onnx.proto3: ModelProto.graph, GraphProto.output, ValueInfoProto.name.
_GRAPH, _OUTPUT, _NAME = 7, 12, 1


@dataclass(frozen=True)
class Side:
    """A bundle, and what computes it.

    Attributes:
        bundle: that is computed.
        open_session: opens the same graph with more outputs.
        words: what computes which bundle, for people.
    """

    bundle: Bundle
    open_session: Callable[[Bundle], BaseSession]
    words: str

    def graph(self) -> bytes:
        """The ONNX file, without weights beside it."""
        return self.bundle.read(self.bundle.manifest.graph)

    def tensors(
        self, names: Sequence[str], rows: Sequence[NDArray[np.float32]]
    ) -> list[Mapping[str, NDArray[Any]]]:
        """Values of a graph's tensors, for one utterance after the other.

        Args:
            names: of the tensors.
            rows: `[n]` each, normalised.

        Raises:
            BundleError: the runtime cannot compute the graph.
        """
        with scratch_folder() as folder:
            draft = _with_outputs(self, names, folder)
            with closing(self.open_session(draft)) as session:
                return [
                    session.tensors(row[None], np.array([row.size], np.int64)).arrays
                    for row in rows
                ]


def parts(names: Sequence[str]) -> list[Sequence[str]]:
    """Names in as many parts as there must be runs."""
    return [names[i : i + _MOST_AT_ONCE] for i in range(0, len(names), _MOST_AT_ONCE)]


def _with_outputs(side: Side, names: Sequence[str], folder: Path) -> Bundle:
    """The bundle's graph in a folder of its own, with these tensors as its outputs."""
    bundle, manifest = side.bundle, side.bundle.manifest
    present = {output.name for output in manifest.outputs}
    graph = side.graph() + outputs_message([name for name in names if name not in present])
    (folder / "graph.onnx").write_bytes(graph)
    beside = (bundle.root / manifest.graph).parent
    for entry in manifest.files:
        path = bundle.root / entry.path
        # weights lie beside the graph that names them
        if entry.path != manifest.graph and path.suffix == ".data" and path.parent == beside:
            _link(path, folder / path.name)
    outputs = tuple(TensorSpec(name, "float32", ()) for name in names)
    return Bundle(folder, replace(manifest, graph="graph.onnx", outputs=outputs))


def outputs_message(names: Sequence[str]) -> bytes:
    """What goes behind an ONNX file to make outputs of tensors; runtimes infer their types."""
    outputs = b"".join(_field(_OUTPUT, _field(_NAME, name.encode())) for name in names)
    return _field(_GRAPH, outputs)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
