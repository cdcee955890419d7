"""What `parity.json` says about how a bundle was judged at export, and on whose speech."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import PARITY
from edge_ser.errors import BundleError
from edge_ser.fidelity.limits import Limits
from edge_ser.typed_json import Reader

# what a later version adds is skipped
EVIDENCE_READER = Reader(BundleError, advice="export again", strict=False)
# How the source of speech begins that came with this package.
OF_PACKAGE = "the package's"

T = TypeVar("T")


@dataclass(frozen=True)
class SpeechFiles:
    """Files that something was judged on.

    Attributes:
        source: whose they are: "the package's ...", or the name of the user's folder.
        files: name and SHA-256 of each, in order.
    """

    source: str
    files: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        """Source and names; all speech of the package is synthetic, which is said."""
        synthetic = ", synthetic" if self.source.startswith(OF_PACKAGE) else ""
        names = ", ".join(name for name, _ in self.files)
        count = f"{len(self.files)} file{'s' if len(self.files) != 1 else ''}"
        return f"{count} of {self.source}{synthetic}: {names}"


@dataclass(frozen=True)
class SpeechRecord:
    """The speech of one proof.

    Attributes:
        lengths: what the utterances of all lengths, and the files, were made from.
        agreement: what agreement as a whole was judged on; None where it was on the former.
        recorded: what the recorded answers are to; None in bundles of earlier versions.
    """

    lengths: SpeechFiles
    agreement: SpeechFiles | None = None
    recorded: SpeechFiles | None = None


@dataclass(frozen=True)
class ParityRecord:
    """The part of `parity.json` that later verifications go by; earlier versions wrote less.

    Attributes:
        limits: that were applied; None: not told.
        judged: what decided: limits by name of the group; None: not told.
        groups: comparisons by name of the group.
        speech: that it was judged on; None: not told.
    """

    limits: Limits | None = None
    judged: dict[str, Limits] | None = None
    groups: dict[str, Any] = field(default_factory=dict)
    speech: SpeechRecord | None = None


def read_parity_record(bundle: Bundle) -> ParityRecord | None:
    """The record of a bundle; None if it has none.

    Raises:
        BundleError: it is damaged.
    """
    return read_evidence_file(bundle, PARITY, ParityRecord)


def read_evidence_file(bundle: Bundle, name: str, kind: type[T]) -> T | None:
    """A JSON file of a bundle that tells of its proof; None if its manifest lists no such file.

    Args:
        bundle: that was opened.
        name: of the file.
        kind: dataclass of its content.

    Raises:
        BundleError: it is damaged.
    """
    if name not in {f.path for f in bundle.manifest.files}:
        return None
    return EVIDENCE_READER.read(kind, EVIDENCE_READER.parse(bundle.read(name), name), name)
