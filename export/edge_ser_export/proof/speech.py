"""Whose speech a proof is made on: recorded at export, and found again to verify.

Two proofs of one bundle must not disagree because they heard different people. So the export
records its speech by the hashes of the files, in `parity.json`, and never where they lay: a path of
the exporting machine is nobody's business elsewhere. The files of this package are always found
again; those of a user are where that user names their folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Calibration
from edge_ser.bundle.files import PARITY, sha256
from edge_ser.bundle.manifest import Manifest
from edge_ser.data import sample_utterances
from edge_ser.errors import BundleError
from edge_ser_export.builtin import installed_clips
from edge_ser_export.calibration.draw import draw
from edge_ser_export.proof.cases import used_files

SAMPLES, CLIPS = "the package's samples", "the package's calibration clips"
# Of the user's speech, so many are judged as a whole; as many as a calibration set draws.
_MOST_JUDGED = 64


@dataclass(frozen=True)
class SpeechSet:
    """Files that something was judged on.

    Attributes:
        source: whose speech it is, in words: the package's, or the name of the user's folder.
        files: SHA-256 of each file, in order, beside its name.
    """

    source: str
    files: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> SpeechSet:
        """Hash files."""
        files = tuple((p.name, sha256(p)) for p in paths)
        hashes = {digest for _, digest in files}
        for source, folder in ((SAMPLES, sample_utterances()), (CLIPS, installed_clips())):
            if hashes <= {sha256(p) for p in folder}:
                return cls(source, files)
        parent = Path(os.path.commonpath([p.resolve().parent for p in paths]))
        return cls(parent.name or "speech", files)

    def find(self, places: Mapping[str, Path]) -> list[Path] | None:
        """Where the files lie, in order; None unless all are among `places`, path by hash."""
        paths = [places[digest] for _, digest in self.files if digest in places]
        return paths if len(paths) == len(self.files) else None


@dataclass(frozen=True)
class ProofSpeech:
    """The speech of one proof.

    Attributes:
        lengths: what the utterances of all lengths, and the files, were made from.
        agreement: what agreement as a whole was judged on; None where it was on the former.
    """

    lengths: SpeechSet
    agreement: SpeechSet | None = None

    @classmethod
    def of(cls, speech: Sequence[Path], agreement: Sequence[Path] = ()) -> ProofSpeech:
        """Of the files that a proof is made on.

        Args:
            speech: as `parity.reference_answers` takes them.
            agreement: of the group "speech"; none: there is no such group.
        """
        own = SpeechSet.of(agreement) if agreement else None
        return cls(SpeechSet.of(used_files(speech)), own)

    def to_dict(self) -> dict[str, Any]:
        """For `parity.json`."""
        return asdict(self)

    @property
    def words(self) -> str:
        """Whose speech it was, in one line."""
        lengths = f"lengths, padding and files on {self.lengths.source}"
        if self.agreement is None:
            return f"judged on {self.lengths.source}"
        count = len(self.agreement.files)
        return f"agreement judged on {count} of {self.agreement.source}, {lengths}"


@dataclass(frozen=True)
class FoundSpeech:
    """The files to verify a bundle on.

    Attributes:
        speech: for utterances of all lengths, padding and files.
        agreement: to judge agreement as a whole on; empty: no group of its own.
        missing: why the speech that agreement was judged on at export is not here; empty if it is.
    """

    speech: list[Path]
    agreement: list[Path]
    missing: str = ""


def recorded_speech(bundle: Bundle) -> ProofSpeech | None:
    """The speech that a bundle was judged on when it was exported; None where nothing tells.

    Bundles that record no files tell by the fingerprint of their calibration whether they were
    judged on the package's clips.

    Raises:
        BundleError: a damaged record.
    """
    if PARITY not in {f.path for f in bundle.manifest.files}:
        return None
    try:
        report = json.loads((bundle.root / PARITY).read_text(encoding="utf-8"))
        record = report.get("speech")
        if record is not None:
            own = record["agreement"]
            return ProofSpeech(
                _read_set(record["lengths"]), None if own is None else _read_set(own)
            )
        lowered = bundle.manifest.lowered if "speech" in report["groups"] else None
        earlier = lowered.calibration if lowered is not None else None
        return None if earlier is None else _earlier(bundle.manifest, earlier)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(
            PARITY,
            expected="a record of the speech of the proof",
            found=f"{type(error).__name__}: {error}",
            advice="export again",
        ) from error


def _earlier(manifest: Manifest, calibration: Calibration) -> ProofSpeech:
    lengths = SpeechSet.of(used_files(sample_utterances()))
    if installed_clips():
        # they have labels, so that no model is asked for their regions
        clips = draw(None, manifest.preprocessing, manifest.partition, lambda _: np.full(3, np.nan))
        if calibration.fingerprint == clips.fingerprint:
            return ProofSpeech(lengths, SpeechSet.of([u.path for u in clips.judge]))
    unknown = (("", ""),) * (calibration.judge or 0)  # no file has an empty hash
    return ProofSpeech(lengths, SpeechSet(str(calibration.source), unknown))


def find_speech(recorded: ProofSpeech | None, given: Sequence[Path] = ()) -> FoundSpeech:
    """The files that a bundle was judged on, as far as they are here.

    Args:
        recorded: of the bundle.
        given: audio files of the user's. Where they hold other speech than the export's, they are
            what agreement is judged on.
    """
    builtin = {sha256(p): p for p in (*sample_utterances(), *installed_clips())}
    theirs = {sha256(p): p for p in given}
    if recorded is None:
        return FoundSpeech(list(given) or sample_utterances(), [])
    lengths = recorded.lengths.find(builtin | theirs)
    speech = list(given) or lengths or sample_utterances()
    own = recorded.agreement
    if own is None:
        return FoundSpeech(speech, [])
    within = own.find(theirs)
    same = not given or [sha256(p) for p in used_files(given)] == [
        h for _, h in recorded.lengths.files
    ]
    if within is None and not same:
        return FoundSpeech(speech, _spread(given))
    files = within or own.find(builtin)
    if files is not None:
        return FoundSpeech(speech, files)
    return FoundSpeech(
        speech,
        [],
        f"the export judged it on {len(own.files)} files of {own.source}, which are not here "
        "(name their folder with --parity-audio)",
    )


def _spread(files: Sequence[Path]) -> list[Path]:
    """At most as many as are judged, from all over the list."""
    picked = np.linspace(0, len(files) - 1, min(len(files), _MOST_JUDGED), dtype=int)
    return [files[i] for i in picked]


def _read_set(data: Mapping[str, Any]) -> SpeechSet:
    files = tuple((str(name), str(digest)) for name, digest in data["files"])
    return SpeechSet(str(data["source"]), files)
