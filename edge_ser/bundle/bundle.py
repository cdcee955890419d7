"""The bundle: a directory (or the same as one .zip) that holds a deployable model.

Writing is all or nothing. Reading trusts nothing: names stay inside the bundle, every file has
the recorded size and hash, and an ONNX graph refers to recorded files only.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import struct
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from edge_ser.bundle.external_data import external_files
from edge_ser.bundle.golden import Golden
from edge_ser.bundle.manifest import FileEntry, Manifest
from edge_ser.errors import BundleError, EdgeSerError, MissingPathError, UsageError

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
PARITY = "parity.json"
SENSITIVITY = "sensitivity.json"
_HASH_BLOCK_BYTES = 1 << 20


def sha256(*paths: Path) -> str:
    """Hash of files one after the other, read in blocks."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()


def graph_sha256(path: Path) -> str:
    """Hash of an ONNX file followed by its weights, if they lie in a file `.data` beside it."""
    beside = path.with_name(f"{path.name}.data")
    return sha256(path, *([beside] if beside.is_file() else []))


def fingerprint_of(manifest: bytes) -> str:
    """The one number that stands for a bundle: the SHA-256 of its manifest's bytes.

    The manifest lists size and SHA-256 of every other file, and opening a bundle checks them: of an
    opened bundle it changes with every byte, and `sha256sum manifest.json` repeats it.
    """
    return hashlib.sha256(manifest).hexdigest()


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle: a directory or a zip file with a manifest in it."""
    if path.is_dir():
        return (path / MANIFEST).is_file()
    try:
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == MANIFEST for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


class Bundle:
    """An opened, verified bundle.

    Args:
        root: its directory.
        manifest: its checked manifest.
        fingerprint: see `fingerprint_of`; empty: the bundle is still being made.
    """

    def __init__(self, root: Path, manifest: Manifest, fingerprint: str = "") -> None:
        self.root, self.manifest, self.fingerprint = root, manifest, fingerprint
        self._remove_unpacked: Callable[[], object] = lambda: None

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Open a directory or .zip and verify every file in it.

        The manifest's evidence is checked as it is read: see `Manifest.check_evidence`.

        Raises:
            MissingPathError: no such path.
            BundleError: not a bundle, or incomplete, altered, or of another schema version.
        """
        path = Path(path)
        try:
            return cls._open(path)
        except EdgeSerError:
            raise
        except OSError as error:  # a permission, a disk that fails, a name that is too long
            raise BundleError(
                path,
                expected="a bundle that can be read",
                found=f"{error.strerror or error}"
                + (f" ({error.filename})" if error.filename not in (None, str(path)) else ""),
            ) from error

    @classmethod
    def _open(cls, path: Path) -> Bundle:
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
        text = (path / MANIFEST).read_bytes()
        manifest = Manifest.from_json(text, str(path / MANIFEST))
        bundle = cls(path, manifest, fingerprint_of(text))
        bundle._verify()
        return bundle

    @classmethod
    def _open_zip(cls, path: Path) -> Bundle:
        if not zipfile.is_zipfile(path):
            raise BundleError(path, expected="a bundle (a directory or .zip)", found="another file")
        # unpacked, because runtimes map weights from real files
        root = Path(tempfile.mkdtemp(prefix="edge-ser-"))
        try:
            with zipfile.ZipFile(path) as archive:
                names = [i for i in archive.infolist() if not i.is_dir()]
                found = [i for i in names if PurePosixPath(i.filename).name == MANIFEST]
                outermost = min(found, key=lambda i: i.filename.count("/"), default=None)
                if outermost is None:
                    raise BundleError(path, expected=f"a {MANIFEST} inside", found="none")
                prefix, text = outermost.filename[: -len(MANIFEST)], archive.read(outermost)
                manifest = Manifest.from_json(text, f"{path}: {MANIFEST}")
                # only what the manifest lists is unpacked, and no more of it than it says
                for entry in manifest.files:
                    target = root / _safe_name(entry.path, path)
                    try:
                        info = archive.getinfo(prefix + entry.path)
                    except KeyError:
                        continue  # _verify names what is missing
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if info.file_size != entry.bytes:
                        raise _altered(f"{path}: {entry.path}", entry.bytes, info.file_size)
                    with archive.open(info) as source, target.open("wb") as out:
                        shutil.copyfileobj(source, out)
                (root / MANIFEST).write_bytes(text)
            bundle = cls(root, manifest, fingerprint_of(text))
            bundle._verify(path)
        except (
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            NotImplementedError,
            RuntimeError,
            ValueError,
            struct.error,
            OSError,
        ) as error:
            shutil.rmtree(root, ignore_errors=True)
            if isinstance(error, EdgeSerError):
                raise
            raise BundleError(path, expected="a sound zip file", found=str(error)) from error
        except BaseException:
            shutil.rmtree(root, ignore_errors=True)
            raise
        bundle._remove_unpacked = weakref.finalize(bundle, _remove, root, os.getpid())
        return bundle

    def close(self) -> None:
        """Remove what was unpacked of a .zip, which otherwise stays as long as the bundle does."""
        self._remove_unpacked()

    def _verify(self, source: Path | None = None) -> None:
        source = source or self.root
        root = self.root.resolve()
        listed = set()
        for entry in self.manifest.files:
            path = self.root / _safe_name(entry.path, source)
            named = source / entry.path
            if not _is_file(path):
                raise BundleError(
                    named, expected="a file of the bundle", found="none", advice="copy it again"
                )
            if not path.resolve().is_relative_to(root):
                raise BundleError(
                    named, expected="a file inside the bundle", found="a link out of it"
                )
            size = path.stat().st_size
            if size != entry.bytes:
                raise _altered(named, entry.bytes, size)
            found = sha256(path)
            if found != entry.sha256:
                raise BundleError(
                    named,
                    expected=f"sha256 {entry.sha256[:12]}...",
                    found=f"{found[:12]}...",
                    advice="the file was altered; copy the bundle again",
                )
            listed.add(entry.path)
        engine, graphs = self.manifest.engine, [self.manifest.graph]
        if engine is not None:
            graphs.append(engine.graph)
            if engine.file and engine.file not in listed:
                raise BundleError(
                    source, expected=f"the engine {engine.file} among its files", found="no"
                )
        for graph in dict.fromkeys(graphs):
            self._verify_graph(graph, listed, source)

    def _verify_graph(self, graph: str, listed: set[str], source: Path) -> None:
        if graph not in listed:
            raise BundleError(source, expected=f"the graph {graph} among its files", found="no")
        folder = PurePosixPath(graph).parent
        for location in external_files(self.root / graph):
            # ONNX Runtime's mark for "offset is an address in memory"; 1.19 follows it
            if (
                "_ORT_MEM_ADDR_" in location
                or str(folder / _safe_name(location, self.root / graph)) not in listed
            ):
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


