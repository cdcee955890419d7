"""The manifest of a bundle: everything a device must know, as one validated JSON document.

What a model needs to answer is read and checked at once. Its evidence - provenance, parity, how
precision was lowered - is read and checked when it is asked for, as predicting does without it.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from edge_ser.audio import Preprocessing
from edge_ser.audio.sound import SoundLimits
from edge_ser.bundle.files import sha256
from edge_ser.bundle.limits import MAX_BUNDLE_BYTES, MAX_FILES, check_at_most
from edge_ser.emotion.heads import HEADS, Head, describe_heads
from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import BundleError
from edge_ser.fidelity.limits import Limits
from edge_ser.printable import printable
from edge_ser.typed_json import Reader

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypedDict

    from typing_extensions import Unpack

    from edge_ser.bundle.engine import Engine
    from edge_ser.bundle.evidence import Lowering, ParitySummary
    from edge_ser.bundle.provenance import Provenance

    class Parts(TypedDict, total=False):
        """Parts of a manifest that are read when they are asked for; see `Manifest`."""

        provenance: Provenance
        parity: ParitySummary | None
        lowered: Lowering | None
        engine: Engine | None


T = TypeVar("T")

SCHEMA_VERSION = 2
# Version 1 does not name its heads.
_HEADLESS_VERSION = 1
# Kinds of heads of which a model has one at least.
_ANSWERS = {"dimensions", "categories"}
_READER = Reader(BundleError)
_EVIDENCE = ("provenance", "parity", "lowered")
_PARTS = (*_EVIDENCE, "engine")


@dataclass(frozen=True)
class FileEntry:
    """A file of the bundle: path relative to its root, with "/" as separator."""

    path: str
    bytes: int
    sha256: str


def file_entry(root: Path, path: Path) -> FileEntry:
    """A file as it is now.

    Args:
        root: of the bundle.
        path: of the file, under `root`.
    """
    return FileEntry(path.relative_to(root).as_posix(), path.stat().st_size, sha256(path))


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
        outputs: tensors of the graph.
        heads: what the outputs mean.
        preprocessing: from audio to `samples`.
        partition: regions of the head and of the geometric answer.
        limits: of `verify`.
        licence: of the weights.
        files: every other file of the bundle.
        max_batch: rows that may share a run of the graph, where they would change each other's
            answers; None: any number.
        sound: from where on a recording is poor for this model; None: the usual limits.
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
    heads: tuple[Head, ...]
    preprocessing: Preprocessing
    partition: Partition
    limits: Limits
    licence: str
    files: tuple[FileEntry, ...] = ()
    max_batch: int | None = None
    sound: SoundLimits | None = None
    # `Parts` as JSON has them, without what is absent; and where they were read, for errors
    _parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _source: str = field(default="manifest", compare=False, repr=False)

    # --- what is read when it is asked for; each raises BundleError for what it is not

    @cached_property
    def provenance(self) -> Provenance:
        """Where the weights came from and what made the bundle."""
        from edge_ser.bundle.provenance import Provenance

        return self._part("provenance", Provenance) or Provenance()

    @cached_property
    def parity(self) -> ParitySummary | None:
        """Summary of the comparison with the reference at export time; None: not compared."""
        from edge_ser.bundle.evidence import ParitySummary

        return self._part("parity", ParitySummary)

    @cached_property
    def lowered(self) -> Lowering | None:
        """How precision was lowered and the evidence for it; None where it was not."""
        from edge_ser.bundle.evidence import Lowering

        return self._part("lowered", Lowering)

    @cached_property
    def engine(self) -> Engine | None:
        """The TensorRT engine beside the graph; None where there is none."""
        if "engine" not in self._parts:
            return None
        from edge_ser.bundle.engine import Engine

        return self._part("engine", Engine)

    def _part(self, name: str, kind: type[T]) -> T | None:
        data = self._parts.get(name)
        return None if data is None else _READER.read(kind, data, f"{self._source}: {name}")

    def with_parts(self, **parts: Unpack[Parts]) -> Manifest:
        """The same with other parts; None takes one out."""
        given: dict[str, Any] = dict(parts)
        data = {k: v for k, v in self._parts.items() if k not in given}
        for name, part in given.items():
            if part is not None:
                # as it will be read back: tuples are lists there
                data[name] = json.loads(json.dumps(part.to_dict()))
        return dataclasses.replace(self, _parts=data)

    def check_evidence(self) -> None:
        """Read all evidence, whether or not it is used afterwards.

        Raises:
            BundleError: some of it is not what it must be.
        """
        for name in _EVIDENCE:
            getattr(self, name)

    @property
    def has_region_head(self) -> bool:
        """Whether the model names regions itself."""
        return any(head.kind == "regions" for head in self.heads)

    @property
    def has_dimensions(self) -> bool:
        """Whether the model answers on the scales of arousal, dominance and valence."""
        return any(head.kind == "dimensions" for head in self.heads)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories that the model tells apart, in its order; empty without any."""
        return next((head.names for head in self.heads if head.kind == "categories"), ())

    def to_json(self) -> str:
        """The document, indented for people."""
        data = {"schema": SCHEMA_VERSION, **dataclasses.asdict(self)}
        # without what is not set, so that earlier versions read the manifests they understand
        data["limits"] = self.limits.to_dict()
        if self.sound is None:
            del data["sound"]
        parts = data.pop("_parts")
        del data["_source"]
        data |= {name: {} for name in _EVIDENCE} | parts
        data["task"] = {}
        if self.has_dimensions:
            data["task"] |= {
                "dimensions": list(DIMENSIONS),
                "model_range": [0, 1],
                "score_range": [SCORE_MIN, SCORE_MAX],
                "score": "clip(6 * vad + 1, 1, 7)",
            }
            data["regions"] = [r.to_dict() for r in self.partition.regions]
        if self.categories:
            data["task"] |= {
                "categories": list(self.categories),
                "probabilities": "softmax(category_logits)",
            }
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, source: str) -> Manifest:
        """Read and check a document.

        Args:
            text: the JSON.
            source: named in errors.

        Raises:
            BundleError: not JSON, another schema version, or a field that is missing or wrong;
                evidence is read when it is asked for.
        """
        data = _printable(_READER.parse(text, source))
        if not isinstance(data, dict):
            raise BundleError(source, expected="a JSON object", found=type(data).__name__)
        version = data.get("schema")
        if version not in (_HEADLESS_VERSION, SCHEMA_VERSION):
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            raise BundleError(
                source,
                expected=f"manifest schema {SCHEMA_VERSION}",
                found=f"schema {version}",
                advice="upgrade edge-ser" if newer else "export the model again",
            )
        for_other_readers = {
            "schema",
            "task",
            "regions",
        }  # for other readers; here the code knows them
        fields = {k: v for k, v in data.items() if k not in (*_PARTS, *for_other_readers)}
        if version == _HEADLESS_VERSION:
            manifest = _with_heads(_READER.read(cls, fields | {"heads": []}, source))
        else:
            manifest = _READER.read(cls, fields, source)
        if manifest.has_dimensions:
            _check_task(data, source)
        manifest = dataclasses.replace(manifest, _parts=_parts(data, source), _source=source)
        _check_sense(manifest, source)
        return manifest


