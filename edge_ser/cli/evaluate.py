"""`edge-ser evaluate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.calibrated import write_calibrated
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.score_reference import ScoreReference, rank_of
from edge_ser.bundle.writing import check_new_bundle
from edge_ser.cli.common import add_corpus, add_runtime_options
from edge_ser.cli.console import print_error, print_note, print_warning, told_warnings
from edge_ser.cli.outputs import Output
from edge_ser.cli.parser import Several
from edge_ser.errors import DataError, GateError, UsageError
from edge_ser.label_table import CATEGORY_COLUMN
from edge_ser.load import load
from edge_ser.plotting import check_plot_path
from edge_ser.progress import watched
from edge_ser.report.files import check_output_path
from edge_ser.scoring.answers import is_json, read_answers, write_answers, write_choices
from edge_ser.scoring.budgets import broken, broken_uar, check_applies, parse_least
from edge_ser.scoring.clips import LabelledClips, read_clips
from edge_ser.scoring.evaluate import BATCH_SIZE, Evaluation, evaluate_clips
from edge_ser.scoring.plot import write_plot
from edge_ser.scoring.tables import page

# Clips that are named when they cannot be used; the others are counted.
_NAMED = 10


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "evaluate",
        help="compare a bundle's answers with labels",
        description="Answer every clip of a labelled split and print agreement with the labels: "
        "CCC with its interval, Pearson, errors, regions; of categories: UAR with its interval, "
        "macro-F1, accuracy, confusions. Needs no torch. With --min-ccc or --min-uar a gate: exit "
        "code 1 if it fails.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="directory or .zip")
    add_corpus(parser)
    parser.add_argument("--split", default="Test1", help="to answer (default Test1); all: all rows")
    parser.add_argument(
        "--answers",
        type=Path,
        metavar="FILE",
        help="of a reference to the same clips, to compare with: CSV, or JSON, as --save-answers "
        "or edge-ser predict write them",
    )
    parser.add_argument(
        "--min-ccc",
        action=Several,
        like=lambda word: "=" in word,
        metavar="[NAME=]CCC",
        help="least concordance with the labels, such as valence=0.5, or 0.5 for each dimension",
    )
    parser.add_argument(
        "--min-uar", type=float, metavar="UAR", help="least unweighted average recall of categories"
    )
    parser.add_argument(
        "--category-column",
        default=CATEGORY_COLUMN,
        metavar="NAME",
        help=f"of the labels of categories (default {CATEGORY_COLUMN})",
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out clips that are missing or cannot be read, which else are an error",
    )
    add_runtime_options(parser)
    parser.add_argument(
        "--batch-size", type=int, default=BATCH_SIZE, help=f"clips per run (default {BATCH_SIZE})"
    )
    parser.add_argument(
        "-o",
        "--out",
        "--save-answers",
        dest="save_answers",
        action=Output,
        help="write answers as CSV",
    )
    parser.add_argument("--plot", action=Output, help="draw a scatter as .png or .svg")
    parser.add_argument(
        "--calibrate",
        action=Output,
        folder=True,
        help="write the bundle there with intervals and percentiles of these answers and labels",
    )
    parser.add_argument(
        "--coverage",
        type=float,
        default=0.9,
        metavar="SHARE",
        help="of labels that the intervals of --calibrate hold, at least (default 0.9)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def _check_answers_path(path: Path) -> None:
    """CSV by another name could not be read back with `--answers`."""
    if is_json(path):
        raise UsageError(
            path, expected="a name for CSV", found=path.suffix, advice="end it in .csv"
        )
    check_output_path(path)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: 2 if any clip could not be used, after all others were."""
    limits = parse_least(arguments.min_ccc)
    if arguments.batch_size < 1:
        raise UsageError("--batch-size", expected="at least 1", found=str(arguments.batch_size))
    if arguments.plot is not None:
        check_plot_path(arguments.plot, "edge-ser evaluate")
    if arguments.save_answers is not None:
        _check_answers_path(arguments.save_answers)
    if not 0 < arguments.coverage < 1:
        raise UsageError(
            "--coverage", expected="a share between 0 and 1", found=f"{arguments.coverage:g}"
        )
    if arguments.calibrate is not None:
        check_new_bundle(arguments.calibrate)
    reference = None if arguments.answers is None else read_answers(arguments.answers)
    clips = read_clips(
        arguments.labels, arguments.audio, arguments.split, arguments.category_column
    )
    missing = clips.missing()
    if missing and not arguments.skip_bad:  # hours may lie between here and the end
        raise DataError(
            clips.audio,
            expected=f"the {len(clips.files)} files of split {clips.split} of {clips.table}",
            found=f"{len(missing)} missing, first {missing[0]}",
            advice="name their folder with --audio, or leave them out with --skip-bad",
        )
    with (
        told_warnings(),
        load(
            arguments.bundle, arguments.runtime, arguments.threads, provider=arguments.provider
        ) as recognizer,
        watched(total=len(clips.files), unit="clip", name="evaluate") as bar,
    ):
        check_applies(limits, arguments.min_uar, recognizer.manifest, clips)
        if arguments.calibrate is not None:
            _check_calibrates(arguments.coverage, recognizer.bundle.manifest, clips)
        source = "" if arguments.answers is None else arguments.answers.name
        evaluation = evaluate_clips(
            recognizer, clips, arguments.batch_size, reference, source, bar.update
        )
        if arguments.calibrate is not None:
            _calibrate(arguments, recognizer.bundle, evaluation)
    _write(arguments, evaluation)
    _tell_unusable(evaluation, arguments.skip_bad)
    failures = broken(limits, evaluation.dimensions)
    failures += broken_uar(arguments.min_uar, evaluation.categories)
    if failures:
        error = GateError(
            f"evaluation of {evaluation.bundle}",
            expected="at least the agreement asked for",
            found="; ".join(failures),
        )
        if not evaluation.unusable or arguments.skip_bad:
            raise error
        print_error(error)
    return 2 if evaluation.unusable and not arguments.skip_bad else 0


