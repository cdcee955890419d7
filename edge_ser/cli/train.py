"""`edge-ser train`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edge_ser.cli.common import needs
from edge_ser.errors import UsageError


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "train",
        help="train or evaluate a joint model on labelled speech",
        description="Train with the recipe of EmoSphere-SER on a label table in MSP-Podcast's "
        "columns (FileName, EmoAct, EmoVal, EmoDom, Split_Set). Keeps the epoch with the best "
        "sum of CCCs on Development; writes best.safetensors, history.json, learning-curve.png.",
    )
    parser.add_argument("labels", type=Path, metavar="LABELS.csv")
    parser.add_argument("--audio", type=Path, required=True, metavar="DIR", help="folder of audio")
    parser.add_argument("-o", "--out", type=Path, metavar="RUN", help="run directory to write")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="for decoded audio (default: RUN/cache)"
    )
    parser.add_argument(
        "--encoder",
        default="microsoft/wavlm-large",
        help="`spectral` or `wavlm-tiny` from nothing, or a WavLM model in Transformers' format: a "
        "directory, or a name in its cache (default microsoft/wavlm-large; never downloaded)",
    )
    parser.add_argument("--resume", action="store_true", help="continue the run in RUN")
    parser.add_argument("--evaluate", metavar="CKPT", help="do not train: evaluate a checkpoint")
    parser.add_argument("--split", default="Test1", help="to evaluate on (default Test1)")
    parser.add_argument("--json", action="store_true", help="print the evaluation as JSON")
    recipe = parser.add_argument_group("recipe (defaults: as published)")
    recipe.add_argument("--epochs", type=int, default=20)
    recipe.add_argument("--batch-size", type=int, default=64)
    recipe.add_argument("--accumulate", type=int, default=4, help="batches per update (4)")
    recipe.add_argument("--learning-rate", type=float, default=1e-5)
    recipe.add_argument("--schedule", choices=("constant", "cosine"), default="constant")
    recipe.add_argument("--crop-seconds", type=float, default=0.0, help="random part; 0: all")
    recipe.add_argument(
        "--auxiliary-floor", type=float, default=0.0, help="region loss weight after epoch 5"
    )
    recipe.add_argument("--ema", type=float, default=0.0, help="decay of averaged weights; 0: none")
    recipe.add_argument(
        "--stem-steps", type=int, default=0, help="pre-training steps of a waveform stem"
    )
    recipe.add_argument("--teacher", metavar="CKPT", help="learn from this model: start, frames")
    recipe.add_argument("--distillation", type=float, default=1.0, help="weight of that loss")
    recipe.add_argument("--no-bfloat16", action="store_true", help="compute in float32")
    recipe.add_argument("--half", action="store_true", help="store the checkpoint in float16")
    recipe.add_argument("--licence", default="unknown", help="of the weights, for the manifest")
    recipe.add_argument("--threads", type=int, default=0)
    recipe.add_argument("--device", default="auto", help="auto (default), cpu, cuda, ...")
    recipe.add_argument("--seed", type=int, default=7)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    with needs("export", "train"):
        if arguments.evaluate:
            return _evaluate(arguments)
        return _train(arguments)


def _train(arguments: argparse.Namespace) -> int:
    from edge_ser_export.checkpoint import load_checkpoint
    from edge_ser_export.training.build import check_encoder
    from edge_ser_export.training.data import Corpus, read_labels
    from edge_ser_export.training.train import TrainConfig, Trainer

    if arguments.out is None:
        raise UsageError("--out", expected="a run directory to write", found="none")
    for name, least in (("epochs", 1), ("batch_size", 1), ("accumulate", 1), ("stem_steps", 0)):
        if getattr(arguments, name) < least:
            raise UsageError(
                f"--{name.replace('_', '-')}",
                expected=f"at least {least}",
                found=str(getattr(arguments, name)),
            )
    config = TrainConfig(
        encoder=arguments.encoder,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        accumulate=arguments.accumulate,
        learning_rate=arguments.learning_rate,
        schedule=arguments.schedule,
        crop_seconds=arguments.crop_seconds,
        auxiliary_floor=arguments.auxiliary_floor,
        ema=arguments.ema,
        stem_steps=arguments.stem_steps,
        distillation=arguments.distillation,
        bfloat16=not arguments.no_bfloat16,
        half=arguments.half,
        licence=arguments.licence,
        threads=arguments.threads,
        device=arguments.device,
        seed=arguments.seed,
    )
    table = read_labels(arguments.labels, arguments.audio)
    for split in ("Train", "Development"):  # refuse before hours of decoding
        table.rows(split)
    check_encoder(arguments.encoder)
    teacher = load_checkpoint(arguments.teacher).model if arguments.teacher else None
    cache = arguments.cache or arguments.out / "cache"
    corpus = Corpus(table, arguments.audio, cache, 12.0)
    trainer = Trainer(
        config, corpus, arguments.out, teacher, arguments.resume, lambda s: print(s, flush=True)
    )
    best = trainer.run()
    print(f"best on Development: {best}")
    print(f"{arguments.out / 'best.safetensors'}: next, edge-ser export it")
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from edge_ser_export.checkpoint import load_checkpoint
    from edge_ser_export.training.data import Corpus, read_labels
    from edge_ser_export.training.evaluate import evaluate

    if arguments.cache is None and arguments.out is None:
        raise UsageError(
            "--cache", expected="a folder for decoded audio", found="neither --cache nor --out"
        )
    checkpoint = load_checkpoint(arguments.evaluate)
    table = read_labels(arguments.labels, arguments.audio)
    rows = table.rows(arguments.split)
    corpus = Corpus(table, arguments.audio, arguments.cache or arguments.out / "cache", 12.0)
    config = checkpoint.config
    result = evaluate(checkpoint.model, corpus, rows, config.preprocessing(), config.partition)
    if arguments.json:
        json.dump({"split": arguments.split, **result.to_dict()}, sys.stdout)
        print()
    else:
        print(f"{arguments.split}: {result}")
    return 0
