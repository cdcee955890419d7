"""SIGKILL before every step that writing, signing and unpacking take in the file system."""

import shutil
import sys
from pathlib import Path

import pytest
from helpers.bundle_files import TinyBundle, ZipBundle, listing, snapshot
from helpers.keys import write_keys
from helpers.killing import killer

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.replacing import put_back
from edge_ser.bundle.writing import new_bundle, seal
from edge_ser.errors import BundleError, EdgeSerError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals, and locks of folders")

PREPARE = """
import shutil, tempfile
from dataclasses import replace
from pathlib import Path
import edge_ser.scratch
from edge_ser.bundle import replacing, zipped
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.keys import PrivateKey
from edge_ser.bundle.signing import sign_bundle
from edge_ser.bundle.writing import new_bundle, seal
from edge_ser.report.files import write_whole
tempfile.gettempdir()  # which Python tries with a file of its own
source, out = Path({source!r}), Path({out!r})
manifest = Bundle.open(source).manifest
def write(name):
    with new_bundle(out) as work:
        for entry in manifest.files:
            shutil.copyfile(source / entry.path, work / entry.path)
        seal(work, replace(manifest, name=name))
"""
IN_TWO_STEPS = "replacing._exchange = lambda *_: False\n"


class Place:
    """A folder for a bundle, with things of the user's beside it.

    Args:
        folder: is made.
        source: the content of bundles.
    """

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.source, self.out = folder, source, folder / "out"
        self.prepare = PREPARE.format(source=str(source), out=str(self.out))
        self._names: dict[str, object] = {}
        folder.mkdir()
        for name in (".out.git", ".out.settings", "out.notes"):
            (folder / name).mkdir()
            (folder / name / "mine").write_text("mine")
        self._users = snapshot(folder)
        exec(self.prepare, self._names)

    def run(self, code: str) -> None:
        """What the next run does, in this process."""
        exec(code, self._names)

    def leave_behind(self) -> None:
        """What a run killed earlier left: a half-written bundle that nobody holds."""
        left = self.folder / ".out.edge-ser.scratch-dead"
        left.mkdir(exist_ok=True)
        shutil.copyfile(self.source / "model.onnx", left / "model.onnx")

    def bundles(self) -> dict[str, str]:
        """The names in the manifests of everything that loads, by folder."""
        names = {}
        for path in self.folder.iterdir():
            try:
                bundle = Bundle.open(path)
            except EdgeSerError:
                continue
            names[path.name] = bundle.manifest.name
            bundle.close()
        return names

    def check_tidy(self) -> None:
        """The user's files are there, and nothing else."""
        files = {n: b for n, b in snapshot(self.folder).items() if not n.startswith("out/")}
        assert files == self._users
        assert listing(self.folder) == [".out.git", ".out.settings", "out", "out.notes"]


@pytest.fixture
def place(tiny_bundle: TinyBundle, tmp_path: Path) -> Place:
    return Place(tmp_path / "place", tiny_bundle())


@pytest.mark.parametrize("how", ["in one step", "in two steps"])
def test_a_bundle_is_the_old_or_the_new_one(how: str, place: Place) -> None:
    place.run("write('0')")
    prepare = place.prepare + (IN_TWO_STEPS if how == "in two steps" else "")
    kills, seen, is_killed = 0, set(), True
    with killer(prepare, place.folder) as run:
        while is_killed:
            place.leave_behind()
            old, new = f"{kills}", f"{kills}, killed"
            is_killed = run(f"write({new!r})")
            bundles = place.bundles()
            bundle = bundles.pop("out", None)
            assert not bundles, "nothing else loads"
            assert bundle in ((old, new) if how == "in one step" else (old, new, None))
            seen.add(bundle == new)
            kills += 1
            if bundle is None:
                assert put_back(place.out) is None and place.bundles()["out"] == old
            place.run(f"write('{kills}')")
            assert place.bundles() == {"out": f"{kills}"}
            place.check_tidy()
    assert kills > 30 and seen == {True, False}


