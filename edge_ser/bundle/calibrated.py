"""A bundle once more, with what its scores mean."""

from __future__ import annotations

import shutil
from pathlib import Path

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import DOCUMENTS, SCORES
from edge_ser.bundle.score_reference import ScoreReference
from edge_ser.bundle.writing import new_bundle, seal


def write_calibrated(bundle: Bundle, reference: ScoreReference, out: Path) -> None:
    """Write a bundle's files with a reference of its scores, all or nothing.

    It is a bundle of its own: its fingerprint is another one, and a signature is not taken along.

    Args:
        bundle: as it was opened.
        reference: of its answers.
        out: new directory, or a bundle to be replaced.

    Raises:
        UsageError: something else lies there.
        BundleChangedError: the bundle was replaced meanwhile.
    """
    with new_bundle(out) as work:
        for entry in bundle.manifest.files:
            if entry.path in (*DOCUMENTS, SCORES):
                continue
            place = work / entry.path
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.root / entry.path, place)
        bundle.check_unchanged()
        reference.write(work)
        seal(work, bundle.manifest)
