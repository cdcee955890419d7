"""`edge-ser export ORG/NAME`: what is said and recorded of a hub's model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.hub_cache import COMMIT, NAME, lay_out, offline
from helpers.tiny_models import published_classifier

from edge_ser.bundle.bundle import Bundle

Cli = Callable[..., Any]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = lay_out(published_classifier("hubert", id2label={0: "angry", 1: "calm"}), tmp_path)
    for key, value in offline(cache).items():
        monkeypatch.setenv(key, value)
    return cache


def test_an_export_records_where_its_weights_are_from(
    cli: Cli, cache: Path, tmp_path: Path
) -> None:
    done = cli("export", NAME, "--out", tmp_path / "b")
    assert done.code == 0
    assert f"from {NAME} at {COMMIT}, licence apache-2.0" in done.out
    told = cli("inspect", tmp_path / "b").out
    assert f"{NAME} at {COMMIT}" in told and "apache-2.0 (of the weights)" in told
    manifest = Bundle.open(tmp_path / "b").manifest
    assert manifest.provenance.command is not None
    assert f"{NAME} --revision {COMMIT}" in manifest.provenance.command


def test_a_repository_that_is_not_there_is_one_line(cli: Cli, cache: Path, tmp_path: Path) -> None:
    done = cli("export", "lab/none", "--revision", "v2", "--out", tmp_path / "b")
    assert done.code == 2 and not (tmp_path / "b").exists()
    (line,) = done.err.splitlines()
    assert line.startswith("edge-ser: error: lab/none at v2: expected a path, or a snapshot")
