"""Whether the files of a bundle are those of its manifest: nothing of them is trusted."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import NamedTuple

from edge_ser.bundle.files import altered, safe_name
from edge_ser.bundle.held import HeldFiles
from edge_ser.bundle.limits import MAX_KEPT_BYTES
from edge_ser.bundle.manifest import FileEntry, Manifest
from edge_ser.bundle.onnx_graph import read_graph, read_graph_file
from edge_ser.bundle.operators import check_graph
from edge_ser.errors import BundleError


class CheckedGraph(NamedTuple):
    """The graph that a runtime is to load, as it was when it was checked.

    Attributes:
        data: its bytes; empty where its weights lie in other files or are many.
        has_weights_beside: whether they lie in other files.
    """

    data: bytes
    has_weights_beside: bool


def check_files(root: Path, manifest: Manifest, held: HeldFiles, source: Path) -> CheckedGraph:
    """Check every file of a bundle, and what its graphs refer to.

    Args:
        root: its directory.
        manifest: its checked manifest.
        held: its files, which remember what they are now.
        source: the bundle's path, for errors.

    Raises:
        BundleError: a file is missing, altered or outside the bundle, or a graph is not one that
            may be loaded.
        OSError: a file cannot be read.
    """
    data = b""
    for entry in manifest.files:
        _check_place(root, entry, source)
        is_graph = entry.path == manifest.graph and entry.bytes <= MAX_KEPT_BYTES
        content = _check_hash(held, entry, source / entry.path, keep=is_graph)
        data = content if is_graph else data
    engine, graphs = manifest.engine, [manifest.graph]
    if engine is not None:
        graphs.append(engine.graph)
        if engine.file and engine.file not in {entry.path for entry in manifest.files}:
            raise BundleError(
                source, expected=f"the engine {engine.file} among its files", found="no"
            )
    has_weights_beside = False
    for graph in dict.fromkeys(graphs):
        is_loaded = graph == manifest.graph
        has_external = _check_graph_file(manifest, held, graph, data if is_loaded else b"", source)
        has_weights_beside |= is_loaded and has_external
    return CheckedGraph(b"" if has_weights_beside else data, has_weights_beside)


def _check_place(root: Path, entry: FileEntry, source: Path) -> None:
    path, named = root / safe_name(entry.path, source), source / entry.path
    if not _is_file(path):
        raise BundleError(
            named, expected="a file of the bundle", found="none", advice="copy it again"
        )
    if not path.resolve().is_relative_to(root.resolve()):
        raise BundleError(named, expected="a file inside the bundle", found="a link out of it")
    size = path.stat().st_size
    if size != entry.bytes:
        raise altered(named, entry.bytes, size)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _check_hash(held: HeldFiles, entry: FileEntry, named: Path, keep: bool) -> bytes:
    digest, data = held.hash(entry.path, keep)
    if digest != entry.sha256:
        raise BundleError(
            named,
            expected=f"sha256 {entry.sha256[:12]}...",
            found=f"{digest[:12]}...",
            advice="the file was altered; copy the bundle again",
        )
    return data


def _check_graph_file(
    manifest: Manifest, held: HeldFiles, graph: str, data: bytes, source: Path
) -> bool:
    """Check a graph, of its bytes or else of its file; returns whether weights lie beside it."""
    sizes = {entry.path: entry.bytes for entry in manifest.files}
    if graph not in sizes:
        raise BundleError(source, expected=f"the graph {graph} among its files", found="no")
    path = source / graph
    # runtimes choose how to read a file by its name
    if PurePosixPath(graph).suffix != ".onnx":
        raise BundleError(path, expected="a graph called .onnx", found="another name")
    if data:
        facts = read_graph(data, path)
    else:
        with held.open(graph) as file:
            facts = read_graph_file(file, path)
    check_graph(facts, manifest, path)
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
    return bool(facts.external)
