"""A bundle of a few kilobytes, from which inputs are made."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import GOLDEN, MANIFEST
from edge_ser.bundle.golden import Golden
from edge_ser.bundle.manifest import FileEntry, Manifest, TensorSpec
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs

GRAPH = "model.onnx"
# In an input of several parts.
BETWEEN = b"\0\xff\0"


@functools.cache
def graph() -> bytes:
    """vad = mean of samples * weights, and logits of the same mean."""
    nodes = [
        helper.make_node("ReduceMean", ["samples", "axes"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "weights"], ["vad"]),
        helper.make_node("Cast", ["lengths"], ["unused"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["mean", "ramp"], ["region_logits"]),
    ]
    value = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            nodes, "small",
            [value("samples", TensorProto.FLOAT, ["batch", "n"]),
             value("lengths", TensorProto.INT64, ["batch"])],
            [value("vad", TensorProto.FLOAT, ["batch", 3]),
             value("region_logits", TensorProto.FLOAT, ["batch", 8])],
            [numpy_helper.from_array(np.array([[0.1, 0.2, 0.3]], np.float32), "weights"),
             numpy_helper.from_array(np.array([1], np.int64), "axes"),
             numpy_helper.from_array(np.arange(8, dtype=np.float32)[None], "ramp")],
        ),
        opset_imports=[helper.make_opsetid("", 18)], ir_version=9,
    )  # fmt: skip
    return bytes(model.SerializeToString())


@functools.cache
def manifest() -> Manifest:
    """Of a float32 bundle without evidence of its export; files are not listed yet."""
    bundle = Bundle.open(DEFAULT_BUNDLE)
    bundle.close()
    inputs = (
        TensorSpec("samples", "float32", ("batch", "n")), TensorSpec("lengths", "int64", ("batch",))
    )  # fmt: skip
    return dataclasses.replace(bundle.manifest, name="small", graph=GRAPH, inputs=inputs)


@functools.cache
def golden() -> bytes:
    """Recorded answers to one short utterance."""
    from edge_ser.scratch import scratch_folder

    with scratch_folder() as work:
        answers = Outputs.of(np.zeros((1, 3), np.float32), np.zeros((1, 8), np.float32))
        Golden(["one"], [np.full(16, 3277, np.int16)], answers).save(work / GOLDEN)
        return (work / GOLDEN).read_bytes()


@functools.cache
def _described() -> dict[str, object]:
    """The manifest as JSON."""
    return dict(json.loads(manifest().to_json()))


def sealed(files: Mapping[str, bytes], text: bytes | None = None) -> dict[str, bytes]:
    """All files of a bundle: sizes and hashes in its manifest are those of the others.

    Args:
        files: by name.
        text: of the manifest whose list is made anew; None: of `manifest`.

    Raises:
        ValueError: the text is no JSON object.
    """
    listed = [
        FileEntry(name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
    ]
    data = dict(_described()) if text is None else json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("no object")
    data["files"] = [dataclasses.asdict(entry) for entry in listed]
    return {**files, MANIFEST: json.dumps(data).encode()}


@functools.cache
def whole() -> dict[str, bytes]:
    """The bundle itself."""
    return sealed({GRAPH: graph(), GOLDEN: golden()})


def packed(parts: Sequence[bytes]) -> bytes:
    """A .zip of names and contents in turn, stored, so that mutations of them keep its sums right.

    Raises:
        ValueError: a name that no .zip has.
    """
    file = io.BytesIO()
    names = [part.decode("utf-8", "replace") for part in parts[::2]]
    if not all(name.partition("\0")[0] for name in names):
        raise ValueError("no name")
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in dict(zip(names, parts[1::2], strict=False)).items():
            archive.writestr(name, content)
    return file.getvalue()


def new_folder() -> Path:
    """A folder for files that inputs are written to, which goes with the process."""
    folder = tempfile.TemporaryDirectory(prefix="edge-ser-fuzz-")
    _folders.append(folder)
    return Path(folder.name)


# As long as the process lives.
_folders: list[tempfile.TemporaryDirectory[str]] = []
