"""`MODEL_CARD.md`: what the model is, for people, with the head that Hugging Face's hub reads."""

from __future__ import annotations

from edge_ser.bundle.documents import facts
from edge_ser.bundle.documents.licences import hugging_face
from edge_ser.bundle.documents.markdown import front_matter, page, plain, table
from edge_ser.bundle.documents.uses import LIMITS, MADE_FOR
from edge_ser.bundle.files import BOM, MANIFEST, TRANSPARENCY
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.parity_record import ParityRecord
from edge_ser.bundle.score_reference import ScoreReference
from edge_ser.install import pip_package

_TAGS = ("speech-emotion-recognition", "on-device", "onnx", "edge-ser")


def model_card(
    manifest: Manifest, record: ParityRecord | None, reference: ScoreReference | None
) -> str:
    """The card.

    Args:
        manifest: of the bundle, with its files.
        record: of its proof; None: it has none.
        reference: of its scores; None: it has none.
    """
    head: dict[str, str | tuple[str, ...]] = {
        **hugging_face(facts.licence(manifest)),
        "library_name": "edge-ser",
        "pipeline_tag": "audio-classification",
        "tags": (*_TAGS, manifest.target),
    }
    return page(
        front_matter(head),
        f"# {plain(manifest.name)}",
        f"{plain(facts.summary(manifest))}. Speech in; out: {facts.task(manifest)}. "
        f"Whatever is not in `{MANIFEST}` or in the proof is "
        f'"{facts.NOT_STATED}" here.',
        "## The model",
        table(facts.model_rows(manifest)),
        "## What it hears",
        table(facts.hearing_rows(manifest)),
        "## What it answers",
        table([*facts.answer_rows(manifest), *facts.score_rows(manifest, reference)]),
        "## Where it came from",
        table(facts.origin_rows(manifest)),
        "## How well it repeats its checkpoint",
        "The deployed model was compared with the checkpoint that it was made from. That says "
        "nothing of how well the checkpoint hears emotions: agreement with labels does, where "
        "there is some below.",
        table(facts.proof_rows(manifest, record)),
        "## Uses and limits",
        f"{MADE_FOR} `{TRANSPARENCY}` says what it must not be used for, and what whoever uses "
        "it owes the people who are heard.",
        "\n".join(f"- {limit}" for limit in LIMITS),
        "## To run and to check it",
        f"```sh\n{pip_package('edge-ser')}\nedge-ser predict --bundle BUNDLE speech.wav\n"
        "edge-ser verify BUNDLE\n```",
        f"`{BOM}` lists every other file but `{MANIFEST}` with its SHA-256, and what the model "
        "needs to run. "
        f"`sha256sum {MANIFEST}` gives the number that stands for all of it.",
    )
