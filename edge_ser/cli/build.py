"""`edge-ser build`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edge_ser.bundle.files import MANIFEST, fingerprint_of
from edge_ser.cli.common import is_device_name
from edge_ser.cli.console import print_warning, step, steps
from edge_ser.cli.parser import Several


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "build",
        help="build a bundle's TensorRT engine on the device that runs it",
        description="Build the engine of a TensorRT bundle with the TensorRT of this device, run "
        "the recorded utterances on it, and note the result in the bundle. Also for an engine of "
        "another GPU or version. Needs no torch.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="directory or .zip")
    parser.add_argument(
        "--device",
        action=Several,
        like=is_device_name,
        metavar="GPU",
        help="what to build for (default: this machine's GPU)",
    )
    parser.add_argument(
        "--trt-backend",
        default="auto",
        help="auto (default: the bundle's), tensorrt or rtx (TensorRT for RTX)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace an engine for other GPUs than --device names"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from edge_ser_runtimes.engines.on_device import build_on_device

    with steps(None) as bar:
        built = build_on_device(
            arguments.bundle,
            devices=tuple(arguments.device),
            backend=arguments.trt_backend,
            progress=lambda word: step(bar, word),
            force=arguments.force,
        )
    if built.replaced is not None:
        print_warning(f"replaced the engine for {built.replaced.made_for}, which is not kept")
    if built.scores_lapsed:
        print_warning(
            "percentiles and intervals do not count any more, as another engine answers now; "
            "edge-ser evaluate --calibrate makes them again"
        )
    engine = built.engine
    mb = (arguments.bundle / engine.file).stat().st_size / 1e6
    print(
        f"{arguments.bundle}: {engine.precision} engine of {mb:.1f} MB for {engine.made_for}, "
        f"{engine.library} {engine.version}, built in {engine.build_seconds:.1f} s"
    )
    for group, result in built.verdict.groups.items() if built.verdict is not None else ():
        print(
            f"{group:<8}{result.count} utterances: largest difference {result.measure} "
            f"{result.largest:.1e}, "
            f"{result.changed} {result.classes_of(result.changed)} changed"
        )
    print(f"fingerprint {fingerprint_of((arguments.bundle / MANIFEST).read_bytes())}")
    print(
        "verified: the engine gives the reference's answers on this device"
        if engine.verified
        else "not run: no such GPU here; on the device, edge-ser verify runs it"
    )
    return 0