def test_a_bundle_is_there_or_not(place: Place) -> None:
    kills, seen, is_killed = 0, set(), True
    with killer(place.prepare, place.folder) as run:
        while is_killed:
            is_killed = run("write('killed')")
            bundles = place.bundles()
            bundle = bundles.pop("out", None)
            assert bundle in (None, "killed") and not bundles
            seen.add(bundle)
            place.run("write('whole')")
            assert place.bundles() == {"out": "whole"}
            place.check_tidy()
            shutil.rmtree(place.out)
            kills += 1
    assert kills > 20 and seen == {None, "killed"}


def test_what_is_not_proved_yet_loads_under_no_name(place: Place, tmp_path: Path) -> None:
    with new_bundle(place.out) as work:
        shutil.copytree(place.source, work, dirs_exist_ok=True)
        (work / "manifest.json").unlink()
        sealed = seal(work, Bundle.open(place.source).manifest)
        moved = shutil.copytree(work, tmp_path / "moved")
        with pytest.raises(BundleError, match=r"expected a bundle with manifest\.json"):
            Bundle.open(moved)
    assert Bundle.open(place.out).manifest == sealed


def test_a_hidden_sibling_is_refused_in_words(place: Place, tmp_path: Path) -> None:
    left = shutil.copytree(place.source, place.folder / ".out.edge-ser.scratch-dead")
    aside = shutil.copytree(place.source, place.folder / ".out.edge-ser.old-dead")
    link = tmp_path / "link"
    link.symlink_to(left)
    for path in (left, aside, link):
        with pytest.raises(BundleError, match=r"finished and in its place.*run it again"):
            Bundle.open(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_bundle_is_signed_or_not(
    packed: bool, place: Place, zip_bundle: ZipBundle, tmp_path: Path
) -> None:
    key = write_keys(tmp_path, "key").private
    kills, seen, is_killed = 0, set(), True
    with killer(place.prepare, place.folder) as run:
        while is_killed:
            place.run("write('unsigned')")
            path = zip_bundle(place.out, place.out / "out.zip") if packed else place.out
            sign = f"sign_bundle(Path({str(path)!r}), PrivateKey.load(Path({str(key)!r})))"
            is_killed = run(sign)
            bundle = Bundle.open(path)
            seen.add(bundle.signature() is not None)
            bundle.close()
            if packed:
                place.run(sign)
                path.unlink()
            place.run(
                "write('unsigned')"
            )  # what the killed one left in the bundle is not the user's
            place.check_tidy()
            kills += 1
    assert kills > 10 and seen == {False, True}


def test_a_page_is_the_old_or_the_new_one(place: Place) -> None:
    place.run("write('bundle')")
    page = place.out / "page.html"
    kills, seen, is_killed = 0, set(), True
    with killer(place.prepare, place.folder) as run:
        while is_killed:
            page.write_text("old")
            is_killed = run(f"write_whole(Path({str(page)!r}), 'new')")
            seen.add(page.read_text())
            place.run(f"write_whole(Path({str(page)!r}), 'whole')")
            assert page.read_text() == "whole"
            assert not list(place.out.glob(".*"))
            kills += 1
    assert kills > 5 and seen == {"old", "new"}


def test_what_was_unpacked_is_removed_by_the_next(
    place: Place, zip_bundle: ZipBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    notes = scratch / "edge-ser.notes"  # of the user's
    notes.mkdir(parents=True)
    archive = zip_bundle(place.source, tmp_path / "tiny.zip")
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    kills, is_killed = 0, True
    with killer(place.prepare, scratch) as run:
        while is_killed:
            is_killed = run(f"Bundle.open({str(archive)!r}).close()")
            Bundle.open(archive).close()
            assert list(scratch.iterdir()) == [notes]
            kills += 1
    assert kills > 15 and notes.is_dir()