def _printable(data: object) -> object:
    """The same data without characters that a terminal obeys, or that would begin another line."""
    if isinstance(data, str):
        return data if data.isprintable() else printable(data)
    if isinstance(data, list):
        return [_printable(item) for item in data]
    if isinstance(data, dict):
        return {_printable(key): _printable(value) for key, value in data.items()}
    return data


def _check_task(data: dict[str, Any], source: str) -> None:
    task = data.get("task")
    dimensions = task.get("dimensions") if isinstance(task, dict) else None
    if dimensions != list(DIMENSIONS):
        raise BundleError(
            source, expected=f"task.dimensions {list(DIMENSIONS)}", found=f"{dimensions!r:.80}"
        )


def _parts(data: dict[str, Any], source: str) -> dict[str, dict[str, Any]]:
    """The parts that are there, as JSON has them; {} stands for one that is not."""
    present = {name: data[name] for name in _PARTS if data.get(name) not in (None, {})}
    for name, part in present.items():
        _READER.read(dict[str, Any], part, f"{source}: {name}")
    return present


def _with_heads(manifest: Manifest) -> Manifest:
    """What was read of a document of version 1, with the heads that its outputs stand for."""
    names = [HEADS["dimensions"].output, *(output.name for output in manifest.outputs)]
    return dataclasses.replace(manifest, heads=describe_heads(names, manifest.partition))


def _check_sense(manifest: Manifest, source: str) -> None:
    """What parts must agree on; what a part alone must be is checked as it is built."""
    paths = [entry.path for entry in manifest.files]
    where = f"{source}: files"
    check_at_most(len(paths), MAX_FILES, "files", where)
    check_at_most(sum(f.bytes for f in manifest.files), MAX_BUNDLE_BYTES, "bytes in all", where)
    if len(set(paths)) < len(paths) or any(entry.bytes < 0 for entry in manifest.files):
        raise BundleError(where, expected="each file once, with its size", found="otherwise")
    _ = manifest.engine  # a device computes with it, so that it is no evidence
    if manifest.max_batch is not None and manifest.max_batch < 1:
        raise BundleError(source, expected="max_batch >= 1", found=str(manifest.max_batch))
    if (
        manifest.limits.flip_rate is None
    ):  # only of what was too few to judge: see `Limits.of_count`
        raise BundleError(f"{source}: limits.flip_rate", expected="a finite number", found="null")
    shapes = {output.name: list(output.shape) for output in manifest.outputs}
    kinds = [head.kind for head in manifest.heads]
    expected_kinds = [head.kind for head in describe_heads(shapes, manifest.partition)]
    missing = not set(expected_kinds) <= set(kinds)
    if missing or not _ANSWERS & set(kinds) or len(set(kinds)) < len(kinds):
        raise BundleError(
            f"{source}: heads",
            expected=f"one each of {', '.join(expected_kinds or sorted(_ANSWERS))}",
            found=", ".join(kinds) or "none",
        )
    for index, head in enumerate(manifest.heads):
        _check_head(head, manifest.partition, f"{source}: heads[{index}]")
        if shapes.get(head.output, [])[-1:] != [len(head.names)]:
            raise BundleError(
                f"{source}: outputs",
                expected=f"{head.output} [batch, {len(head.names)}] for the head {head.kind}",
                found=", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none",
            )


def _check_head(head: Head, partition: Partition, where: str) -> None:
    """Whether a head is what its kind says, for the regions of the model."""
    kind = HEADS[head.kind]
    names = head.names if kind.names is None else kind.names(partition)
    if head.output != kind.output:
        raise BundleError(f"{where}: output", expected=kind.output, found=head.output)
    if len(head.names) != len(names):
        raise BundleError(
            f"{where}: names", expected=f"{len(names)} names", found=str(len(head.names))
        )
    for position, (name, expected) in enumerate(zip(head.names, names, strict=True)):
        if name != expected:
            raise BundleError(f"{where}: names[{position}]", expected=expected, found=name)
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise BundleError(
            f"{where}: names", expected="several, each of its own", found=", ".join(names) or "none"
        )
