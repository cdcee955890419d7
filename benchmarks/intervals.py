r"""How often intervals hold the labels of clips that they were not made of.

    python benchmarks/make_corpus.py --train 0 --dev 300 --test 600 --flite-train 0 --flite-test 0 \
        CORPUS
    python benchmarks/intervals.py CORPUS > benchmarks/results/intervals.md

A bundle is calibrated on the split Development and asked for Test1; labels are the corpus's own.
"""

import argparse
import math
import warnings
from pathlib import Path

import numpy as np

import edge_ser
from edge_ser.bundle.score_reference import ScoreReference
from edge_ser.emotion.scale import DIMENSIONS, SCORE_MAX, SCORE_MIN
from edge_ser.errors import PoorAudioWarning


def main() -> None:
    """Print a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--bundle", type=Path, help="default: the package's")
    options = parser.parse_args()
    warnings.simplefilter("ignore", PoorAudioWarning)
    table, audio = options.corpus / "labels.csv", options.corpus / "audio"
    with edge_ser.load(options.bundle, threads=1) as ser:
        near = edge_ser.evaluate(ser, table, audio, "Development")
        far = edge_ser.evaluate(ser, table, audio, "Test1")
        manifest = ser.manifest
    near_labels, far_labels = near.clips.labels, far.clips.labels
    assert near.answers is not None and near_labels is not None
    assert far.answers is not None and far_labels is not None
    print(f"# Intervals of labels held out\n\n{manifest.name} ({manifest.target}), calibrated on")
    print(f"{len(near_labels)} synthetic clips and asked for {len(far_labels)} others of the same")
    print("voices. Made by `benchmarks/intervals.py`.\n")
    print("| coverage asked | arousal | dominance | valence | three errors below |")
    print("|---|---|---|---|---|")
    distances = np.abs(far.answers.clip(SCORE_MIN, SCORE_MAX) - far_labels)
    for coverage in (0.8, 0.9, 0.95):
        reference = ScoreReference.of_labelled(
            near.answers, near_labels, coverage, "Development", manifest.files
        )
        assert reference.half_widths is not None  # of labelled clips
        widths = np.array([reference.half_widths[name] for name in DIMENSIONS])
        cells = [
            f"{share:.3f} within {width:.2f}"
            for share, width in zip((distances <= widths).mean(axis=0), widths, strict=True)
        ]
        # of the clips asked for, and of those calibrated on
        spread = math.sqrt(coverage * (1 - coverage) * (1 / len(far_labels) + 1 / len(near_labels)))
        print(f"| {coverage:g} | {' | '.join(cells)} | {coverage - 3 * spread:.3f} |")


if __name__ == "__main__":
    main()
