"""`TRANSPARENCY.md`: what the model may and must not be used for, and what its users owe people."""

from __future__ import annotations

from collections.abc import Sequence

from edge_ser.bundle.documents import facts, uses
from edge_ser.bundle.documents.markdown import page, plain, table
from edge_ser.bundle.files import BOM, CARD
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.parity_record import ParityRecord


def transparency_note(manifest: Manifest, record: ParityRecord | None) -> str:
    """The note.

    Args:
        manifest: of the bundle.
        record: of its proof; None: it has none.
    """
    return page(
        f"# {plain(manifest.name)}: transparency",
        "For whoever builds this model into something, uses that, or is heard by it. The articles "
        "are those of Regulation (EU) 2024/1689, the AI Act, as published on 12 July 2024; a law "
        "may have changed since.",
        "**No claim of conformity is made.** This is neither legal advice nor a declaration of "
        "conformity, and no conformity assessment of this model is stated. Whether a use is "
        "allowed depends on the law of the place, and on what is built around the model.",
        "## What it is for",
        uses.MADE_FOR,
        _bullets(uses.INTENDED),
        "## What it must not be used for",
        _bullets(uses.PROHIBITED),
        "## What its users owe people",
        _bullets(uses.DUTIES),
        "## What it hears and answers",
        table([*facts.hearing_rows(manifest), *facts.answer_rows(manifest)]),
        "Voices are personal data where they tell who speaks, and inferring emotions from them is "
        "processing of it. The model keeps nothing and sends nothing; what is kept or sent is up "
        "to what is built around it.",
        "## What it cannot do",
        _bullets(uses.LIMITS),
        "## What is known of it",
        table([*facts.speech_rows(manifest), *facts.proof_rows(manifest, record)]),
        f"Further: `{CARD}` and `{BOM}`.",
    )


def _bullets(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
