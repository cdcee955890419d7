"""A bundle that is replaced all the time is verified as the old or the new one, or it says so."""

import shutil
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import new_bundle, seal

Cli = Callable[..., Any]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="replaced in one step")


def test_verify_while_its_bundle_is_replaced(cli: Cli, bundle_dir: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    sources = [shutil.copytree(bundle_dir, bundle_dir.with_name(name)) for name in ("one", "two")]
    for source in sources:
        seal(source, replace(manifest, name=source.name))
    whole = {(source.name, Bundle.open(source).fingerprint) for source in sources}
    first, ended = threading.Event(), threading.Event()

    def replace_it() -> None:
        turn = 0
        while not ended.is_set():
            with new_bundle(bundle_dir) as work:
                shutil.copytree(sources[turn % 2], work, dirs_exist_ok=True)
            first.set()
            turn += 1
            ended.wait(0.2)

    writer = threading.Thread(target=replace_it)
    writer.start()
    seen = set()
    try:
        assert first.wait(60)
        for _ in range(30):
            done = cli("verify", bundle_dir, "--threads", "1")
            if done.code:
                assert "found another one in its place" in done.error()
                continue
            name, _, text = done.out.partition(" ")
            seen.add((name, text.partition("fingerprint ")[2].split()[0]))
    finally:
        ended.set()
        writer.join()
    assert seen == whole, "names and hashes of one bundle each time, and both were met"
