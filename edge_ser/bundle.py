"""The bundle: a directory (or the same as one .zip) that holds a deployable model.

Writing is all or nothing. Reading trusts nothing: names stay inside the bundle, every file has
the recorded size and hash, and an ONNX graph refers to recorded files only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edge_ser.errors import BundleError, MissingPathError, UsageError
from edge_ser.manifest import FileEntry, Manifest
from edge_ser.onnx_scan import external_files

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
PARITY = "parity.json"
_HASH_BLOCK_BYTES = 1 << 20


def sha256(path: Path) -> str:
    """Hash of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle: a directory with a manifest, or a zip file."""
    return (path / MANIFEST).is_file() if path.is_dir() else zipfile.is_zipfile(path)


class Bundle:
    """An opened, verified bundle.

    Args:
        root: its directory.
        manifest: its checked manifest.
    """

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self.root, self.manifest = root, manifest
        self._extracted: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a directory or .zip and verify every file in it.

        Raises:
            MissingPathError: no such path.
            BundleError: not a bundle, or incomplete, altered, or of another schema version.
        """
        path = Path(path)
        if not path.exists():
            raise MissingPathError(path, expected="a bundle", found="no such file or directory")
        if path.is_file():
            return cls._open_zip(path)
        if not (path / MANIFEST).is_file():
            raise BundleError(
                path,
                expected=f"a bundle with {MANIFEST}",
                found="none",
                advice="make one with: edge-ser export",
            )
        manifest = Manifest.from_json((path / MANIFEST).read_bytes(), str(path / MANIFEST))
        bundle = cls(path, manifest)
        bundle._verify()
        return bundle

    @classmethod
    def _open_zip(cls, path: Path) -> Self:
        if not zipfile.is_zipfile(path):
            raise BundleError(path, expected="a bundle (a directory or .zip)", found="another file")
        # unpacked, because runtimes map weights from real files
        folder = tempfile.TemporaryDirectory(prefix="edge-ser-")
        root = Path(folder.name)
        try:
            with zipfile.ZipFile(path) as archive:
                names = [i for i in archive.infolist() if not i.is_dir()]
                depth = min((len(PurePosixPath(i.filename).parts) for i in names), default=0)
                text = next((i for i in names if i.filename.endswith(MANIFEST)), None)
                if text is None or depth == 0:
                    raise BundleError(path, expected=f"a {MANIFEST} inside", found="none")
                prefix = text.filename[: -len(MANIFEST)]
                manifest = Manifest.from_json(archive.read(text), f"{path}: {MANIFEST}")
                # only what the manifest lists is unpacked, and no more of it than it says
                for entry in manifest.files:
                    target = root / _safe_name(entry.path, path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        info = archive.getinfo(prefix + entry.path)
                    except KeyError:
                        continue  # _verify names what is missing
                    if info.file_size != entry.bytes:
                        raise _altered(f"{path}: {entry.path}", entry.bytes, info.file_size)
                    with archive.open(info) as source, target.open("wb") as out:
                        shutil.copyfileobj(source, out)
            bundle = cls(root, manifest)
            bundle._verify()
        except zipfile.BadZipFile as error:
            folder.cleanup()
            raise BundleError(path, expected="a sound zip file", found=str(error)) from error
        except BaseException:
            folder.cleanup()
            raise
        bundle._extracted = folder
        return bundle

    def _verify(self) -> None:
        root = self.root.resolve()
        listed = set()
        for entry in self.manifest.files:
            path = self.root / _safe_name(entry.path, self.root)
            if not path.is_file():
                raise BundleError(
                    path, expected="a file of the bundle", found="none", advice="copy it again"
                )
            if not path.resolve().is_relative_to(root):
                raise BundleError(
                    path, expected="a file inside the bundle", found="a link out of it"
                )
            size = path.stat().st_size
            if size != entry.bytes:
                raise _altered(path, entry.bytes, size)
            found = sha256(path)
            if found != entry.sha256:
                raise BundleError(
                    path,
                    expected=f"sha256 {entry.sha256[:12]}...",
                    found=f"{found[:12]}...",
                    advice="the file was altered; copy the bundle again",
                )
            listed.add(entry.path)
        graph = self.manifest.graph
        if graph not in listed:
            raise BundleError(self.root, expected=f"the graph {graph} among its files", found="no")
        folder = PurePosixPath(graph).parent
        for location in external_files(self.root / graph):
            if str(folder / _safe_name(location, self.root / graph)) not in listed:
                raise BundleError(
                    self.root / graph,
                    expected="weights in files of the bundle",
                    found=f"external data in {location!r}",
                    advice="do not use this bundle",
                )

    @property
    def graph_path(self) -> Path:
        """The ONNX file."""
        return self.root / self.manifest.graph

    @property
    def size_bytes(self) -> int:
        """Bytes of all files that the manifest lists."""
        return sum(f.bytes for f in self.manifest.files)

    def golden(self) -> Golden:
        """The recorded reference answers.

        Raises:
            BundleError: the bundle has none.
        """
        if GOLDEN not in {f.path for f in self.manifest.files}:
            raise BundleError(self.root, expected=GOLDEN, found="none", advice="export again")
        return Golden.load(self.root / GOLDEN)


class Golden:
    """A few utterances with the reference's answers.

    Attributes:
        names: of the utterances.
        samples: mono int16 at the model's rate, one array `[n]` per utterance.
        vad: `[utterances, 3]` float32 on 0..1.
        region_logits: `[utterances, regions]` float32, or None.
    """

    def __init__(
        self,
        names: list[str],
        samples: list[NDArray[np.int16]],
        vad: NDArray[np.float32],
        region_logits: NDArray[np.float32] | None,
    ) -> None:
        self.names, self.samples = names, samples
        self.vad, self.region_logits = vad, region_logits

    def save(self, path: Path) -> None:
        """Write as compressed npz."""
        arrays: dict[str, NDArray[Any]] = {"names": np.array(self.names), "vad": self.vad}
        arrays |= {f"samples_{i}": x for i, x in enumerate(self.samples)}
        if self.region_logits is not None:
            arrays["region_logits"] = self.region_logits
        np.savez_compressed(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read; nothing is unpickled.

        Raises:
            BundleError: damaged or incomplete.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                names = [str(n) for n in data["names"]]
                samples = [data[f"samples_{i}"] for i in range(len(names))]
                logits = data.get("region_logits")
                return cls(names, samples, data["vad"], logits)
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise BundleError(path, expected="recorded answers", found=str(error)) from error


@contextmanager
def new_bundle(path: Path) -> Iterator[Path]:
    """A temporary sibling to write into, which becomes `path` when the block ends well.

    An existing bundle at `path` is replaced; anything else there is left alone.

    Raises:
        UsageError: `path` exists and is not a bundle.
    """
    if path.exists() and not is_bundle(path):
        raise UsageError(
            path, expected="a new directory", found="something else there", advice="choose -o"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield work
        # mkdtemp gives 0700, which would follow the bundle to where others must read it
        work.chmod(0o755)
        if path.exists():
            old = work.with_name(work.name + ".old")
            os.replace(path, old)
            os.replace(work, path)
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        else:
            os.replace(work, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """List all files of `folder` in the manifest and write it; returns the complete manifest."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    files = tuple(
        FileEntry(p.relative_to(folder).as_posix(), p.stat().st_size, sha256(p)) for p in paths
    )
    manifest = replace(manifest, files=files)
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _safe_name(name: str, source: object) -> str:
    path = PurePosixPath(name)
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if unsafe or not path.parts:
        raise BundleError(
            source, expected="paths inside the bundle", found=repr(name), advice="do not use it"
        )
    return name


def _altered(path: object, expected: int, found: int) -> BundleError:
    return BundleError(
        path,
        expected=f"{expected} bytes",
        found=str(found),
        advice="the file was truncated or altered; copy the bundle again",
    )
