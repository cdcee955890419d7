"""Audio in the types that other libraries give, and what is told of the rest."""

import array
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import edge_ser
from edge_ser.errors import AudioError, UsageError

Kinds = dict[str, Any]
RATE = 16_000


class OnAGpu:
    """As cupy does it: an array that numpy may not take."""

    def __array__(self, *_: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`")


@pytest.fixture
def samples(noise: np.ndarray) -> np.ndarray:
    return noise


@pytest.mark.parametrize(
    "convert",
    [
        torch.from_numpy,
        lambda x: torch.from_numpy(x).double(),
        lambda x: torch.from_numpy(x).requires_grad_(),
        lambda x: torch.from_numpy(np.stack([x, x], 1)),
        lambda x: x.tolist(),
        lambda x: tuple(x.tolist()),
        list,
        lambda x: array.array("f", x),
    ],
    ids=["tensor", "float64", "gradient", "stereo", "list", "tuple", "list of numpy's", "array"],
)
def test_samples_of_other_types_give_the_same(
    convert: Any, samples: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    given = ser.prepare(convert(samples), RATE)
    np.testing.assert_allclose(given.samples, ser.prepare(samples, RATE).samples, atol=1e-6)
    assert ser(convert(samples), RATE).seconds == 1.0


def test_several_tensors_are_several_utterances(
    samples: np.ndarray, ser: edge_ser.Recognizer
) -> None:
    tensors: Any = [torch.from_numpy(samples), torch.from_numpy(samples[:8000])]
    assert [e.seconds for e in ser(tensors, RATE)] == [1.0, 0.5]
    assert sorted(i for i, _ in ser.each(tensors, RATE)) == [0, 1]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_the_bytes_of_a_file_are_a_file(
    kind: Any, utterances: list[Path], ser: edge_ser.Recognizer
) -> None:
    data = utterances[0].read_bytes()
    emotion, expected = ser(kind(data)), ser(utterances[0])
    assert (emotion.arousal, emotion.source) == (expected.arousal, "<bytes>")
    assert [e.arousal for e in ser([kind(data), kind(data)])] == pytest.approx(
        [expected.arousal] * 2, abs=1e-4
    )


@pytest.mark.parametrize(
    ("audio", "rate", "kind", "words"),
    [
        (b"\0\1" * 8000, RATE, UsageError, r"found bytes; call numpy\.frombuffer\(data, num"),
        (b"\0\1" * 8000, None, AudioError, r"<bytes>: expected audio that libsndfile reads"),
        ([0.1] * 500, None, UsageError, "expected their sample rate in Hz, found none"),
        (list(range(500)), RATE, AudioError, "found dtype int64; convert the array"),
        ([0.1, None] * 500, RATE, UsageError, "expected numbers, found list of other things"),
        (torch.zeros(500, dtype=torch.bfloat16), RATE, UsageError,
         r"found torch\.Tensor, .*BFloat16; convert it to a numpy array of float32"),
        (OnAGpu(), RATE, UsageError, r"OnAGpu, Implicit conversion .*convert it to a numpy array"),
        (torch.zeros(2, 16_000), RATE, AudioError, r"found shape \[2, 16000\]; transpose it"),
        ({"array": [0.1]}, RATE, UsageError, "expected a path, a binary stream.*found dict"),
        (7, None, UsageError, "expected a path, a binary stream.*found int"),
        (None, None, UsageError, "expected a path, a binary stream.*found NoneType"),
    ],
    ids=lambda x: "",
)  # fmt: skip
def test_the_remedy_is_named(
    audio: Any, rate: float | None, kind: type[Exception], words: str, ser: edge_ser.Recognizer
) -> None:
    with pytest.raises(kind, match=words):
        ser(audio, rate)


def test_no_library_is_imported_for_it() -> None:
    code = """
import sys
import edge_ser
edge_ser.load()([0.1, -0.1] * 4000, 16_000)
print("torch" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
