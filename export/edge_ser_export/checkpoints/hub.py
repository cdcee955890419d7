"""Models of a hub: by the name of their repository, from the cache of `huggingface_hub` or fetched.

No code of a repository is run, whatever its configuration asks for.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_ser.errors import CheckpointError, UsageError
from edge_ser.host.packages import is_installed
from edge_ser.install import pip_package

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_YES = ("1", "on", "yes", "true")
# What a checkpoint may consist of, and the card that names the licence. No code.
_FILES = ("*.json", "*.safetensors", "*.bin", "*.ckpt", "*.pt", "*.pkl", "README.md")
_CARD_BYTES = 1 << 16


@dataclass(frozen=True)
class Snapshot:
    """A version of a repository, as it lies in the cache.

    Attributes:
        repository: its name, such as `org/name`.
        commit: that was fetched.
        licence: that its card names; None: none.
    """

    repository: str
    commit: str
    licence: str | None = None


def is_hub_id(source: str) -> bool:
    """Whether a word names a repository: two parts, and nothing of that path lies here."""
    path = Path(source)
    return _ID.fullmatch(source) is not None and not path.exists() and not path.parent.exists()


def resolve(
    source: str, revision: str | None = None, environment: Mapping[str, str] = os.environ
) -> str:
    """Path of the snapshot of a repository; anything that names none is returned as it is.

    Args:
        source: a path or a name.
        revision: branch, tag or commit; None: the default branch.
        environment: `HF_HUB_OFFLINE`, `HF_HUB_CACHE` and `HF_HOME` are read.

    Raises:
        UsageError: a revision of what is no repository, or none that could be.
        CheckpointError: no such repository or revision, or it is not in the cache and the hub is
            not to be asked.
    """
    if not is_hub_id(source):
        if revision is not None:
            raise UsageError(
                "--revision", expected="the name of a repository of the hub before it, ORG/NAME",
                found=f"{revision} for {source}", advice="drop --revision",
            )  # fmt: skip
        return source
    revision = "main" if revision is None else revision
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise UsageError("--revision", expected="a branch, a tag or a commit", found=revision)
    offline = environment.get("HF_HUB_OFFLINE", "").strip().lower() in _YES
    if not offline and is_installed("huggingface_hub"):
        return _fetch(source, revision)
    cached = _in_cache(source, revision, environment)
    if cached is None:
        raise CheckpointError(
            f"{source} at {revision}",
            expected="a path, or a snapshot in the cache, as the hub is not asked",
            found=f"none in {_cache(environment)}",
            advice="unset HF_HUB_OFFLINE" if offline else pip_package("huggingface_hub"),
        )
    return str(cached)


def cached(
    source: str, revision: str = "main", environment: Mapping[str, str] = os.environ
) -> Path | None:
    """The snapshot of a repository in the cache; None where there is none, or the name is none."""
    if not _ID.fullmatch(source) or not _REVISION.fullmatch(revision) or ".." in revision:
        return None
    return _in_cache(source, revision, environment)


def snapshot_of(path: Path) -> Snapshot | None:
    """Which version of which repository a directory of the cache is; None for any other."""
    folder = path.resolve() if path.is_dir() else path.parent
    repository = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not repository.startswith("models--"):
        return None
    name = repository.removeprefix("models--").replace("--", "/", 1)
    return Snapshot(name, folder.name, _licence(folder / "README.md"))


def _cache(environment: Mapping[str, str]) -> Path:
    if environment.get("HF_HUB_CACHE"):
        return Path(environment["HF_HUB_CACHE"]).expanduser()
    home = environment.get("HF_HOME") or "~/.cache/huggingface"
    return Path(home).expanduser() / "hub"


def _in_cache(source: str, revision: str, environment: Mapping[str, str]) -> Path | None:
    folder = _cache(environment) / f"models--{source.replace('/', '--')}"
    reference = folder / "refs" / revision
    commit = revision
    if reference.is_file():
        commit = reference.read_text(encoding="utf-8", errors="replace").strip()
    snapshot = folder / "snapshots" / commit
    return snapshot if _COMMIT.fullmatch(commit) and snapshot.is_dir() else None


def _fetch(source: str, revision: str) -> str:
    hub: Any = importlib.import_module("huggingface_hub")
    try:
        fetched = hub.snapshot_download(source, revision=revision, allow_patterns=list(_FILES))
    except Exception as error:  # of the hub, the network, the proxy, the disk
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{source} at {revision}",
            expected="a path, or a repository of the hub that can be fetched",
            found=f"no such path, and of the hub {type(error).__name__}: {reason:.120}",
            advice="check path, name and network; what is in the cache is taken with"
            " HF_HUB_OFFLINE=1",
        ) from error
    return str(fetched)


def _licence(card: Path) -> str | None:
    """What the head of a model's card names, by its own name where it is none of the usual."""
    if not card.is_file():
        return None
    with card.open("rb") as file:
        text = file.read(_CARD_BYTES).decode("utf-8", "replace")
    head = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    if head is None:
        return None
    fields = dict(re.findall(r"(?m)^(license(?:_name)?):[ \t]*['\"]?([\w.+ -]+)", head[1]))
    named = fields.get("license", "").strip()
    if named == "other":
        named = fields.get("license_name", "").strip() or named
    return named if named not in ("", "unknown") else None
