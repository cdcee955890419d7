"""The manifest of a bundle: everything a device must know, as one validated JSON document."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from edge_ser.audio import Preprocessing
from edge_ser.bundle.engine import Engine
from edge_ser.bundle.evidence import Lowering, ParitySummary
from edge_ser.bundle.provenance import Provenance
from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import BundleError
from edge_ser.fidelity.limits import Limits
from edge_ser.typed_json import Reader

SCHEMA_VERSION = 1
_READER = Reader(BundleError)


@dataclass(frozen=True)
class FileEntry:
    """A file of the bundle: path relative to its root, with "/" as separator."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of the graph.

    Attributes:
        name: of the tensor.
        dtype: numpy's name.
        shape: a number, or the name of a dynamic dimension, per axis.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds and how to use it.

    Attributes:
        name: of the model.
        family: model family, such as `emosphere-ser`.
        architecture: one line for people, and the configuration it was built from.
        target: export target, such as `onnx-fp32`.
        precision: of the computation.
        weight_storage: type of the stored weights; wider ones lose nothing by it.
        opset: of the ONNX graph.
        graph: path of the ONNX file.
        inputs: tensors of the graph.
        outputs: `vad`, and `region_logits` where the model has a region head.
        preprocessing: from audio to `samples`.
        partition: regions of the head and of the geometric answer.
        limits: of `verify`.
        files: every other file of the bundle.
        provenance: where the weights came from and what made the bundle.
        parity: summary of the comparison with the reference at export time; None: not compared.
        max_batch: rows that may share a run of the graph, where they would change each other's
            answers; None: any number.
        lowered: how precision was lowered and the evidence for it; None where it was not.
        engine: the TensorRT engine beside the graph; None where there is none.
        licence: of the weights.
    """

    name: str
    family: str
    architecture: dict[str, Any]
    target: str
    precision: str
    weight_storage: str
    opset: int
    graph: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing
    partition: Partition
    limits: Limits
    licence: str
    files: tuple[FileEntry, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    parity: ParitySummary | None = None
    lowered: Lowering | None = None
    max_batch: int | None = None
    engine: Engine | None = None

    @property
    def has_region_head(self) -> bool:
        """Whether the model names regions itself."""
        return any(o.name == "region_logits" for o in self.outputs)

    def to_json(self) -> str:
        """The document, indented for people."""
        data = {"schema": SCHEMA_VERSION, **dataclasses.asdict(self)}
        # without what is not set, so that earlier versions read the manifests they understand
        data["limits"] = self.limits.to_dict()
        data["provenance"] = self.provenance.to_dict()
        data["parity"] = self.parity.to_dict() if self.parity is not None else {}
        data["lowered"] = self.lowered.to_dict() if self.lowered is not None else {}
        if self.engine is None:
            del data["engine"]
        else:
            data["engine"] = self.engine.to_dict()
        data["task"] = {
            "dimensions": list(DIMENSIONS),
            "model_range": [0, 1],
            "score_range": [SCORE_MIN, SCORE_MAX],
            "score": "clip(6 * vad + 1, 1, 7)",
        }
        data["regions"] = [r.to_dict() for r in self.partition.regions]
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> Manifest:
        """Read and check a document.

        Args:
            text: the JSON.
            source: named in errors.

        Raises:
            BundleError: not JSON, another schema version, or a field that is missing or wrong.
        """
        data = _READER.parse(text, source)
        if not isinstance(data, dict):
            raise BundleError(source, expected="a JSON object", found=type(data).__name__)
        version = data.get("schema")
        if version != SCHEMA_VERSION:
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            raise BundleError(
                source,
                expected=f"manifest schema {SCHEMA_VERSION}",
                found=f"schema {version}",
                advice="upgrade edge-ser" if newer else "export the model again",
            )
        _check_task(data, source)
        told = {"schema", "task", "regions"}  # for other readers; here the code knows them
        absent = {name for name in ("parity", "lowered", "engine") if data.get(name) == {}}
        fields = {k: v for k, v in data.items() if k not in told | absent}
        manifest = _READER.read(cls, fields, source)
        _check_sense(manifest, source)
        return manifest


def _check_task(data: dict[str, Any], source: str) -> None:
    task = data.get("task")
    dimensions = task.get("dimensions") if isinstance(task, dict) else None
    if dimensions != list(DIMENSIONS):
        raise BundleError(
            source, expected=f"task.dimensions {list(DIMENSIONS)}", found=f"{dimensions!r:.80}"
        )


def _check_sense(manifest: Manifest, source: str) -> None:
    """What parts must agree on; what a part alone must be is checked as it is built."""
    outputs = {o.name: o.shape for o in manifest.outputs}
    if outputs.get("vad", ())[-1:] != (3,):
        raise BundleError(source, expected="an output vad [batch, 3]", found=f"{outputs}")
    if manifest.max_batch is not None and manifest.max_batch < 1:
        raise BundleError(source, expected="max_batch >= 1", found=str(manifest.max_batch))
    regions = len(manifest.partition.regions)
    if "region_logits" in outputs and outputs["region_logits"][-1:] != (regions,):
        raise BundleError(
            source,
            expected=f"region_logits [batch, {regions}] for the partition",
            found=f"{list(outputs['region_logits'])}",
        )
