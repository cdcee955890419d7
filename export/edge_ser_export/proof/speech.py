"""Whose speech a proof is made on: recorded at export, and found again to verify.

Two proofs of one bundle must not disagree because they heard different people. So the export
records its speech by the hashes of the files, in `parity.json`, and never where they lay: a path of
the exporting machine is nobody's business elsewhere. The files of this package are always found
again; those of a user are where that user names their folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Calibration
from edge_ser.bundle.files import sha256
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.parity_record import (
    OF_PACKAGE,
    SpeechFiles,
    SpeechRecord,
    read_parity_record,
)
from edge_ser.data import sample_utterances
from edge_ser.fidelity.limits import MIN_JUDGED
from edge_ser_export.builtin import installed_clips
from edge_ser_export.calibration.classes import Regions
from edge_ser_export.calibration.draw import draw
from edge_ser_export.proof.cases import used_files
from edge_ser_export.proof.golden import UTTERANCES

SAMPLES, CLIPS = f"{OF_PACKAGE} samples", f"{OF_PACKAGE} calibration clips"
# Of the user's speech, so many are judged as a whole; as many as a calibration set draws.
_MOST_JUDGED = 64


@cache
def _builtin() -> dict[str, Path]:
    """The package's speech by hash, without copies."""
    return {sha256(path): path for path in (*installed_clips(), *sample_utterances())}


def with_enough(files: Sequence[Path]) -> list[Path]:
    """Files, and the package's beside them where they are too few to judge agreement on.

    Less speech must not be an easier gate: fewer than eight utterances say nothing about agreement.
    """
    if len(files) >= MIN_JUDGED:
        return list(files)
    there = {sha256(path) for path in files}
    more = [path for digest, path in _builtin().items() if digest not in there]
    return [*files, *more[: UTTERANCES - len(files)]]


class SpeechSet(SpeechFiles):
    """Files that something was judged on."""

    @classmethod
    def of(cls, paths: Sequence[Path]) -> SpeechSet:
        """Hash files."""
        files = tuple((p.name, sha256(p)) for p in paths)
        builtin = _builtin()
        own = [p for p, (_, digest) in zip(paths, files, strict=True) if digest not in builtin]
        if not own:
            samples = {sha256(p) for p in sample_utterances()}
            return cls(SAMPLES if {digest for _, digest in files} <= samples else CLIPS, files)
        folder = Path(os.path.commonpath([p.resolve().parent for p in own])).name or "speech"
        more = len(files) - len(own)
        return cls(f"{folder}, {more} of them {CLIPS}" if more else folder, files)

    @property
    def is_foreign(self) -> bool:
        """Whether any file is the package's, and nobody's own speech."""
        return any(digest in _builtin() for _, digest in self.files)

    def find(self, places: Mapping[str, Path]) -> list[Path] | None:
        """Where the files lie, in order; None unless all are among `places`, path by hash."""
        paths = [places[digest] for _, digest in self.files if digest in places]
        return paths if len(paths) == len(self.files) else None


@dataclass(frozen=True)
class ProofSpeech(SpeechRecord):
    """The speech of one proof, of files that can be found again; attributes as inherited."""

    lengths: SpeechSet
    agreement: SpeechSet | None = None
    recorded: SpeechSet | None = None

    @classmethod
    def of(
        cls,
        speech: Sequence[Path],
        agreement: Sequence[Path] = (),
        recorded: SpeechSet | None = None,
    ) -> ProofSpeech:
        """Of the files that a proof is made on.

        Args:
            speech: as `parity.reference_answers` takes them.
            agreement: of the group "speech"; none: there is no such group.
            recorded: of the recorded answers.
        """
        own = SpeechSet.of(agreement) if agreement else None
        return cls(SpeechSet.of(used_files(speech)), own, recorded)

    def to_dict(self) -> dict[str, Any]:
        """For `parity.json`."""
        return asdict(self)

    @property
    def words(self) -> str:
        """Whose speech it was, in one line."""
        words = f"lengths, padding and files on {self.lengths.source}"
        if self.agreement is None:
            words = f"judged on {self.lengths.source}"
        else:
            count = len(self.agreement.files)
            words = f"agreement judged on {count} of {self.agreement.source}, {words}"
        if self.recorded is not None:
            words += f", recorded answers to {self.recorded.source}"
        return words

    @property
    def notes(self) -> tuple[str, ...]:
        """What was put beside a user's own speech, in words."""
        mixed = {
            "agreement judged on": self.agreement, "recorded answers to": self.recorded
        }  # fmt: skip
        return tuple(
            f"{words} {len(files.files)} of {files.source}: fewer than {MIN_JUDGED} of one's own "
            "say nothing about agreement"
            for words, files in mixed.items()
            if files is not None and f" of them {CLIPS}" in files.source
        )

    @property
    def agrees_on_recorded(self) -> bool:
        """Whether agreement as a whole is judged on the recorded answers, too.

        Not where they are to the package's clips and agreement is judged on a user's own speech:
        a model for that need not tell those clips apart.
        """
        return (
            self.agreement is None
            or self.recorded is None
            or self.agreement.is_foreign
            or not self.recorded.is_foreign
        )


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
    record = read_parity_record(bundle)
    if record is None:
        return None
    if record.speech is not None:
        sets = (record.speech.lengths, record.speech.agreement, record.speech.recorded)
        lengths, agreement, recorded = (
            None if files is None else SpeechSet(files.source, files.files) for files in sets
        )
        assert lengths is not None  # the reader refuses a record without it
        return ProofSpeech(lengths, agreement, recorded)
    lowered = bundle.manifest.lowered if "speech" in record.groups else None
    earlier = lowered.calibration if lowered is not None else None
    return None if earlier is None else _earlier(bundle.manifest, earlier)


def _earlier(manifest: Manifest, calibration: Calibration) -> ProofSpeech:
    lengths = SpeechSet.of(used_files(sample_utterances()))
    if installed_clips():
        # they have labels, so that no model is asked for their regions; bundles of categories
        # have always recorded their files
        regions = Regions(manifest.partition)
        clips = draw(None, manifest.preprocessing, regions, lambda _: np.full(3, np.nan))
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
    theirs = {sha256(p): p for p in given}
    if recorded is None:
        return FoundSpeech(list(given) or sample_utterances(), [])
    places = _builtin() | theirs
    lengths = recorded.lengths.find(places)
    speech = list(given) or lengths or sample_utterances()
    own = recorded.agreement
    if own is None:
        return FoundSpeech(speech, [])
    files = own.find(places)
    hears_theirs = any(digest in theirs for _, digest in own.files)
    same = not given or [sha256(p) for p in used_files(given)] == [
        h for _, h in recorded.lengths.files
    ]
    if not same and not (files and hears_theirs):
        return FoundSpeech(speech, with_enough(_spread(given)))
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
