"""What is known of a bundle, in words: only what its manifest and its proof say."""

from __future__ import annotations

from edge_ser.bundle.evidence import Agreement, ParitySummary
from edge_ser.bundle.manifest import Manifest
from edge_ser.bundle.parity_record import ParityRecord, SpeechFiles, SpeechRecord
from edge_ser.bundle.provenance import Row
from edge_ser.bundle.score_reference import ScoreReference
from edge_ser.emotion.scale import SCORE_MAX, SCORE_MIN
from edge_ser.fidelity.limits import limit_words

# What is said of everything that manifest and proof leave open.
NOT_STATED = "not stated"
_NO_LICENCE = "unknown"
_REGIONS_NAMED = 9


def stated(value: object) -> str:
    """A value in words; `NOT_STATED` where it is None or empty."""
    return NOT_STATED if value in (None, "") else str(value)


def licence(manifest: Manifest) -> str:
    """Of the weights; empty where nobody said one."""
    return "" if manifest.licence == _NO_LICENCE else manifest.licence


def summary(manifest: Manifest) -> str:
    """The model in one line."""
    return str(manifest.architecture.get("summary") or manifest.family)


def model_rows(manifest: Manifest) -> list[Row]:
    """What kind of model it is, and how it computes."""
    parameters = manifest.architecture.get("parameters")
    number = f"{parameters:,}" if isinstance(parameters, int) else NOT_STATED
    rows = [
        ("family", manifest.family),
        ("architecture", stated(manifest.architecture.get("summary"))),
        ("parameters", number),
        ("target", manifest.target),
        ("computed in", manifest.precision),
        ("weights stored as", manifest.weight_storage),
        ("graph", f"{manifest.graph}, ONNX opset {manifest.opset}"),
        ("licence of the weights", stated(licence(manifest))),
    ]
    lowered = manifest.lowered
    if lowered is not None and lowered.recipe is not None:
        rows.append(("recipe of lower precision", lowered.recipe))
    if lowered is not None and lowered.cpu is not None:
        rows.append(("integers made for", stated(lowered.cpu.instructions)))
    engine = manifest.engine
    if engine is not None:
        built = f"{engine.file}, version {engine.version}" if engine.file else "not built yet"
        rows.append(("engine", f"{engine.library} for {engine.made_for}: {built}"))
    return rows


def hearing_rows(manifest: Manifest) -> list[Row]:
    """What the model is given of a recording."""
    p = manifest.preprocessing
    shorter = "refused" if p.short == "refuse" else "padded with zeros"
    normalisation = "each recording to zero mean and unit variance"
    if p.normalization == "corpus":
        normalisation = f"(x - {p.mean:.6g}) / ({p.std:.6g} + {p.eps:g})"
    return [
        ("sound", f"one channel of {p.sample_rate} Hz; other rates and channels are converted"),
        ("longest", f"{p.max_seconds:g} s; what follows is not heard"),
        ("shortest", f"{p.min_samples / p.sample_rate:g} s; shorter: {shorter}"),
        ("normalisation", normalisation),
        ("words, faces, earlier recordings", "none: nothing but the samples of one recording"),
    ]


def task(manifest: Manifest) -> str:
    """What the model answers, in few words."""
    answers = []
    if manifest.has_dimensions:
        answers.append("arousal, dominance and valence, and a region of the emotion sphere")
    if manifest.categories:
        answers.append(f"probabilities of {len(manifest.categories)} categories of emotion")
    return "; ".join(answers)


def answer_rows(manifest: Manifest) -> list[Row]:
    """What the model answers, head by head."""
    rows = []
    for head in manifest.heads:
        meaning = ", ".join(head.names)
        if head.kind == "dimensions":
            meaning += f", each from {SCORE_MIN:g} to {SCORE_MAX:g} ({head.output} on 0 to 1)"
        else:
            meaning += f" (a probability each, of {head.output})"
        rows.append((head.kind, meaning))
    if not manifest.has_dimensions:
        return rows
    regions = manifest.partition.regions
    names = ", ".join(str(region) for region in regions[:_REGIONS_NAMED])
    more = ", ..." if len(regions) > _REGIONS_NAMED else ""
    return [*rows, ("regions of the sphere", f"{len(regions)}: {names}{more}")]


def score_rows(manifest: Manifest, reference: ScoreReference | None) -> list[Row]:
    """What the scores mean, where the bundle tells it.

    Args:
        manifest: of the bundle, with its files.
        reference: of its scores; None: it has none.
    """
    if reference is None:
        return []
    return [("what the scores mean", reference.words_of(manifest.files))]


