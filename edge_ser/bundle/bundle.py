"""The bundle: a directory (or the same as one .zip) that holds a deployable model.

Reading trusts nothing: names stay inside the bundle, every file has
the recorded size and hash, and an ONNX graph refers to recorded files only.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edge_ser.bundle.files import (
    GOLDEN,
    MANIFEST,
    altered,
    fingerprint_of,
    safe_name,
    sha256,
)
from edge_ser.bundle.foreign import no_bundle
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.onnx_graph import read_graph_file
from edge_ser.bundle.operators import check_graph
from edge_ser.errors import BundleError, EdgeSerError, MissingPathError

if TYPE_CHECKING:
    from edge_ser.bundle.golden import Golden


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle: a directory or a zip file with a manifest in it."""
    if path.is_dir():
        return (path / MANIFEST).is_file()
    if not path.is_file():  # reading a pipe would take what it gives from whoever wants it
        return False
    import zipfile

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
            raise no_bundle(path, f"a bundle with {MANIFEST}", "none")
        text = (path / MANIFEST).read_bytes()
        manifest = Manifest.from_json(text, str(path / MANIFEST))
        bundle = cls(path, manifest, fingerprint_of(text))
        bundle._verify()
        return bundle

    @classmethod
    def _open_zip(cls, path: Path) -> Bundle:
        from edge_ser.bundle import temporary, zipped  # what it takes to read one is seldom needed

        folder, manifest, text = zipped.unpack(path)
        bundle = cls(folder, manifest, fingerprint_of(text))
        bundle._remove_unpacked = weakref.finalize(bundle, temporary.remove, folder, os.getpid())
        try:
            bundle._verify(path)
        except BaseException:
            bundle.close()
            raise
        return bundle

    def close(self) -> None:
        """Remove what was unpacked of a .zip, which otherwise stays as long as the bundle does."""
        self._remove_unpacked()

    def _verify(self, source: Path | None = None) -> None:
        source = source or self.root
        root = self.root.resolve()
        listed = set()
        for entry in self.manifest.files:
            path = self.root / safe_name(entry.path, source)
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
                raise altered(named, entry.bytes, size)
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
        path = source / graph
        # runtimes choose how to read a file by its name
        if PurePosixPath(graph).suffix != ".onnx":
            raise BundleError(path, expected="a graph called .onnx", found="another name")
        facts = read_graph_file(self.root / graph, path)
        check_graph(facts, self.manifest, path)
        sizes = {entry.path: entry.bytes for entry in self.manifest.files}
        folder = PurePosixPath(graph).parent
        for location, needed in facts.external.items():
            # ONNX Runtime's mark for "offset is an address in memory"; 1.19 follows it
            size = (
                0
                if "_ORT_MEM_ADDR_" in location
                else sizes.get(str(folder / safe_name(location, path)), 0)
            )
            if needed > size:
                raise BundleError(
                    path,
                    expected="weights in files of the bundle",
                    found=f"{needed} bytes of external data in {location!r}, which has {size}",
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
        from edge_ser.bundle.golden import Golden

        return Golden.load(self.root / GOLDEN)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False
