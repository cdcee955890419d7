"""`edge-ser train`."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from typing import TYPE_CHECKING, Any

from edge_ser.cli.common import add_corpus, needs
from edge_ser.cli.console import print_note
from edge_ser.cli.options import add_fields, given_words, read_fields
from edge_ser.cli.outputs import Output
from edge_ser.errors import MissingExtraError, UsageError
from edge_ser.host.packages import is_installed
from edge_ser.label_table import find_corpus

# What training writes into a run directory.
_FILES = ("best.safetensors", "last.pt", "history.json", "learning-curve.png")

if TYPE_CHECKING:
    from edge_ser_export.models.config import EncoderConfig
    from edge_ser_export.training.config import TrainConfig
    from edge_ser_export.training.train import Trainer


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "train",
        help="train or evaluate a joint model on labelled speech",
        description="Train with the recipe of EmoSphere-SER on a label table in MSP-Podcast's "
        "columns (FileName, EmoAct, EmoVal, EmoDom, Split_Set). Keeps the epoch with the best "
        "sum of CCCs on Development; writes best.safetensors, history.json, learning-curve.png.",
    )
    add_corpus(parser)
    parser.add_argument(
        "-o", "--out", action=Output, folder=True, files=_FILES, shares="evaluate", metavar="RUN",
        help="run directory to write",
    )  # fmt: skip
    parser.add_argument(
        "--cache", action=Output, folder=True, help="for decoded audio (default: RUN/cache)"
    )
    parser.add_argument("--teacher", metavar="CKPT", help="learn from this model: start, frames")
    parser.add_argument("--resume", action="store_true", help="continue the run in RUN")
    parser.add_argument("--evaluate", metavar="CKPT", help="do not train: evaluate a checkpoint")
    parser.add_argument("--split", default="Test1", help="to evaluate on (default Test1)")
    parser.add_argument("--json", action="store_true", help="print the evaluation as JSON")
    parser.set_defaults(run=run)


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Declare the recipe, which is written on the export side: of this command alone."""
    with needs("export", "train"):
        from edge_ser_export.training.config import TrainConfig

        add_fields(parser.add_argument_group("recipe (defaults: as published)"), TrainConfig)


def _check(config: TrainConfig, arguments: argparse.Namespace) -> None:
    """Refuse numbers that cannot be trained with; NaN and infinity are outside every range.

    Raises:
        UsageError: the first of them; a weight of a teacher's loss without one.
    """
    rate, norm = config.learning_rate, config.clip_norm
    for option, good, expected in (
        ("epochs", config.epochs >= 1, "at least 1"),
        ("batch_size", config.batch_size >= 2, "at least 2, for a correlation"),
        ("accumulate", config.accumulate >= 1, "at least 1"),
        ("learning_rate", 0 < rate < math.inf, "a finite number above 0"),
        ("clip_norm", 0 <= norm < math.inf, "a finite number, at least 0"),
        ("auxiliary_floor", 0 <= config.auxiliary_floor <= 1, "0 to 1"),
        ("ema", 0 <= config.ema < 1, "at least 0 and below 1"),
        ("stem_steps", config.stem_steps >= 0, "at least 0"),
        ("distillation", 0 <= config.distillation < math.inf, "a finite number, at least 0"),
        ("threads", arguments.threads is None or config.threads >= 1, "at least 1"),
        # each seed has a thousand of its own for epochs, and numpy's end at 2 ** 32
        ("seed", 0 <= config.seed < 4_000_000, "at least 0 and below 4000000"),
    ):
        if not good:
            name = f"--{option.replace('_', '-')}"
            raise UsageError(name, expected=expected, found=f"{getattr(config, option)}")
    if arguments.distillation is not None and not arguments.teacher:
        raise UsageError(
            "--distillation",
            expected="--teacher beside it, whose frames it weighs",
            found="none",
            advice="name a teacher, or drop it",
        )