def _check_calibrates(coverage: float, manifest: Manifest, clips: LabelledClips) -> None:
    """Refuse, before any clip is answered, what can give no intervals.

    Raises:
        UsageError: a model or labels without dimensions.
        DataError: too few clips.
    """
    if not manifest.has_dimensions or clips.labels is None:
        raise UsageError(
            "--calibrate",
            expected="answers and labels of arousal, dominance and valence",
            found="categories",
        )
    rank_of(coverage, len(clips.files))


def _calibrate(arguments: argparse.Namespace, bundle: Bundle, evaluation: Evaluation) -> None:
    """Write the bundle with what its scores mean.

    Raises:
        DataError: too few clips could be answered.
    """
    clips = evaluation.clips
    assert evaluation.answers is not None and clips.labels is not None  # see _check_calibrates
    source = f"{clips.table}, split {clips.split}"
    reference = ScoreReference.of_labelled(
        evaluation.answers, clips.labels, arguments.coverage, source, bundle.manifest.files
    )
    write_calibrated(bundle, reference, arguments.calibrate)
    print_note(f"{arguments.calibrate}: {reference.words}")


def _write(arguments: argparse.Namespace, evaluation: Evaluation) -> None:
    files, shares = evaluation.clips.files, evaluation.probabilities
    if arguments.save_answers is not None and evaluation.answers is not None:
        write_answers(arguments.save_answers, files, evaluation.answers)
    elif arguments.save_answers is not None and shares is not None:
        assert evaluation.categories is not None  # where there are shares
        write_choices(arguments.save_answers, files, evaluation.categories.names, shares)
    if arguments.plot is not None:
        write_plot(arguments.plot, evaluation)
    print(json.dumps(evaluation.to_dict(), indent=1) if arguments.json else page(evaluation))


def _tell_unusable(evaluation: Evaluation, skip: bool) -> None:
    """Name the first clips that have no part in the scores, and count all."""
    tell = print_warning if skip else print_error
    unusable = evaluation.unusable
    for line in unusable[:_NAMED]:
        tell(line)
    if unusable:
        total = len(unusable) + len(evaluation.clips.files)
        tell(f"{len(unusable)} of {total} clips have no part in the scores")
