"""Optimisation profiles: read, checked against the model, and given to an engine."""

import json
from dataclasses import asdict

import pytest
from helpers.manifest_parts import part

from edge_ser.audio import Preprocessing
from edge_ser.errors import UsageError
from edge_ser_runtimes.engines.profiles import (
    Profile,
    default_profile,
    parse_profile,
    read_profiles,
)

RULES = Preprocessing(max_seconds=12.0)


def test_batch_and_seconds() -> None:
    profile = parse_profile("1x0.5s:1x3s:8x12s", RULES)
    assert profile == Profile((1, 1, 8), (8000, 48_000, 192_000))
    assert str(profile) == "1x0.5s:1x3s:8x12s"
    assert profile.shapes("samples") == ((1, 8000), (1, 48_000), (8, 192_000))
    assert profile.shapes("lengths") == ((1,), (1,), (8,))
    assert part(Profile, json.loads(json.dumps(asdict(profile)))) == profile


def test_one_part_is_all_three() -> None:
    assert parse_profile("2x5s", RULES) == Profile((2, 2, 2), (80_000,) * 3)


def test_the_least_is_at_least_the_models() -> None:
    assert parse_profile("1x0s:1x1s:1x2s", RULES).samples == (400, 16_000, 32_000)


def test_the_default_takes_all_that_the_model_takes() -> None:
    profile = default_profile(RULES)
    assert (profile.samples[0], profile.samples[2]) == (400, 192_000)
    short = default_profile(Preprocessing(max_seconds=2.0))
    assert short.samples == (400, 32_000, 32_000)
    assert read_profiles([], RULES) == (profile,)
    assert len(read_profiles(["1x1s", "4x5s"], RULES)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fast", "MIN:OPT:MAX, each batch x seconds"),
        ("1x1s:2x2s", "MIN:OPT:MAX"),
        ("1x1:1x2:1x3", "MIN:OPT:MAX"),
        ("-1x1s", "MIN:OPT:MAX"),
        ("1x5s:1x3s:8x12s", "seconds .*ascending order"),
        ("4x1s:1x3s:8x12s", "batch .*ascending order"),
        ("0x1s:1x3s:8x12s", "batch of at least 1"),
        ("1x1s:1x3s:1025x3s", "at most 1024 rows, found .*activations take memory"),
        ("1x1s:1x3s:1x13s", "at most 12 s, the model's longest utterance.*raise --max-seconds"),
    ],
)
def test_wrong_profiles_are_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"--profile: expected {words}") as caught:
        parse_profile(text, RULES)
    assert "\n" not in str(caught.value)


def test_the_recorded_answers_must_fit() -> None:
    with pytest.raises(UsageError, match=r"largest length of at least 2 s, .* found 1x1s"):
        read_profiles(["1x1s"], RULES)
    assert read_profiles(["1x1s"], Preprocessing(max_seconds=1.0))[0].samples[2] == 16_000