def _check_crop(config: TrainConfig, encoder: EncoderConfig) -> None:
    """Refuse crops that give the encoder too few frames to learn from.

    Raises:
        UsageError: they do.
    """
    from edge_ser_export.training.build import shortest_crop_seconds

    mixed, precise = (shortest_crop_seconds(encoder, bfloat16) for bfloat16 in (True, False))
    shortest = mixed if config.bfloat16 else precise
    if config.crop_seconds == 0 or shortest <= config.crop_seconds < math.inf:
        return
    words = f" ({precise:g}, one frame, with --no-bfloat16)" if precise < mixed else ""
    raise UsageError(
        "--crop-seconds", expected=f"0, or {mixed:g} up{words}", found=f"{config.crop_seconds}"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if not is_installed("torch"):  # before paths, and without importing it
        raise MissingExtraError("edge-ser train", "torch", "export")
    with needs("export", "train"):
        if arguments.evaluate:
            return _evaluate(arguments)
        return _train(arguments)


def _train(arguments: argparse.Namespace) -> int:
    from edge_ser_export.builtin import existing_checkpoint
    from edge_ser_export.training.config import TrainConfig
    from edge_ser_export.training.labels import read_training_labels

    if arguments.out is None:
        raise UsageError("--out", expected="a run directory to write", found="none")
    config = read_fields(arguments, TrainConfig)
    _check(config, arguments)
    labels, audio = find_corpus(arguments.labels, arguments.audio)
    table = read_training_labels(labels, audio)
    if arguments.teacher:
        existing_checkpoint(arguments.teacher)
    for split in ("Train", "Development"):  # refuse before hours of decoding
        table.rows(split, 2)

    from edge_ser_export.checkpoints.load import load_checkpoint  # torch: after what may be refused
    from edge_ser_export.training.build import read_encoder
    from edge_ser_export.training.data import Corpus
    from edge_ser_export.training.train import Trainer

    _check_crop(config, read_encoder(config.encoder))
    teacher = load_checkpoint(arguments.teacher).model if arguments.teacher else None
    cache = arguments.cache or arguments.out / "cache"
    corpus = Corpus(table, audio, cache)
    trainer = Trainer(
        config, corpus, arguments.out, teacher, arguments.resume, lambda s: print(s, flush=True)
    )
    try:
        best = trainer.run()
    except KeyboardInterrupt:
        _tell_resume(trainer, arguments)
        raise
    print(f"best on Development: {best}")
    print(f"{arguments.out / 'best.safetensors'}: next, edge-ser export it")
    return 0


def _tell_resume(trainer: Trainer, arguments: argparse.Namespace) -> None:
    """Say how to go on with a run that was interrupted."""
    if not trainer.state_path.is_file():
        print_note("no epoch was finished: the same command starts the run again")
        return
    words = ["edge-ser", "train", arguments.labels, "-o", arguments.out]
    for option in ("audio", "cache", "teacher"):
        value = getattr(arguments, option)
        words += [f"--{option}", value] if value else []
    words += given_words(arguments, type(trainer.config))
    command = shlex.join([*map(str, words), "--resume"])
    print_note(f"{trainer.epoch} of {trainer.config.epochs} epochs are kept; go on with: {command}")


def _evaluate(arguments: argparse.Namespace) -> int:
    from edge_ser_export.builtin import existing_checkpoint
    from edge_ser_export.training.labels import read_training_labels

    if arguments.cache is None and arguments.out is None:
        raise UsageError(
            "--cache", expected="a folder for decoded audio", found="neither --cache nor --out"
        )
    existing_checkpoint(arguments.evaluate)
    labels, audio = find_corpus(arguments.labels, arguments.audio)
    table = read_training_labels(labels, audio)
    rows = table.rows(arguments.split)

    from edge_ser_export.checkpoints.load import load_checkpoint  # torch: after what may be refused
    from edge_ser_export.training.data import Corpus
    from edge_ser_export.training.evaluate import score_split

    checkpoint = load_checkpoint(arguments.evaluate)
    corpus = Corpus(table, audio, arguments.cache or arguments.out / "cache")
    config = checkpoint.config
    result = score_split(checkpoint.model, corpus, rows, config.preprocessing(), config.partition)
    if arguments.json:
        json.dump({"split": arguments.split, **result.to_dict()}, sys.stdout)
        print()
    else:
        print(f"{arguments.split}: {result}")
    return 0
