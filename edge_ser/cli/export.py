"""`edge-ser export`."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.audio.kinds import AUDIO_SUFFIXES
from edge_ser.cli.common import is_device_name, needs
from edge_ser.cli.console import print_warning, step, steps
from edge_ser.cli.export_several import print_several
from edge_ser.cli.export_words import export_record, print_export
from edge_ser.cli.folders import audio_files
from edge_ser.cli.outputs import Output
from edge_ser.cli.parser import Several
from edge_ser.data import sample_utterances
from edge_ser.errors import GateError, MissingPathError, UsageError

if TYPE_CHECKING:
    from edge_ser_export.options import ExportOptions

# What lies in the folder of a checkpoint or bundle, and in none of recordings.
_OF_MODELS = frozenset({".json", ".pt", ".pth", ".bin", ".safetensors", ".onnx"})


def add_parser(commands: Any) -> None:
    """Declare the command."""
    from edge_ser_runtimes.registry import proving_runtimes

    parser = commands.add_parser(
        "export",
        help="turn a checkpoint into a proved bundle",
        description="Export a checkpoint: trace, compare with the PyTorch reference, write a "
        "bundle. Exits with 1 and writes nothing if the bundle would answer differently.",
    )
    parser.add_argument(
        "checkpoint",
        nargs="?",
        metavar="CKPT",
        help="a run directory of EmoSphere-SER, the directory of a published model, an edge-ser "
        ".safetensors or .pt, ORG/NAME of a hub's repository, or `spectral` (default) or "
        "`wavlm-tiny` from this package",
    )
    parser.add_argument("--checkpoint", dest="named", metavar="CKPT", help="the same as an option")
    parser.add_argument(
        "-o",
        "--out",
        action=Output,
        folder=True,
        help="bundle to write; of several targets, their folder",
    )
    parser.add_argument(
        "--revision", help="of a hub's repository: a branch, a tag or a commit (default: main)"
    )
    parser.add_argument("--name", help="of the bundle (default: the checkpoint's)")
    parser.add_argument("--licence", help="of the weights, for the bundle (default: as known)")
    parser.add_argument("--epoch", help="of a run directory: best (default), final, or a number")
    parser.add_argument(
        "--neutral-radius", type=float, metavar="R", help="of the neutral region, if there is one"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=12.0, help="longest utterance (default 12)"
    )
    parser.add_argument(
        "--min-speech",
        type=float,
        metavar="SHARE",
        help="of the time that must be speech, 0 to 1: recordings with less are poor for this "
        "bundle (default: the usual 0.2)",
    )
    parser.add_argument(
        "--short",
        choices=("refuse", "pad"),
        default="refuse",
        help="what the bundle does with audio shorter than a frame, mostly 25 ms (default refuse)",
    )
    add_parity_audio(parser, "your own speech for the proof and the recorded answers")
    _add_lower_precision(parser.add_argument_group("lower precision"))
    _add_engine(parser.add_argument_group("TensorRT"))
    parser.add_argument(
        "--runtime",
        action="append",
        default=[],
        metavar="NAME",
        help=f"prove the bundle in this runtime too, and say how fast it is there: "
        f"{', '.join(proving_runtimes())}",
    )
    parser.add_argument(
        "--keep-failed", action="store_true", help="write the bundle even if parity fails"
    )
    parser.add_argument("--json", action="store_true", help="print what was made as JSON")
    parser.set_defaults(run=run)


def add_targets(parser: argparse.ArgumentParser) -> None:
    """Declare the targets, which are described on the export side: of this command alone."""
    with needs("export", "export"):
        from edge_ser_export.targets import DEFAULT_TARGET, target_words

        parser.add_argument_group("target").add_argument(
            "--target",
            action=Several,
            like=_is_target_name,
            metavar="TARGET",
            help=f"{target_words()} (default {DEFAULT_TARGET}); of several a bundle each in OUT",
        )


def _is_target_name(word: str) -> bool:
    """Whether a word is meant as a target, known or not: a path has more to it."""
    return re.fullmatch(r"(onnx|trt)-[a-z]*[0-9]*", word) is not None


def _add_lower_precision(lower: Any) -> None:
    lower.add_argument(
        "--calibration",
        type=Path,
        metavar="DIR|CSV",
        help="speech like that of the device, to measure ranges and judge the outcome on: a "
        "folder, a table, or the root of a corpus in MSP-Podcast's layout",
    )
    lower.add_argument(
        "--audio", type=Path, metavar="DIR", help="folder of a table's files (default: its own)"
    )
    lower.add_argument(
        "--split", metavar="NAME", help="of a table (default: all but those for testing)"
    )
    lower.add_argument(
        "--recipe",
        default="auto",
        help="of onnx-int8: auto (default: the fastest), dynamic, static",
    )
    lower.add_argument(
        "--cpu",
        default="auto",
        help="of onnx-int8: auto (default: this machine), x86-vnni, x86 (without VNNI) or arm64",
    )
    lower.add_argument(
        "--fp16-form",
        default="weights",
        help="of onnx-fp16: weights (default: half the file) or compute (for devices whose "
        "arithmetic is faster in float16)",
    )
    lower.add_argument(
        "--sensitivity",
        action="store_true",
        help="rank the parts of the model by the damage of INT8 even if all of them pass",
    )
    lower.add_argument(
        "--force", action="store_true", help="write a bundle that is slower on this machine"
    )


def _add_engine(engine: Any) -> None:
    engine.add_argument(
        "--device",
        action=Several,
        like=is_device_name,
        metavar="GPU",
        help="what the engine is for: rtx-4090, t4, orin, thor, sm86...; RTX GPUs can share one",
    )
    engine.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="MIN:OPT:MAX",
        help="batch x seconds, such as 1x0.5s:1x3s:8x12s; may be given several times (default: all "
        "lengths, up to 8 rows)",
    )
    engine.add_argument(
        "--trt-backend",
        default="auto",
        help="auto (default), tensorrt (JetPack, data centre) or rtx (TensorRT for RTX)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    with needs("export", "export"):
        from edge_ser_export.checkpoints.hub import resolve
        from edge_ser_export.options import for_targets
        from edge_ser_export.targets import find_target

        asked = read_options(arguments)
        asked = replace(asked, source=resolve(asked.source, arguments.revision))
        several = for_targets(asked, arguments.target or (asked.target,))
        for options in several:
            options.check()
        if any(o.calibration is None and find_target(o.target).measures for o in several):
            print_warning(
                "no --calibration; the built-in samples are synthetic: "
                "calibrate with speech like that of the device"
            )
        from edge_ser_export import pipeline  # torch: after all that may be refused without it

        with steps(pipeline.export_steps(several[0]) if len(several) == 1 else None) as bar:
            made = pipeline.export_all(several, progress=lambda word: step(bar, word))
    written = [one for one in made if not isinstance(one, GateError)]
    for assumed in written[0].manifest.provenance.checkpoint.assumed if written else ():
        print_warning(f"the checkpoint does not say, and it was assumed: {assumed}")
    if len(several) > 1:
        return print_several(several, made, arguments.json)
    (one,) = made
    if isinstance(one, GateError):
        raise one
    if arguments.json:
        print(json.dumps(export_record(one), indent=1))
    else:
        print_export(one, arguments.verbose)
    return 0


def read_options(arguments: argparse.Namespace) -> ExportOptions:
    """What the command line asks for.

    Raises:
        UsageError: two checkpoints, or a folder of speech without audio.
    """
    if arguments.checkpoint and arguments.named:
        raise UsageError("checkpoint", expected="one", found="two", advice="drop --checkpoint")
    from edge_ser_export.options import ExportOptions
    from edge_ser_export.precision.options import PrecisionOptions
    from edge_ser_export.targets import DEFAULT_TARGET
    from edge_ser_runtimes.engines.plan import EngineOptions

    source = arguments.checkpoint or arguments.named or "spectral"
    return ExportOptions(
        source=source,
        target=(*arguments.target, DEFAULT_TARGET)[0],
        out=arguments.out,
        name=arguments.name,
        licence=arguments.licence,
        epoch=arguments.epoch,
        neutral_radius=arguments.neutral_radius,
        max_seconds=arguments.max_seconds,
        min_speech=arguments.min_speech,
        short=arguments.short,
        speech=tuple(parity_audio(arguments.parity_audio)),
        parity_audio=tuple(arguments.parity_audio),
        runtimes=tuple(arguments.runtime),
        keep_failed=arguments.keep_failed,
        calibration=arguments.calibration,
        calibration_audio=arguments.audio,
        calibration_split=arguments.split,
        precision=PrecisionOptions(
            recipe=arguments.recipe,
            cpu=arguments.cpu,
            half_form=arguments.fp16_form,
            sensitivity=arguments.sensitivity,
            force=arguments.force,
        ),
        engine=EngineOptions(
            tuple(arguments.device), tuple(arguments.profile), arguments.trt_backend
        ),
    )


def add_parity_audio(parser: Any, purpose: str) -> None:
    """Declare the option that `parity_audio` reads."""
    parser.add_argument(
        "--parity-audio",
        action=Several,
        like=_is_speech,
        type=Path,
        metavar="PATH",
        help=f"{purpose}: files and folders",
    )


def _is_speech(word: str) -> bool:
    """Whether a word is audio or a folder of it: one of a model holds other files, too."""
    path = Path(word)
    if path.suffix.lower() in AUDIO_SUFFIXES:
        return not path.is_dir()
    if not path.is_dir():
        return False
    suffixes = {p.suffix.lower() for p in path.iterdir() if p.is_file()}
    return bool(suffixes & AUDIO_SUFFIXES) and not suffixes & _OF_MODELS


def parity_audio(paths: Sequence[Path]) -> list[Path]:
    """The speech that the proof uses: files and folders of the user's, or the package's samples.

    Raises:
        MissingPathError: one of them is not there.
        UsageError: a folder without audio.
    """
    if not paths:
        return sample_utterances()
    for path in paths:
        if not path.exists():
            raise MissingPathError(path, expected="audio or a folder of it", found="nothing there")
    return list(dict.fromkeys(audio_files(paths)[0]))
