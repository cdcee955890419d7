"""What a path holds where a bundle or audio was expected: what people try, and the way on."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from edge_ser.bundle.files import MANIFEST
from edge_ser.errors import BundleError

_CHECKPOINTS = {".pt", ".pth", ".ckpt", ".bin", ".pkl", ".safetensors"}
# hidden siblings of a bundle: what a command makes, or has replaced
_TEMPORARY = re.compile(r"\..+\.edge-ser\.(scratch|old)-")
_ALONE = {".onnx": "an ONNX graph", ".data": "weights of an ONNX graph", ".engine": "an engine"}


def describe_foreign(path: Path) -> tuple[str, str]:
    """What is there, and what to do about it; twice "" if it is nothing known.

    Args:
        path: no sound bundle.
    """
    if path.is_file() and (path.parent / MANIFEST).is_file():
        folder = shlex.quote(str(path.parent))
        return f"a file of the bundle {folder}", f"give the bundle itself: {folder}"
    if path.is_dir():
        graph = next(iter(sorted(p.name for p in path.glob("*.onnx"))), "")
        if graph:
            return f"{graph} without a {MANIFEST} beside it", "copy the whole bundle"
    suffix = path.suffix.lower()
    if suffix in _CHECKPOINTS:
        return "a checkpoint", f"make a bundle of it: edge-ser export {shlex.quote(str(path))}"
    if suffix in _ALONE:
        return f"{_ALONE[suffix]} without its bundle", (
            f"give the folder with its {MANIFEST}, or make one: edge-ser export CKPT"
        )
    if suffix == ".zip":
        return "a damaged or incomplete zip file", "copy it again"
    return "", ""


def no_bundle(path: Path, expected: str, found: str) -> BundleError:
    """What is said of a path that is no bundle.

    Args:
        path: that was given.
        expected: a bundle, in words.
        found: what is there, where nothing better is known.
    """
    content, advice = describe_foreign(path)
    advice = advice or "make one with: edge-ser export"
    return BundleError(path, expected=expected, found=content or found, advice=advice)


def refuse_temporary(path: Path) -> None:
    """Refuse what a killed command left beside a bundle, whole or not.

    Raises:
        BundleError: `path` is, or leads to, such a hidden sibling.
    """
    if _TEMPORARY.match(path.resolve().name):
        raise BundleError(
            path,
            expected="a bundle that is finished and in its place",
            found="what a command was making, or had replaced",
            advice="if it was killed, run it again, which removes this",
        )
