"""Low-rank adapters: what they add to the weights of a model, added before anything is exported."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from edge_ser.errors import CheckpointError
from edge_ser_export.checkpoints.adapter_files import AdapterFiles
from edge_ser_export.checkpoints.weights import read_tensors

# How the names of an adapter's tensors begin, and what those end with that are multiplied.
_STEM, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
# Of what an encoder was trained with before anybody put a head on it.
_PRETRAINING = (
    "quantizer.", "project_q.", "project_hid.", "lm_head.", "final_proj.", "label_embs_concat",
    "dropout_features.", "mask_emb",
)  # fmt: skip


def merged(base: dict[str, Tensor], adapter: AdapterFiles, prefix: str) -> dict[str, Tensor]:
    """The tensors of a model with an adapter's changes in them.

    Args:
        base: by name, of the model that is changed, or of its encoder alone.
        adapter: that changes them; modules that it holds whole take the place of the base's.
        prefix: how names of the encoder begin in a model with a head, such as `wav2vec2`.

    Raises:
        CheckpointError: it is of another model.
    """
    tensors = {k: v for k, v in base.items() if not k.startswith(_PRETRAINING)}
    if not any(name.startswith(f"{prefix}.") for name in tensors):
        tensors = {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
    low: dict[str, dict[str, Tensor]] = {}
    for name, tensor in read_tensors(adapter.weights).items():
        if not name.startswith(_STEM):
            raise CheckpointError(
                adapter.weights, expected=f"tensors under {_STEM}", found=f"{name:.80}"
            )
        place = name.removeprefix(_STEM).replace(".modules_to_save.", ".")
        for end in (_DOWN, _UP):
            if place.endswith(end):
                low.setdefault(place.removesuffix(end), {})[end] = tensor
                break
        else:
            tensors[place] = tensor
    for module, pair in low.items():
        name = f"{module}.weight"
        tensors[name] = _changed(tensors.get(name), pair, adapter, module)
    return tensors


def _changed(
    weight: Tensor | None, pair: dict[str, Tensor], adapter: AdapterFiles, module: str
) -> Tensor:
    down, up = pair.get(_DOWN), pair.get(_UP)
    fits = (
        weight is not None
        and down is not None
        and up is not None
        and weight.ndim == down.ndim == up.ndim == 2
        and up.shape == (weight.shape[0], down.shape[0])
        and down.shape[1] == weight.shape[1]
        and down.shape[0] > 0
    )
    if not fits:
        shapes = ", ".join(
            f"{what} {'none' if t is None else list(t.shape)}"
            for what, t in (("weight", weight), ("lora_A", down), ("lora_B", up))
        )
        raise CheckpointError(
            Path(adapter.weights),
            expected=f"two matrices whose product is of {module} in the base",
            found=shapes,
            advice="give the base that the adapter was trained on",
        )
    assert weight is not None and down is not None and up is not None
    delta = up.float() @ down.float()
    return weight.float() + adapter.scale(module, down.shape[0]) * delta
