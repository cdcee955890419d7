"""The manifest's record of a TensorRT engine: kept as it is, and refused where it is not one."""

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from helpers.bundle_files import TinyBundle
from helpers.manifest_parts import part
from test_manifest import DOCUMENT, MANIFEST, read

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import Census, Engine
from edge_ser.bundle.files import graph_sha256, sha256
from edge_ser.bundle.writing import seal
from edge_ser.errors import BundleError

ENGINE: dict[str, Any] = {
    "file": "model.engine",
    "graph": "model.onnx",
    "graph_sha256": "ab" * 32,
    "backend": "rtx",
    "version": "1.7.1.116",
    "precision": "fp16",
    "sm": ["sm86", "sm89"],
    "device": "rtx-3060, rtx-4090",
    "profiles": [{"batch": [1, 1, 8], "samples": [400, 48_000, 192_000]}],
    "io": [{"name": "samples", "dtype": "float32", "mode": "input"}],
    "build_seconds": 3,
    "weight_bytes": 10,
    "activation_bytes": 20,
    "census": {**asdict(Census(layers={"fp16": 3})), "elsewhere": []},
    "share": 0.99,
    "verified": False,
}


ORDER = r"expected \[least, most common, largest\], from 1 on"


def profile(batch: list[int]) -> dict[str, list[int]]:
    return {"batch": batch, "samples": [1, 2, 3]}


def test_an_engine_is_read_as_it_was_written() -> None:
    document = {**copy.deepcopy(DOCUMENT), "engine": ENGINE}
    manifest = read(document)
    assert manifest.engine == part(Engine, ENGINE)
    assert json.loads(manifest.to_json())["engine"] == ENGINE


def test_without_an_engine_earlier_versions_read_it() -> None:
    assert "engine" not in DOCUMENT
    assert read(DOCUMENT).engine is None is MANIFEST.engine


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("file", 3, "engine: file: expected text, found 3"),
        ("share", "much", "engine: share: expected a finite number, found 'much'"),
        ("weight_bytes", True, "engine: weight_bytes: expected a whole number, found True"),
        ("verified", 1, "engine: verified: expected true or false, found 1"),
        ("census", [], r"engine: census: expected an object, found \[\]"),
        ("backend", "cuda", "engine: backend: expected one of rtx, tensorrt, found 'cuda'"),
        ("sm", [], "engine: sm: expected names such as sm86"),
        ("sm", [86], r"engine: sm\[0\]: expected text, found 86"),
        ("profiles", [], "engine: profiles: expected at least one, found none"),
        ("profiles", [{"batch": [1] * 3}], r"engine: profiles\[0\]: expected a field `samples`"),
        ("profiles", [profile([1, 1])], r"engine: profiles\[0\]: batch: expected a list of 3"),
        ("profiles", [profile([2, 1, 3])], rf"engine: profiles\[0\]: batch: {ORDER}"),
        ("profiles", [profile([0, 1, 3])], rf"engine: profiles\[0\]: batch: {ORDER}"),
        (
            "profiles",
            [profile([1, 1, True])],
            r"engine: profiles\[0\]: batch\[2\]: expected a whole",
        ),
        ("io", ["samples"], r"engine: io\[0\]: expected an object, found 'samples'"),
        ("io", [{"name": "samples"}], r"engine: io\[0\]: expected a field `dtype`, found none"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: object, words: str) -> None:
    with pytest.raises(BundleError, match=f"m.json: {words}"):
        read({**DOCUMENT, "engine": ENGINE | {name: value}})


def test_fields_are_all_there_and_no_others() -> None:
    short = {k: v for k, v in ENGINE.items() if k != "share"}
    with pytest.raises(BundleError, match=r"m.json: engine: expected a field `share`, found none"):
        read({**DOCUMENT, "engine": short})
    with pytest.raises(
        BundleError, match=r"m.json: engine: expected known fields only, found colour"
    ):
        read({**DOCUMENT, "engine": ENGINE | {"colour": 1}})


# --- in a bundle


def with_engine(tiny_bundle: TinyBundle, **changes: Any) -> Path:
    path: Path = tiny_bundle()
    manifest = Bundle.open(path).manifest
    (path / "model.engine").write_bytes(b"vtrt")
    seal(path, manifest.with_parts(engine=part(Engine, ENGINE | changes)))
    return path


def test_the_engine_is_a_file_of_the_bundle(tiny_bundle: TinyBundle) -> None:
    path = with_engine(tiny_bundle)
    assert "model.engine" in {f.path for f in Bundle.open(path).manifest.files}
    (path / "model.engine").write_bytes(b"vtrx")
    with pytest.raises(BundleError, match=r"model\.engine: expected sha256"):
        Bundle.open(path)
    (path / "model.engine").unlink()
    with pytest.raises(BundleError, match=r"model\.engine: expected a file of the bundle"):
        Bundle.open(path)


def test_an_engine_that_no_hash_vouches_for(tiny_bundle: TinyBundle) -> None:
    path = with_engine(tiny_bundle, file="other.engine")
    with pytest.raises(BundleError, match=r"expected the engine other\.engine among its files"):
        Bundle.open(path)


def test_a_typed_graph_that_no_hash_vouches_for(tiny_bundle: TinyBundle) -> None:
    path = with_engine(tiny_bundle, graph="typed.onnx")
    with pytest.raises(BundleError, match=r"expected the graph typed\.onnx among its files"):
        Bundle.open(path)


def test_a_bundle_without_its_engine_yet(tiny_bundle: TinyBundle) -> None:
    assert Bundle.open(with_engine(tiny_bundle, file="")).manifest.engine.file == ""


def test_an_engine_without_its_manifest(tmp_path: Path) -> None:
    (tmp_path / "model.engine").write_bytes(b"vtrt")
    with pytest.raises(
        BundleError, match=r"model\.engine: expected a bundle .a directory or \.zip"
    ):
        Bundle.open(tmp_path / "model.engine")


def test_the_hash_of_a_graph_covers_its_weights(tmp_path: Path) -> None:
    graph, weights = tmp_path / "g.onnx", tmp_path / "g.onnx.data"
    graph.write_bytes(b"graph")
    alone = graph_sha256(graph)
    assert alone == sha256(graph)
    weights.write_bytes(b"weights")
    both = graph_sha256(graph)
    joined = tmp_path / "joined"
    joined.write_bytes(b"graphweights")
    assert both == sha256(joined) != alone
