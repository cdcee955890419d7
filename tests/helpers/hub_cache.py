"""A published model in the cache of a hub, as `huggingface_hub` lays it out."""

from pathlib import Path

from helpers.tiny_models import Published, save_safetensors

NAME, COMMIT = "lab/voices--v2", "0123456789abcdef0123456789abcdef01234567"
CARD = "---\nlicense: apache-2.0\ntags:\n- audio\n---\n# Voices\n"


def lay_out(published: Published, folder: Path) -> Path:
    """Blobs by their hash, and a folder of links a commit; returns the cache."""
    repository = folder / "hub" / "models--lab--voices--v2"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / COMMIT
    plain = published.save(folder / "plain", save_safetensors)
    (plain / "README.md").write_text(CARD)
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for index, file in enumerate(sorted(plain.iterdir())):
        file.rename(blobs / f"{index:064x}")
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", f"{index:064x}"))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return folder / "hub"


def offline(cache: Path) -> dict[str, str]:
    """An environment in which the hub is not asked."""
    return {"HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
