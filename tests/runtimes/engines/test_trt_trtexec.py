"""Engines that trtexec builds and runs, where that is all of TensorRT."""

import os
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.device_bundles import contents, never
from helpers.rtx_graphs import typed

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.engine import Census, Profile
from edge_ser.bundle.writing import seal
from edge_ser.errors import DeviceError, GateError, UsageError
from edge_ser_runtimes.engines.on_device import build_on_device

PROGRAM = """#!{python}
import json, sys
import numpy as np
options = dict(a.lstrip("-").partition("=")[::2] for a in sys.argv[1:])
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
print("&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] [b9]")
if {fails}:
    print("[E] Error[4]: the graph is not taken")
    sys.exit(1)
if "saveEngine" in options:
    open(options["saveEngine"], "wb").write(b"ftrt engine")
else:
    import onnxruntime
    files = dict(p.split(":", 1) for p in options["loadInputs"].split(","))
    shapes = dict(p.split(":") for p in options["shapes"].split(","))
    feed = {{
        name: np.fromfile(files[name], kind).reshape([int(n) for n in shapes[name].split("x")])
        for name, kind in (("samples", np.float32), ("lengths", np.int64))
    }}
    rows, length = feed["samples"].shape
    if rows > {most} or rows < {least} or length < 16000:
        print("[E] Error[3]: shapes outside the profile")
        sys.exit(1)
    session = onnxruntime.InferenceSession({graph!r})
    outputs = session.run(["vad", "region_logits"], feed)
    told = [
        {{"name": n, "dimensions": "x".join(map(str, v.shape)), "values": v.ravel().tolist()}}
        for n, v in zip(("vad", "region_logits"), outputs)
    ]
    if {nan}:
        told[0]["values"][0] = float("nan")
    json.dump(told, open(options["exportOutput"], "w"))
"""


@pytest.fixture
def program(
    tmp_path: Path, orin: Path, here: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """A program with trtexec's options that runs the graph instead: only its calls are proved."""
    here("sm87")
    monkeypatch.setitem(sys.modules, "tensorrt", None)

    def install(
        version: str = "100300",
        fails: bool = False,
        nan: bool = False,
        least: int = 1,
        most: int = 2,
    ) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path, log = folder / "trtexec", tmp_path / "log"
        graph, _ = typed("spectral", "fp16")
        text = PROGRAM.format(
            python=sys.executable,
            log=str(log),
            version=version,
            fails=fails,
            graph=str(graph),
            nan=nan,
            least=least,
            most=most,
        )
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return log

    return install


def test_trtexec_where_only_that_is_installed(orin: Path, program: Callable[..., Path]) -> None:
    log = program()
    build_on_device(orin, never)
    engine = Bundle.open(orin).manifest.engine
    assert (engine.version, engine.verified) == ("10.3.0", True)
    assert (orin / "model.engine").read_bytes() == b"ftrt engine"
    build, *runs = log.read_text().splitlines()
    for option in (
        '"--stronglyTyped"', '"--noTF32"', '"--skipInference"',
        '"--minShapes=samples:1x16000,lengths:1"', '"--optShapes=samples:1x48000,lengths:1"',
        '"--maxShapes=samples:2x192000,lengths:2"',
    ):  # fmt: skip
        assert option in build
    assert len(runs) == 17 + 9, "the recorded utterances, and batches of four as two of two"
    assert ["--shapes=samples:2x" in run for run in runs[17:]] == [True] * 8 + [False]
    assert "--shapes=samples:1x16000,lengths:1" in runs[16], "the shortest, padded to the profile"


def test_trtexec_that_fails(orin: Path, program: Callable[..., Path]) -> None:
    program(fails=True)
    before = contents(orin)
    with pytest.raises(
        DeviceError, match=r"found \[E\] Error\[4\]: the graph is not taken; run it"
    ):
        build_on_device(orin, never)
    assert contents(orin) == before


def test_trtexec_of_jetpack_5(orin: Path, program: Callable[..., Path]) -> None:
    program(version="080502")
    with pytest.raises(DeviceError, match=r"10.3 or newer \(JetPack 6 or 7\), found 8.5.2"):
        build_on_device(orin, never)


def test_trtexec_takes_one_profile(orin: Path, program: Callable[..., Path]) -> None:
    program()
    manifest = Bundle.open(orin).manifest
    profiles = manifest.engine.profiles * 2
    seal(orin, manifest.with_parts(engine=replace(manifest.engine, profiles=profiles)))
    with pytest.raises(UsageError, match=r"profiles: expected one, .* found 2"):
        build_on_device(orin, never)


@pytest.mark.parametrize("batch", [(1, 1, 1), (3, 3, 3)])
def test_trtexec_gets_only_shapes_of_the_profile(
    orin: Path, program: Callable[..., Path], batch: tuple[int, int, int]
) -> None:
    program(least=batch[0], most=batch[2])
    manifest = Bundle.open(orin).manifest
    profiles = (Profile(batch, (16_000, 48_000, 192_000)),)
    seal(orin, manifest.with_parts(engine=replace(manifest.engine, profiles=profiles)))
    assert build_on_device(orin, never).manifest.engine.verified is True


def test_trtexec_answers_that_are_not_finite(orin: Path, program: Callable[..., Path]) -> None:
    program(nan=True)
    before = contents(orin)
    with pytest.raises(GateError, match=r"expected finite answers, found nan or inf"):
        build_on_device(orin, never)
    assert contents(orin) == before


def test_trtexec_does_not_prove_precision(orin: Path, program: Callable[..., Path]) -> None:
    program()
    manifest = Bundle.open(orin).manifest
    seal(orin, manifest.with_parts(engine=replace(manifest.engine, census=Census(), share=0.0)))
    with pytest.raises(UsageError, match=r"found no count; install .*python3-libnvinfer"):
        build_on_device(orin, never)


def test_the_working_directory_and_links(
    orin: Path, program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    program()
    link = orin.parent / "link"
    link.symlink_to(orin)
    build_on_device(link, never)
    assert link.is_symlink() and Bundle.open(orin).manifest.engine.verified is True
    monkeypatch.chdir(orin)
    assert build_on_device(Path(), never).manifest.engine.verified is True
