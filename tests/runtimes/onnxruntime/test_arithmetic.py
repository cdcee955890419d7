"""Processors that compute otherwise than the proof did: said, or said to be unknown."""

import warnings
from dataclasses import replace

import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import Lowering, MadeFor
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser_runtimes.onnxruntime.session import OrtSession

VNNI, ARM, X86 = (
    MadeFor("x86-vnni", "AVX-512 VNNI or AVX-VNNI", 8),
    MadeFor("arm64", "ARMv8.2 dot product or i8mm", 8),
    MadeFor("x86", "AVX2 or AVX-512 without VNNI", 7),
)
KNOWN = "whose 8-bit sums do not saturate, as they do on this one: run edge-ser verify"
UNKNOWN = "and nothing tells whether they do on this one"


def made_for(cpu: MadeFor) -> Bundle:
    bundle = Bundle.open(DEFAULT_BUNDLE)
    manifest = bundle.manifest.with_parts(lowered=Lowering("static", cpu=cpu))
    return Bundle(bundle.root, replace(manifest, precision="int8"))


@pytest.mark.parametrize(
    ("cpu", "saturate", "words"),
    [
        (VNNI, True, KNOWN),
        (ARM, True, KNOWN),
        (VNNI, None, UNKNOWN),
        (ARM, None, UNKNOWN),
        (X86, True, ""),
        (X86, None, ""),
        (VNNI, False, ""),
        (ARM, False, ""),
    ],
)
def test_what_may_saturate_here_is_said(
    cpu: MadeFor, saturate: bool | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser_runtimes.onnxruntime.arithmetic.sums_saturate", lambda: saturate)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        OrtSession(made_for(cpu)).close()
    said = [str(w.message) for w in caught]
    assert len(said) == bool(words)
    assert words in "".join(said)
    assert not said or cpu.instructions in said[0]


@pytest.mark.parametrize(
    ("recipe", "own", "warned"),
    [("compute", True, True), ("compute", False, False), ("weights", True, False)],
)
def test_float16_of_the_processors_own_is_said(
    recipe: str, own: bool, warned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_ser_runtimes.onnxruntime.arithmetic.multiplies_halves", lambda: own)
    bundle = Bundle.open(DEFAULT_BUNDLE)
    manifest = bundle.manifest.with_parts(lowered=Lowering(recipe))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        OrtSession(Bundle(bundle.root, replace(manifest, precision="fp16"))).close()
    assert [str(w.message) for w in caught] == warned * [
        f"{manifest.name} was proved where float16 is computed in float32; this processor's own "
        "float16 rounds otherwise: run edge-ser verify, or export with --fp16-form weights"
    ]
