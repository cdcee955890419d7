"""The answers recorded in a bundle: kept as they are, and refused where they are damaged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.golden import Golden
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError


@pytest.mark.parametrize("head", [True, False])
def test_recorded_answers_round_trip(head: bool, tmp_path: Path) -> None:
    samples = [np.arange(5, dtype=np.int16), np.array([-32768, 32767], np.int16)]
    vad = np.arange(6, dtype=np.float32).reshape(2, 3)
    logits = np.ones((2, 8), np.float32) if head else None
    reference = Outputs.of(vad, logits)
    own = {"onnx": Outputs.of(vad + 1, logits), "openvino-bf16": Outputs.of(vad + 2, logits)}
    Golden(["a", "ü"], samples, reference, own).save(tmp_path / "golden.npz")
    back = Golden.load(tmp_path / "golden.npz")
    assert back.names == ["a", "ü"]
    assert [s.tolist() for s in back.samples] == [s.tolist() for s in samples]
    assert back.samples[0].dtype == np.int16
    assert back.reference.vad.tolist() == vad.tolist()
    assert (back.reference.region_logits is not None) == head
    assert set(back.own) == {"onnx", "openvino-bf16"}
    for runtime, added in (("onnx", 1), ("openvino-bf16", 2), ("openvino", 1), ("trt", 1)):
        answers = back.own_in(runtime)
        assert answers is not None and answers.vad.tolist() == (vad + added).tolist(), runtime
    assert Golden(["a"], samples[:1], reference).own_in("onnx") is None


def test_a_bundle_without_recorded_answers_says_so(bundle_dir: Path) -> None:
    (bundle_dir / "golden.npz").unlink()
    seal(bundle_dir, Bundle.open(DEFAULT_BUNDLE).manifest)
    with pytest.raises(BundleError, match=r"expected golden.npz, found none; export again"):
        Bundle.open(bundle_dir).golden()


def save_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def save_half(path: Path) -> None:
    data = (DEFAULT_BUNDLE / "golden.npz").read_bytes()
    path.write_bytes(data[: len(data) // 2])


def save_without_samples(path: Path) -> None:
    np.savez(path, names=np.array(["a"]), vad=np.zeros((1, 3), np.float32))


def save_objects(path: Path) -> None:
    np.savez(path, names=np.array([{}], dtype=object))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not an archive"),
        save_npy,
        save_half,
        save_without_samples,
        save_objects,
    ],
    ids=["empty", "text", "npy", "half", "no samples", "objects"],
)
def test_damaged_recorded_answers_are_refused(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "golden.npz"
    write(path)
    with pytest.raises(BundleError, match=r"golden.npz: expected recorded answers") as caught:
        Golden.load(path)
    assert "unsafely" not in str(caught.value), "no advice to unpickle what came with a bundle"
    assert "\n" not in str(caught.value)


def recorded(
    samples: list[Any],
    vad: Any,
    rows: int = 1,
    names: tuple[str, ...] = ("a",),
    own: dict[str, Outputs] | None = None,
) -> Golden:
    answers = Outputs.of(vad, np.zeros((rows, 8), np.float32))
    return Golden(list(names), samples, answers, own or {})


ONE, ANSWER = np.ones(1600, np.int16), np.zeros((1, 3), np.float32)


@pytest.mark.parametrize(
    "golden",
    [
        recorded([], np.zeros((0, 3), np.float32), 0, ()),
        recorded([np.ones((1600, 2), np.int16)], ANSWER),
        recorded([ONE], np.zeros((2, 3), np.float32), 2),
        recorded([ONE], np.array([["x", "y", "z"]])),
        recorded([np.ones(10, np.int16)], ANSWER),
        recorded([ONE], ANSWER, own={"onnx": Outputs.of(ANSWER)}),
        recorded([ONE], ANSWER, own={"onnx": Outputs.of(ANSWER, np.zeros((1, 9), np.float32))}),
        recorded([ONE], ANSWER, own={"onnx": Outputs.of(ANSWER, np.zeros((1, 8)))}),  # type: ignore[arg-type]
    ],
    ids=["none", "two channels", "more answers", "words", "too short", "own without a head",
         "own of another head", "own in float64"],
)  # fmt: skip
def test_senseless_recorded_answers_are_an_error_of_the_bundle(
    golden: Golden, bundle_dir: Path
) -> None:
    from edge_ser.verify import verify

    golden.save(bundle_dir / "golden.npz")
    seal(bundle_dir, replace(Bundle.open(DEFAULT_BUNDLE).manifest, files=()))
    ser = edge_ser.load(bundle_dir, threads=1)
    with pytest.raises(edge_ser.EdgeSerError):
        verify(ser.bundle, ser.session)
