"""Models of a hub, from its cache: by name, by commit, as a directory, with licence and origin."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.hub_cache import CARD, COMMIT, NAME, lay_out, offline
from helpers.tiny_models import Published, noise, published_classifier, run_one

from edge_ser.errors import CheckpointError, UsageError
from edge_ser_export.checkpoints.hub import Snapshot, is_hub_id, resolve, snapshot_of
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.command import spell_command
from edge_ser_export.options import ExportOptions


@pytest.fixture
def published() -> Published:
    return published_classifier("hubert", id2label={0: "angry", 1: "calm"})


@pytest.fixture
def cache(published: Published, tmp_path: Path) -> Path:
    return lay_out(published, tmp_path)


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_name_is_found_in_the_cache(cache: Path, published: Published, revision: str) -> None:
    path = resolve(NAME, revision, offline(cache))
    assert path == str(cache / "models--lab--voices--v2" / "snapshots" / COMMIT)
    checkpoint = load_checkpoint(path)
    assert checkpoint.origin == Snapshot(NAME, COMMIT, "apache-2.0")
    x = noise(4000)
    torch.testing.assert_close(
        run_one(checkpoint.model, x)[0], published.answer(x), atol=1e-5, rtol=0
    )
    home = {"HF_HOME": str(cache.parent), "HF_HUB_OFFLINE": "true"}
    assert resolve(NAME, revision, home) == path


def test_the_command_names_repository_and_commit(cache: Path) -> None:
    path = resolve(NAME, None, offline(cache))
    assert spell_command(ExportOptions(path)).startswith(
        f"edge-ser export {NAME} --revision {COMMIT} --target onnx-fp32"
    )


@pytest.mark.parametrize(
    ("name", "revision", "words"),
    [
        (
            NAME,
            "v9",
            "expected a path, or a snapshot in the cache, as the hub is not asked, found none in",
        ),
        ("lab/other", None, "expected a path, or a snapshot in the cache"),
        (NAME, "../../etc", "expected a branch, a tag or a commit"),
        ("spectral", "main", "expected the name of a repository of the hub before it"),
    ],
)
def test_what_is_not_there_is_said(
    cache: Path, name: str, revision: str | None, words: str
) -> None:
    with pytest.raises((CheckpointError, UsageError), match=words):
        resolve(name, revision, offline(cache))


def test_paths_are_no_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    assert is_hub_id("lab/voices")
    for path in ("runs/best", "/lab/voices", "./voices", "a/b/c", "voices", "../lab", "lab/../x"):
        assert not is_hub_id(path)
        assert resolve(path) == path


def test_the_hub_is_asked_for_what_a_checkpoint_consists_of_and_for_no_code(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording stands in for the hub, which no test reaches."""
    asked: list[tuple[Any, ...]] = []

    def snapshot_download(name: str, revision: str, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        if name != NAME:
            raise OSError(f"404 Client Error.\nRepository Not Found: {name}")
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert resolve(NAME, "v1", {}) == str(cache)
    name, revision, patterns = asked[0]
    assert (name, revision) == (NAME, "v1")
    assert "*.safetensors" in patterns and not any(p.endswith((".py", "*")) for p in patterns)
    with pytest.raises(
        CheckpointError, match=r"of the hub OSError: 404 Client Error. Repository Not"
    ):
        resolve("lab/none", None, {})


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        (CARD, "apache-2.0"),
        ("---\nlicense: other\nlicense_name: lab-terms\n---\n", "lab-terms"),
        ("---\nlicense: 'cc-by-nc-4.0'\n---\n", "cc-by-nc-4.0"),
        ("---\nlicense: unknown\n---\n", None),
        ("# Voices\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_licences_of_cards(cache: Path, card: str, licence: str | None) -> None:
    path = Path(resolve(NAME, None, offline(cache)))
    (path / "README.md").write_text(card)
    snapshot = snapshot_of(path)
    assert snapshot is not None and snapshot.licence == licence
