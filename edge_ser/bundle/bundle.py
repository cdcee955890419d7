"""The bundle: a directory (or the same as one .zip) that holds a deployable model.

Reading trusts nothing: names stay inside the bundle, every file has
the recorded size and hash, and an ONNX graph refers to recorded files only.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import weakref
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edge_ser.bundle.checking import CheckedGraph, check_files
from edge_ser.bundle.files import GOLDEN, MANIFEST, SCORES, SIGNATURE, fingerprint_of
from edge_ser.bundle.foreign import no_bundle, refuse_temporary
from edge_ser.bundle.held import HeldFiles
from edge_ser.bundle.limits import MAX_KEPT_BYTES, MAX_SIGNATURE_BYTES, read_manifest_bytes
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.trust import Trust
from edge_ser.errors import (
    BundleChangedError,
    BundleError,
    EdgeSerError,
    MissingPathError,
    did_you_mean,
)

if TYPE_CHECKING:
    from edge_ser.bundle.golden import Golden
    from edge_ser.bundle.keys import PublicKey
    from edge_ser.bundle.score_reference import ScoreReference
    from edge_ser.bundle.signature import Signature


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle: a directory or a .zip with a manifest in it.

    A file of another name is none, whatever is in it: audio may have a zip behind its samples.
    """
    if path.is_dir():
        return (path / MANIFEST).is_file()
    # reading a pipe would take what it gives from whoever wants it
    if path.suffix.lower() != ".zip" or not path.is_file():
        return False
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == MANIFEST for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def near_bundle(path: Path) -> str:
    """The bundle beside a missing path whose name is nearest to it, as advice; "" for none."""
    try:
        beside = [p.name for p in path.parent.iterdir() if is_bundle(p)]
    except OSError:
        return ""
    return did_you_mean(path.name, beside, among=str(path.parent / "_")[:-1])


# Times that a bundle is opened anew because another one took its place meanwhile.
_TRIES = 20