def origin_rows(manifest: Manifest) -> list[Row]:
    """Where the weights came from, and what made the bundle."""
    origin = manifest.provenance
    checkpoint = origin.checkpoint
    return [
        ("kind of checkpoint", stated(checkpoint.kind)),
        ("SHA-256 of the checkpoint", stated(checkpoint.sha256)),
        *(("assumed, as the checkpoint does not say", note) for note in checkpoint.assumed),
        *speech_rows(manifest),
        ("made by", stated(origin.command)),
        ("made at", stated(origin.date)),
        ("made with", stated(origin.made_with)),
        ("made on", stated(origin.machine)),
    ]


def speech_rows(manifest: Manifest) -> list[Row]:
    """What it was made from, of speech."""
    return [
        ("speech that it was trained on", stated(manifest.provenance.checkpoint.trained_on)),
        ("speech of the calibration", calibration_words(manifest)),
    ]


def calibration_words(manifest: Manifest) -> str:
    """Speech that ranges were measured and recipes judged on."""
    if manifest.lowered is None:
        return "none: precision was not lowered"
    speech = manifest.lowered.calibration
    if speech is None:
        return NOT_STATED
    whose = ", ".join((stated(speech.source), *speech.splits))
    synthetic = ", synthetic" if speech.default else ""
    return (
        f"{whose}{synthetic}: {stated(speech.fit)} utterances for ranges, "
        f"{stated(speech.judge)} to judge by; fingerprint {stated(speech.fingerprint)}"
    )


def proof_rows(manifest: Manifest, record: ParityRecord | None) -> list[Row]:
    """How the bundle compared with its checkpoint when it was exported."""
    parity = manifest.parity
    if parity is None:
        return [("compared with the checkpoint", NOT_STATED)]
    rows = [
        ("compared with the checkpoint", "passed" if parity.passed else "FAILED: do not ship it"),
        ("runs that were compared", stated(parity.utterances)),
        *_difference_rows(parity, manifest.has_dimensions),
        ("limits", limit_words(manifest.limits, manifest.has_dimensions)),
    ]
    if parity.agreement is not None:
        rows.append(
            (f"agreement ({parity.agreement.group})", _agreement_words(parity.agreement, manifest))
        )
    if parity.labels is not None:
        rows += [
            ("concordance of the checkpoint with labels", _each(parity.labels.before)),
            ("concordance of the bundle with labels", _each(parity.labels.after)),
            ("labelled utterances", str(parity.labels.count)),
        ]
    else:
        rows.append(("concordance with labels", NOT_STATED))
    rows += [("not judged", note) for note in parity.not_judged]
    speech = None if record is None else record.speech
    return [*rows, *((f"speech: {use}", files.words) for use, files in speeches(speech))]


def speeches(speech: SpeechRecord | None) -> list[tuple[str, SpeechFiles]]:
    """The speech of a proof, by what it was used for; the same files once."""
    if speech is None:
        return []
    used = {
        "lengths and files": speech.lengths,
        "agreement": speech.agreement,
        "recorded answers": speech.recorded,
    }
    uses: dict[SpeechFiles, list[str]] = {}
    for use, files in used.items():
        if files is not None:
            uses.setdefault(files, []).append(use)
    return [(", ".join(names), files) for files, names in uses.items()]


def _difference_rows(parity: ParitySummary, has_dimensions: bool) -> list[Row]:
    """The largest differences, of what the model answers."""
    largest = (
        ("largest difference of a dimension, on 0 to 1", parity.vad_max),
        ("largest difference of a region's logit", parity.logits_max),
        ("largest difference of a category's probability", parity.probability_max),
    )
    changed = (
        ("utterances that changed region", parity.region_flips if has_dimensions else None),
        ("utterances that changed category", parity.category_flips),
    )
    return [
        *((name, f"{value:.1e}") for name, value in largest if value is not None),
        *((name, str(count)) for name, count in changed if count is not None),
    ]


def _agreement_words(agreement: Agreement, manifest: Manifest) -> str:
    parts = [f"{stated(agreement.judged)} utterances judged"]
    if agreement.ccc is not None:
        parts.append(f"CCC {_each(agreement.ccc)}")
    if agreement.angle_mean_degrees is not None:
        parts.append(f"mean angle {agreement.angle_mean_degrees:.3g} degrees")
    if agreement.flip_rate is not None and manifest.has_dimensions:
        parts.append(f"{agreement.flip_rate:.1%} of regions changed away from a boundary")
    return "; ".join(parts)


def _each(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
