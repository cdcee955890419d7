"""What counts as the same answer, by the precision that was asked for."""

from __future__ import annotations

from edge_ser.bundle.manifest import Limits

# float32 against float32: a different order of additions, and no more than that.
FP32_LIMITS = Limits(vad=1e-4, region_logits=1e-3)
# float16 has 11 bits: rounding shows in the third digit, and in no answer.
FP16_LIMITS = Limits(vad=5e-3, region_logits=5e-2, ccc=0.9999, boundary_margin=0.02)
# bfloat16 has 8 bits, three fewer than float16: eight times its rounding error.
BF16_LIMITS = Limits(vad=4e-2, region_logits=0.4, ccc=0.999, boundary_margin=0.05)
# Eight bits move every answer a little: what must hold is that they agree as a whole, and that
# hardly any region changes that was not about to.
INT8_LIMITS = Limits(
    vad=0.15,
    region_logits=1.5,
    ccc=0.995,
    pearson=0.995,
    vad_p99=0.05,
    angle_mean_degrees=2.0,
    flip_rate=0.01,
    boundary_margin=0.05,
)
LIMITS: dict[str, Limits] = {
    "fp32": FP32_LIMITS,
    "fp16": FP16_LIMITS,
    "bf16": BF16_LIMITS,
    "int8": INT8_LIMITS,
    "fp8": INT8_LIMITS,  # eight bits too, of which the noise is larger and the range wider
}
