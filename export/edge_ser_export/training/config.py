"""How to train: what the command line offers and a run records. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _option(
    default: Any, words: str, choices: tuple[str, ...] | None = None, shown: str | None = None
) -> Any:
    """A field that is an option of the command line, too.

    Args:
        default: of both.
        words: the option's help; of what is on by default, what it is to turn it off.
        choices: values that there are; None: any.
        shown: the default in words; None: as it is.
    """
    metadata = {"help": words, "choices": choices, "shown": shown}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class TrainConfig:
    """How to train. The defaults are the published recipe (arXiv:2505.19693, section 3).

    With two additions that it does not name: gradients are clipped (`clip_norm`), and a batch holds
    utterances of similar length, which saves padding; which ones meet changes from epoch to epoch.

    Every field is an option of `edge-ser train`, which takes its type, default and words from here.

    Attributes:
        encoder: a preset (`spectral`, `wavlm-tiny`), or a Transformers name or directory.
        epochs: passes over the Train split.
        batch_size: utterances per step.
        accumulate: steps per optimiser update.
        learning_rate: of AdamW.
        clip_norm: largest norm of the gradient of an update; 0: any.
        schedule: "constant", or "cosine" with a warm-up over the first tenth.
        crop_seconds: random part taken of longer training utterances; 0: the first 12 s.
        auxiliary_floor: weight of the region loss after its five epochs.
        ema: decay of the running average of the weights that is evaluated and kept; 0: none.
        stem_steps: steps of pre-training the stem of a raw-waveform preset, 8 utterances each.
        distillation: weight of the teacher's frames in the loss, when there is a teacher.
        bfloat16: mixed precision.
        half: store the checkpoint in float16.
        threads: of torch; 0: its own choice.
        device: of torch, such as "cpu" or "cuda"; "auto": a GPU where there is one.
        seed: of weights, order, crops and dropout.
        licence: of the weights, for the manifest.
    """

    encoder: str = _option(
        "microsoft/wavlm-large",
        "`spectral` or `wavlm-tiny` from nothing, or a WavLM model in Transformers' format: a "
        "directory, or a name in its cache, never downloaded",
    )
    epochs: int = _option(20, "passes over the Train split")
    batch_size: int = _option(64, "utterances per step")
    accumulate: int = _option(4, "batches per update")
    learning_rate: float = _option(1e-5, "of AdamW")
    clip_norm: float = _option(1.0, "of gradients; 0: none")
    schedule: str = _option("constant", "of the learning rate", choices=("constant", "cosine"))
    crop_seconds: float = _option(0.0, "random part of longer utterances; 0: all")
    auxiliary_floor: float = _option(0.0, "region loss weight after epoch 5")
    ema: float = _option(0.0, "decay of averaged weights; 0: none")
    stem_steps: int = _option(0, "pre-training steps of a waveform stem")
    distillation: float = _option(1.0, "weight of the loss that --teacher brings")
    bfloat16: bool = _option(True, "compute in float32 (default: mixed with bfloat16)")
    half: bool = _option(False, "store the checkpoint in float16 (default: float32)")
    threads: int = _option(0, "of torch", shown="its own choice")
    device: str = _option("auto", "cpu, cuda, ...; auto: a GPU where there is one")
    seed: int = _option(7, "of weights, order, crops and dropout")
    licence: str = _option("unknown", "of the weights, for the manifest")
