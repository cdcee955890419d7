"""`bom.cdx.json`: what a bundle is made of and what it needs to run, as CycloneDX 1.6 writes it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from edge_ser.bundle.documents import facts, uses
from edge_ser.bundle.documents.check import HASH
from edge_ser.bundle.documents.licences import spdx
from edge_ser.bundle.manifest import FileEntry, Manifest
from edge_ser.bundle.parity_record import ParityRecord
from edge_ser.printable import printable

_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_PACKAGE = "edge-ser"
# A requirement without conditions, as a package's metadata has it: name and versions.
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*)$")

Json = dict[str, Any]


def bill_of_materials(
    manifest: Manifest, record: ParityRecord | None, files: Sequence[FileEntry]
) -> str:
    """The document.

    Args:
        manifest: of the bundle.
        record: of its proof; None: it has none.
        files: every file of the bundle besides this one and the manifest, which names this one.
    """
    libraries, data = _libraries(manifest), _data(manifest, record)
    origin = manifest.provenance
    metadata: Json = {"component": _model(manifest, data, files)}
    if origin.date is not None and _is_date(origin.date):
        metadata["timestamp"] = origin.date
    if _PACKAGE in origin.versions:
        tool = {"type": "application", "name": _PACKAGE, "version": origin.versions[_PACKAGE]}
        metadata["tools"] = {"components": [tool]}
    document = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, _content(manifest, files)).urn,
        "version": 1,
        "metadata": metadata,
        "components": [*libraries, *data],
        "dependencies": [
            {"ref": "model", "dependsOn": [library["bom-ref"] for library in libraries]}
        ],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _content(manifest: Manifest, files: Sequence[FileEntry]) -> str:
    """What a serial number is made of: the same bundle has the same one."""
    return "\n".join([manifest.name, *(f"{f.path} {f.sha256}" for f in files)])


def _model(manifest: Manifest, data: Sequence[Json], files: Sequence[FileEntry]) -> Json:
    component: Json = {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": manifest.name,
        "description": printable(facts.summary(manifest)),
        "modelCard": _model_card(manifest, data),
        "properties": _properties(
            [
                *facts.model_rows(manifest),
                *facts.origin_rows(manifest),
            ]
        ),
        "components": [
            {
                "type": "file",
                "bom-ref": f"file:{entry.path}",
                "name": entry.path,
                "hashes": [{"alg": HASH, "content": entry.sha256}],
                "properties": _properties([("bytes", str(entry.bytes))]),
            }
            for entry in files
        ],
    }
    licence = facts.licence(manifest)
    if licence:
        identifier = spdx(licence)
        name = {"name": licence} if identifier is None else {"id": identifier}
        component["licenses"] = [{"license": name}]
    return component


def _model_card(manifest: Manifest, data: Sequence[Json]) -> Json:
    encoder = manifest.architecture.get("config", {}).get("encoder", {}).get("kind")
    parameters: Json = {
        "task": f"speech emotion recognition: {facts.task(manifest)}",
        **({"architectureFamily": encoder} if isinstance(encoder, str) else {}),
        "modelArchitecture": printable(facts.summary(manifest)),
        "datasets": [{"ref": component["bom-ref"]} for component in data],
        "inputs": _formats(f"{t.name}: {t.dtype} {list(t.shape)}" for t in manifest.inputs),
        "outputs": _formats(f"{t.name}: {t.dtype} {list(t.shape)}" for t in manifest.outputs),
    }
    return {
        "modelParameters": parameters,
        "quantitativeAnalysis": {"performanceMetrics": _metrics(manifest)},
        "considerations": {
            "useCases": list(uses.INTENDED),
            "technicalLimitations": list(uses.LIMITS),
            "ethicalConsiderations": [{"name": _unmarked(text)} for text in uses.PROHIBITED],
        },
    }


def _formats(descriptions: Any) -> list[Json]:
    return [{"format": text} for text in descriptions]


def _unmarked(text: str) -> str:
    return text.replace("**", "")


def _metrics(manifest: Manifest) -> list[Json]:
    """What was measured of the bundle, each with what it was measured against."""
    parity = manifest.parity
    if parity is None:
        return []
    checkpoint = "against the checkpoint"
    metrics = [
        _metric(f"largest difference of {figure}, on 0 to 1", value, checkpoint)
        for figure, value in (
            ("a dimension", parity.vad_max),
            ("a probability", parity.probability_max),
        )
        if value is not None
    ]
    if parity.agreement is not None:
        group = f"{checkpoint}, group {parity.agreement.group}"
        ccc = parity.agreement.ccc or {}
        metrics += [_metric(f"CCC of {name}", value, group) for name, value in ccc.items()]
    if parity.labels is not None:
        against = f"against labels of {parity.labels.count} utterances"
        after = parity.labels.after
        metrics += [_metric(f"CCC of {name}", value, against) for name, value in after.items()]
    return metrics


def _metric(kind: str, value: float, against: str) -> Json:
    return {"type": kind, "value": f"{value:.6g}", "slice": against}


# --- what it was made with, and what it needs


def _data(manifest: Manifest, record: ParityRecord | None) -> list[Json]:
    """Speech that the model learnt from, and that the bundle was made and proved with."""
    components = []
    learnt = manifest.provenance.checkpoint.trained_on
    if learnt is not None:
        components.append(_dataset("training", "training", learnt, []))
    calibration = manifest.lowered.calibration if manifest.lowered is not None else None
    if calibration is not None:
        rows = [(k, str(v)) for k, v in vars(calibration).items() if v not in (None, (), "")]
        words = facts.calibration_words(manifest)
        components.append(_dataset("calibration", facts.stated(calibration.source), words, rows))
    speech = None if record is None else record.speech
    for number, (use, files) in enumerate(facts.speeches(speech), 1):
        rows = [(name, f"sha256 {digest}") for name, digest in files.files]
        components.append(_dataset(f"proof-{number}", files.source, f"proof: {use}", rows))
    return components


def _dataset(ref: str, name: str, description: str, rows: Sequence[tuple[str, str]]) -> Json:
    name, description = printable(name), printable(description)
    contents = {"properties": _properties(rows)}
    return {
        "type": "data",
        "bom-ref": f"data:{ref}",
        "name": name,
        "description": description,
        "data": [{"type": "dataset", "name": name, "contents": contents}],
    }


def _libraries(manifest: Manifest) -> list[Json]:
    """What runs the bundle: this package, what it asks for, and an engine's library."""
    versions = manifest.provenance.versions
    libraries = [_library(_PACKAGE, versions.get(_PACKAGE), "", on_index=False)]
    for requirement in _requirements():
        match = _REQUIREMENT.match(requirement)
        if match is not None:  # without a condition: what an extra brings, no device needs
            name, asked = match[1], match[2].strip()
            libraries.append(_library(name, versions.get(name), asked))
    engine = manifest.engine
    if engine is not None:
        libraries.append(_library(engine.library, engine.version or None, "", on_index=False))
    return libraries


def _requirements() -> list[str]:
    try:
        return importlib.metadata.requires(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:  # run from its sources
        return []


def _library(name: str, version: str | None, asked: str, on_index: bool = True) -> Json:
    """A library.

    Args:
        name: of it.
        version: that the bundle was made and proved with; None: not told.
        asked: versions that this package asks for.
        on_index: whether it is found by its name on PyPI.
    """
    component: Json = {
        "type": "library",
        "bom-ref": f"library:{name}",
        "name": name,
        "scope": "required",
    }
    if version is not None:
        component["version"] = version
    if on_index:
        known = "" if version is None else f"@{version}"
        component["purl"] = f"pkg:pypi/{name.lower()}{known}"
    rows = [("asked for", asked)] if asked else []
    rows += [] if version is not None else [("version made with", facts.NOT_STATED)]
    return component | ({"properties": _properties(rows)} if rows else {})


def _properties(rows: Sequence[tuple[str, str]]) -> list[Json]:
    return [{"name": f"{_PACKAGE}:{printable(k)}", "value": printable(v)} for k, v in rows]


def _is_date(text: str) -> bool:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).tzinfo is not None
    except ValueError:
        return False
