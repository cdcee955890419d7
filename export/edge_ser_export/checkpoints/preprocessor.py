"""How a published model's own library prepares samples: `preprocessor_config.json`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.audio import Preprocessing
from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.files import read_json

NAME = "preprocessor_config.json"
# Fields with the only value that the pipeline has: mono samples, as they are, at 16 kHz.
_FIXED = {
    "feature_extractor_type": "Wav2Vec2FeatureExtractor",
    "feature_size": 1,
    "sampling_rate": Preprocessing.sample_rate,
}
# Of how batches are padded, which the masks undo, and of which class reads the file.
_HARMLESS = ("padding_side", "padding_value", "return_attention_mask", "processor_class")

# Raw samples `[n]` in [-1, 1] -> normalised samples `[n]`, both float32 at 16 kHz.
Prepare = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def normalizes_utterances(folder: Path, config: dict[str, Any]) -> bool | None:
    """Whether each utterance is brought to zero mean and unit variance.

    Args:
        folder: of the model.
        config: content of its `config.json`.

    Returns:
        what the model's feature extractor does; None: it has none that says so.

    Raises:
        CheckpointError: another rate, other features than samples, or an unknown field.
    """
    _check({k: v for k, v in config.items() if k == "sampling_rate"}, folder / "config.json")
    path = folder / NAME
    if not path.is_file():
        return None
    fields = read_json(path)
    _check(fields, path)
    normalizes = fields.get("do_normalize")
    if normalizes is not None and not isinstance(normalizes, bool):
        raise CheckpointError(
            path, expected="do_normalize true or false", found=f"{normalizes!r:.40}"
        )
    return normalizes


def refuse_other_normalization(folder: Path, config: dict[str, Any]) -> None:
    """For kinds whose samples are normalised with the mean and deviation of the training corpus.

    Raises:
        CheckpointError: as `normalizes_utterances`, or each utterance would be normalised, too.
    """
    if normalizes_utterances(folder, config):
        raise CheckpointError(
            folder / NAME,
            expected="do_normalize false beside the mean and deviation of the training corpus",
            found="true",
            advice="remove the file if the model was trained on mean and deviation alone",
        )


def _check(fields: dict[str, Any], path: Path) -> None:
    for name, only in _FIXED.items():
        value = fields.get(name)
        if value is not None and value != only:
            raise CheckpointError(
                path,
                expected=f"{name} {only}",
                found=f"{value!r:.60}",
                advice="give a model of raw samples at 16 kHz",
            )
    unknown = sorted(set(fields) - {*_FIXED, *_HARMLESS, "do_normalize"})
    if unknown:
        raise CheckpointError(
            path,
            expected="the fields of a Wav2Vec2FeatureExtractor",
            found=", ".join(unknown),
            advice="remove what has no part in preparing samples",
        )


def feature_extractor(normalizes: bool) -> Prepare:
    """Transformers' own feature extractor: what the exported pre-processing is compared with."""
    from transformers import Wav2Vec2FeatureExtractor

    rate = Preprocessing.sample_rate
    build: Any = Wav2Vec2FeatureExtractor  # without types in Transformers
    extractor = build(
        feature_size=1, sampling_rate=rate, padding_value=0.0, do_normalize=normalizes
    )

    def prepare(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        values = extractor(samples, sampling_rate=rate, return_tensors="np")["input_values"]
        prepared: NDArray[np.float32] = values[0].astype(np.float32)
        return prepared

    return prepare
