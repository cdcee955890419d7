"""Limits: those of the product, and which of two are the stricter."""

from dataclasses import replace

import pytest

from edge_ser.fidelity.limits import (
    BF16_LIMITS,
    FP16_LIMITS,
    FP32_LIMITS,
    INT8_LIMITS,
    LIMITS,
    Limits,
    ceiling,
    limit_words,
    own_limits,
    stricter,
    weaker_words,
)


def test_a_target_has_the_limits_of_its_precision() -> None:
    assert ceiling("onnx-fp32") == ceiling("trt-fp32") == FP32_LIMITS
    assert ceiling("trt-bf16") == BF16_LIMITS
    assert ceiling("onnx-int8") == ceiling("trt-fp8") == INT8_LIMITS
    assert ceiling("fp16") == FP16_LIMITS


@pytest.mark.parametrize("precision", LIMITS)
@pytest.mark.parametrize("is_engine", [False, True])
def test_own_answers_are_held_so_that_a_tenth_of_a_point_shows(
    precision: str, is_engine: bool
) -> None:
    own = own_limits(f"x-{precision}", is_engine)
    least = min(own.vad, own.vad_mean if own.vad_mean is not None else own.vad)
    assert least < 0.1 / 6
    assert own.vad <= LIMITS[precision].vad
    assert not own.of_each.has_agreement and own.flip_rate == 0


def test_of_two_the_stricter() -> None:
    a = replace(INT8_LIMITS, vad=0.01, ccc=0.9, pearson=None)
    both = stricter(a, INT8_LIMITS)
    assert both == stricter(INT8_LIMITS, a) == replace(INT8_LIMITS, vad=0.01)
    assert stricter(FP32_LIMITS, FP32_LIMITS) == FP32_LIMITS
    assert stricter(FP32_LIMITS, INT8_LIMITS).margin == FP32_LIMITS.margin
    none = replace(INT8_LIMITS, flip_rate=0.0)
    assert stricter(none, INT8_LIMITS).flip_rate == 0


def test_weaker_limits_are_named() -> None:
    assert weaker_words(FP16_LIMITS, FP16_LIMITS) == ""
    assert weaker_words(replace(FP16_LIMITS, vad=1e-3, ccc=1.0), FP16_LIMITS) == ""
    weak = replace(INT8_LIMITS, region_logits=9.0, pearson=None, flip_rate=0.5)
    assert weaker_words(weak, INT8_LIMITS) == (
        "region_logits 9 (at most 1.5), pearson none (at least 0.995), flip_rate 0.5 (at most 0.01)"
    )


def test_words_hold_what_is_judged() -> None:
    own = own_limits("onnx-int8", False)
    assert limit_words(own) == (
        "VAD 0.02 on 0..1, logits 0.4, mean of VAD 0.01, mean of logits 0.2, "
        "no region changed farther than 0.069 from a boundary"
    )
    few = Limits(0.15, 1.5, flip_rate=0.01).of_count(3)
    assert limit_words(few) == "VAD 0.15 on 0..1, logits 1.5"