class Bundle:
    """An opened, verified bundle.

    Args:
        root: its directory.
        manifest: its checked manifest.
        fingerprint: see `fingerprint_of`; empty: the bundle is still being made.
        held: its files, which were checked; None: they were not.

    Attributes:
        signer: the trusted key that signed it; None: not asked for.
    """

    def __init__(
        self,
        root: Path,
        manifest: Manifest,
        fingerprint: str = "",
        held: HeldFiles | None = None,
    ) -> None:
        self.root, self.manifest, self.fingerprint = root, manifest, fingerprint
        self._held = held
        self._graph = CheckedGraph(b"", has_weights_beside=False)
        self.signer: PublicKey | None = None
        self._remove_unpacked: Callable[[], object] = lambda: None
        if held is not None:
            weakref.finalize(self, held.close)

    @classmethod
    def open(cls, path: str | Path, trust: Trust | None = None) -> Bundle:
        """Open a directory or .zip and verify every file in it, and who signed it where asked.

        The manifest's evidence is checked as it is read: see `Manifest.check_evidence`.

        Args:
            path: of the bundle.
            trust: who must have signed it; None: as the environment says.

        Raises:
            MissingPathError: no such path.
            BundleError: not a bundle, or incomplete, altered, or of another schema version.
            SignatureError: not signed by a key that is trusted, or altered since.
            UsageError, MissingExtraError: the keys cannot be read, or signatures not be checked.
        """
        path = Path(path)
        trust = Trust.of_environment() if trust is None else trust
        try:
            bundle = cls._open(path)
            try:
                bundle._check_signer(trust, path)
            except BaseException:
                bundle.close()
                raise
            return bundle
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
            raise MissingPathError(
                path,
                expected="a bundle",
                found="no such file or directory",
                advice=near_bundle(path),
            )
        refuse_temporary(path)
        if path.is_file():
            return cls._open_zip(path)
        for _ in range(_TRIES - 1):
            with contextlib.suppress(BundleChangedError):
                return cls._open_directory(path)
        return cls._open_directory(path)

    @classmethod
    def _open_directory(cls, path: Path) -> Bundle:
        if not (path / MANIFEST).is_file():
            raise no_bundle(path, f"a bundle with {MANIFEST}", "none")
        held = HeldFiles(path)
        try:
            with held.open(MANIFEST) as file:
                text = read_manifest_bytes(file, path / MANIFEST)
            manifest = Manifest.from_json(text, str(path / MANIFEST))
            bundle = cls(path, manifest, fingerprint_of(text), held)
            bundle._graph = check_files(path, manifest, held, path)
        except (BundleError, OSError) as error:
            was_replaced = held.is_replaced()
            held.close()
            if was_replaced:
                raise BundleChangedError(path) from error
            raise
        return bundle

    @classmethod
    def _open_zip(cls, path: Path) -> Bundle:
        from edge_ser import scratch
        from edge_ser.bundle import zipped  # what it takes to read one is seldom needed

        folder, manifest, text = zipped.unpack(path)
        held = HeldFiles(folder)
        bundle = cls(folder, manifest, fingerprint_of(text), held)
        bundle._remove_unpacked = weakref.finalize(bundle, scratch.remove, folder)
        try:
            bundle._graph = check_files(folder, manifest, held, path)
        except BaseException:
            bundle.close()
            raise
        return bundle

    def close(self) -> None:
        """Let go of its files; those unpacked of a .zip are removed.

        They are otherwise held as long as the bundle is.
        """
        if self._held is not None:
            self._held.close()
        self._remove_unpacked()

    def graph(self) -> bytes | Path:
        """The ONNX file that was checked, for a runtime to load.

        Its bytes, which nobody changes any more; or, where its weights lie in other files or are
        many, a path to it in the directory that is held open. Whoever has loaded a path asks
        `check_unchanged` after that.

        Raises:
            BundleChangedError: it is no longer what was checked.
        """
        if self._held is None:
            return self.graph_path
        size = next(f.bytes for f in self.manifest.files if f.path == self.manifest.graph)
        if self._graph.has_weights_beside or size > MAX_KEPT_BYTES:
            self.check_unchanged()
            return self._held.path(self.manifest.graph)
        # let go of: whoever loads them has a copy, and the next one reads them again
        data, self._graph = self._graph.data, self._graph._replace(data=b"")
        return data or self.read(self.manifest.graph)

    def held_graph_path(self) -> Path:
        """As `graph`, for a runtime that takes nothing but a path."""
        if self._held is None:
            return self.graph_path
        self.check_unchanged()
        return self._held.path(self.manifest.graph)

    def check_unchanged(self) -> None:
        """Whether what was loaded by a path is what was checked; nothing, of an unchecked draft.

        Raises:
            BundleChangedError: a file was changed, or is gone.
        """
        if self._held is not None and not self._held.are_unchanged():
            raise BundleChangedError(self.root)

    def read(self, name: str) -> bytes:
        """The bytes of one of its files, as they were when it was checked.

        Args:
            name: that the manifest lists, or its own.

        Raises:
            BundleChangedError: they are others by now.
        """
        if self._held is None:
            return (self.root / name).read_bytes()
        hashes = {f.path: f.sha256 for f in self.manifest.files} | {MANIFEST: self.fingerprint}
        try:
            with self._held.open(name) as file:
                data = file.read()
        except OSError as error:
            raise BundleChangedError(self.root) from error
        # a hash takes as long as reading does; large files are told by their times
        is_small = len(data) <= MAX_KEPT_BYTES
        if is_small and hashlib.sha256(data).hexdigest() != hashes[name]:
            raise BundleChangedError(self.root / name)
        if not is_small and not self._held.is_unchanged(name):
            raise BundleChangedError(self.root / name)
        return data

    def signature(self) -> Signature | None:
        """The signature beside its files, not checked; None where there is none.

        Raises:
            SignatureError: it is damaged, or of another kind.
        """
        from edge_ser.bundle.signature import read_signature

        path = self.root / SIGNATURE
        try:
            with path.open("rb") if self._held is None else self._held.open(SIGNATURE) as file:
                data = file.read(MAX_SIGNATURE_BYTES + 1)
        except FileNotFoundError:
            return None
        return read_signature(data, path)

    def _check_signer(self, trust: Trust, source: Path) -> None:
        if not trust.keys:
            return
        from edge_ser.bundle.keys import PublicKey
        from edge_ser.bundle.signature import check_signature

        keys = [PublicKey.load(key) for key in trust.keys]
        signature = self.signature()
        self.signer = check_signature(signature, self.manifest, self.fingerprint, keys, source)

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

        return Golden.read(io.BytesIO(self.read(GOLDEN)), self.root / GOLDEN)

    @functools.cached_property
    def score_reference(self) -> ScoreReference | None:
        """Intervals and ranks of its scores; None where they are not recorded, or not of it.

        Raises:
            BundleError: what is recorded is damaged.
        """
        if SCORES not in {f.path for f in self.manifest.files}:
            return None
        from edge_ser.bundle.score_reference import read_score_reference

        return read_score_reference(self)
