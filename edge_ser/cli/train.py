"""`edge-ser train`."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

from edge_ser.audio import Preprocessing
from edge_ser.cli.common import add_corpus, needs
from edge_ser.cli.options import add_fields, read_fields
from edge_ser.errors import UsageError
from edge_ser.label_table import find_corpus


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
    parser.add_argument("-o", "--out", type=Path, metavar="RUN", help="run directory to write")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="for decoded audio (default: RUN/cache)"
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


# In bfloat16, gradients of a convolution whose input is a single frame are NaN. Crops of less than
# about 0.045 s come to that.
_MIN_BFLOAT16_CROP_SECONDS = 0.05


def _check(a: argparse.Namespace) -> None:
    """Refuse numbers that cannot be trained with; NaN and infinity are outside every range.

    Raises:
        UsageError: the first of them.
    """
    frame = Preprocessing.min_samples / Preprocessing.sample_rate
    shortest = _MIN_BFLOAT16_CROP_SECONDS if a.bfloat16 else frame
    crops = f"0, or {_MIN_BFLOAT16_CROP_SECONDS:g} up ({frame:g}, one frame, with --no-bfloat16)"
    for option, good, expected in (
        ("epochs", a.epochs >= 1, "at least 1"),
        ("batch_size", a.batch_size >= 2, "at least 2, for a correlation"),
        ("accumulate", a.accumulate >= 1, "at least 1"),
        ("learning_rate", 0 < a.learning_rate < math.inf, "a finite number above 0"),
        ("clip_norm", 0 <= a.clip_norm < math.inf, "a finite number, at least 0"),
        ("crop_seconds", a.crop_seconds == 0 or shortest <= a.crop_seconds < math.inf, crops),
        ("auxiliary_floor", 0 <= a.auxiliary_floor <= 1, "0 to 1"),
        ("ema", 0 <= a.ema < 1, "at least 0 and below 1"),
        ("stem_steps", a.stem_steps >= 0, "at least 0"),
        ("distillation", 0 <= a.distillation < math.inf, "a finite number, at least 0"),
        ("threads", a.threads >= 0, "at least 0"),
        # each seed has a thousand of its own for epochs, and numpy's end at 2 ** 32
        ("seed", 0 <= a.seed < 4_000_000, "at least 0 and below 4000000"),
    ):
        if not good:
            name = f"--{option.replace('_', '-')}"
            raise UsageError(name, expected=expected, found=f"{getattr(a, option)}")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    with needs("export", "train"):
        if arguments.evaluate:
            return _evaluate(arguments)
        return _train(arguments)


def _train(arguments: argparse.Namespace) -> int:
    from edge_ser_export.checkpoints.load import load_checkpoint
    from edge_ser_export.training.build import check_encoder
    from edge_ser_export.training.config import TrainConfig
    from edge_ser_export.training.data import Corpus, read_training_labels
    from edge_ser_export.training.train import Trainer

    if arguments.out is None:
        raise UsageError("--out", expected="a run directory to write", found="none")
    _check(arguments)
    config = read_fields(arguments, TrainConfig)
    labels, audio = find_corpus(arguments.labels, arguments.audio)
    table = read_training_labels(labels, audio)
    for split in ("Train", "Development"):  # refuse before hours of decoding
        table.rows(split, 2)
    check_encoder(arguments.encoder)
    teacher = load_checkpoint(arguments.teacher).model if arguments.teacher else None
    cache = arguments.cache or arguments.out / "cache"
    corpus = Corpus(table, audio, cache)
    trainer = Trainer(
        config, corpus, arguments.out, teacher, arguments.resume, lambda s: print(s, flush=True)
    )
    best = trainer.run()
    print(f"best on Development: {best}")
    print(f"{arguments.out / 'best.safetensors'}: next, edge-ser export it")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from edge_ser_export.checkpoints.load import load_checkpoint
    from edge_ser_export.training.data import Corpus, read_training_labels
    from edge_ser_export.training.evaluate import evaluate

    if arguments.cache is None and arguments.out is None:
        raise UsageError(
            "--cache", expected="a folder for decoded audio", found="neither --cache nor --out"
        )
    checkpoint = load_checkpoint(arguments.evaluate)
    labels, audio = find_corpus(arguments.labels, arguments.audio)
    table = read_training_labels(labels, audio)
    rows = table.rows(arguments.split)
    corpus = Corpus(table, audio, arguments.cache or arguments.out / "cache")
    config = checkpoint.config
    result = evaluate(checkpoint.model, corpus, rows, config.preprocessing(), config.partition)
    if arguments.json:
        json.dump({"split": arguments.split, **result.to_dict()}, sys.stdout)
        print()
    else:
        print(f"{arguments.split}: {result}")
    return 0
