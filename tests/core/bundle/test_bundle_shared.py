"""Several processes at one place: two that write a bundle, and one that opens it meanwhile."""

import contextlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers.bundle_files import TinyBundle, ZipBundle, listing

from edge_ser.bundle.bundle import Bundle
from edge_ser.errors import BundleChangedError

WRITE = """
import shutil, sys
from dataclasses import replace
from pathlib import Path
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import new_bundle, seal
source, out, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
manifest = Bundle.open(source).manifest
for _ in range(40):
    with new_bundle(out) as work:
        for entry in manifest.files:
            shutil.copyfile(source / entry.path, work / entry.path)
        seal(work, replace(manifest, name=name))
"""
REPLACE = """
import shutil, sys
from pathlib import Path
from edge_ser.replacement import replacement
out = Path(sys.argv[3])
for turn in range(200):
    with replacement(out) as work:
        shutil.copyfile(sys.argv[1 + turn % 2], work)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="replaced in one step")
def test_two_that_write_to_one_place_leave_a_whole_bundle_at_any_time(
    tiny_bundle: TinyBundle, tmp_path: Path
) -> None:
    source, out = tiny_bundle(), tmp_path / "place" / "out"
    names, seen = ("one", "other"), set()
    subprocess.run([sys.executable, "-c", WRITE.replace("40", "1"), source, out, "one"], check=True)
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, source, out, n]) for n in names]
    while any(writer.poll() is None for writer in writers):
        bundle = Bundle.open(out)
        seen.add(bundle.manifest.name)
        with contextlib.suppress(BundleChangedError):  # replaced since, and it says so
            bundle.golden()
        bundle.close()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen == set(names)
    assert listing(out.parent) == ["out"]


def test_a_zip_that_is_replaced_is_the_old_one_or_the_new_one(
    tiny_bundle: TinyBundle, zip_bundle: ZipBundle, tmp_path: Path
) -> None:
    packed = [zip_bundle(tiny_bundle(name), tmp_path / f"{name}.zip") for name in ("a", "b")]
    # another size, too: what is listed last is elsewhere
    with zipfile.ZipFile(packed[1], "a") as archive:
        archive.writestr("notes", bytes(5000))
    out = tmp_path / "out.zip"
    out.write_bytes(packed[0].read_bytes())
    opened = 0
    with subprocess.Popen([sys.executable, "-c", REPLACE, *packed, out]) as writer:
        while writer.poll() is None:
            try:
                bundle = Bundle.open(out)
            except BundleChangedError:  # it says so, and gives no mixture
                continue
            bundle.golden()
            bundle.close()
            opened += 1
    assert writer.returncode == 0 and opened > 0
