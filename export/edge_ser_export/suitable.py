"""Which targets a checkpoint can be exported to, as far as its configuration tells."""

from __future__ import annotations

from edge_ser.errors import UsageError
from edge_ser_export.models.encoders import ENCODERS, find_encoder
from edge_ser_export.targets import Target


def check_encoder(target: Target, kind: str) -> None:
    """Refuse eight bits for an encoder whose products nobody finds.

    Raises:
        UsageError: it is traced as Transformers writes it.
    """
    if target.in_eight_bits and not find_encoder(kind).quantizes:
        able = ", ".join(e.name for e in ENCODERS.values() if e.quantizes)
        raise UsageError(
            f"--target {target.name}",
            expected=f"an encoder with a form for devices ({able})",
            found=f"{kind}, which is exported as Transformers writes it",
            advice="use --target onnx-fp32 or onnx-fp16",
        )