def _remove(folder: Path, pid: int) -> None:
    """Remove what this process unpacked; a forked one has a copy of the intention only."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def check_new_bundle(path: Path) -> None:
    """Refuse a place that no bundle can be written to, before the work that would fill it.

    Raises:
        UsageError: `path` exists and is not a bundle, or nothing can be made in its folder.
    """
    if os.path.lexists(path) and not _may_replace(path):
        raise UsageError(
            path, expected="a new directory", found="something else there", advice="choose -o"
        )
    folder = path.parent
    try:
        while not folder.exists():
            folder = folder.parent
        # only trying tells: rights, read-only and virtual file systems, names that are too long
        os.rmdir(tempfile.mkdtemp(prefix=f".{path.name}.", dir=folder))
    except OSError as error:
        raise UsageError(
            path,
            expected="a folder that can be written",
            found=f"{folder}, where nothing can be made ({error.strerror or error})",
            advice="make it writable, or choose another place",
        ) from error


@contextmanager
def new_bundle(path: Path) -> Iterator[Path]:
    """A temporary sibling to write into, which becomes `path` when the block ends well.

    An existing bundle at `path` is replaced; anything else there is left alone.

    Raises:
        UsageError: see `check_new_bundle`.
    """
    check_new_bundle(path)
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
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        else:
            os.replace(work, path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _may_replace(path: Path) -> bool:
    """Whether what is there is a bundle of ours, as far as its manifest says."""
    try:
        if path.is_dir():
            text = (path / MANIFEST).read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                text = archive.read(
                    next(n for n in archive.namelist() if PurePosixPath(n).name == MANIFEST)
                )
        data = json.loads(text)
        return isinstance(data, dict) and {"schema", "graph", "files"} <= set(data)
    except (OSError, ValueError, StopIteration, RuntimeError, zipfile.BadZipFile, zlib.error):
        return False


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
