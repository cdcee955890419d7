"""ONNX Runtime: recorded answers, batches, and refusal of what the graph cannot take."""

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.manifest import TensorSpec
from edge_ser.bundle.writing import seal
from edge_ser.cli import main
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError, UsageError
from edge_ser.fidelity.compare import compare, concatenate
from edge_ser.session import pad_batch
from edge_ser.verify import verify
from edge_ser_runtimes.base import BaseSession
from edge_ser_runtimes.onnxruntime.session import OrtSession
from edge_ser_runtimes.registry import RUNTIMES, describe, open_session, runtime_table

EMBEDDING = Path(__file__).parents[3] / "docs/how-to/embed-in-an-application.md"
TinyBundle = Callable[..., Path]
F32, I64 = np.float32, np.int64


@pytest.fixture(scope="module")
def rows(ser: edge_ser.Recognizer) -> list[np.ndarray]:
    """The recorded utterances, normalised."""
    p = ser.manifest.preprocessing
    return [p.normalize(x.astype(F32) / 32768) for x in ser.bundle.golden().samples]


def near(a: Outputs, b: Outputs, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(a.vad, b.vad, atol=tolerance)
    assert (a.region_logits is None) == (b.region_logits is None)
    if a.region_logits is not None and b.region_logits is not None:
        np.testing.assert_allclose(a.region_logits, b.region_logits, atol=10 * tolerance)


# Answers


def test_recorded_answers_are_given(ser: edge_ser.Recognizer, rows: list[np.ndarray]) -> None:
    golden = ser.bundle.golden()
    assert len(rows) == len(golden.names) >= 2
    outputs = concatenate([ser.session.run(*pad_batch([x])) for x in rows])
    manifest = ser.manifest
    reference = golden.reference
    assert compare(reference, outputs, manifest.partition).failures(manifest.limits) == []
    assert np.ptp(golden.reference.vad, axis=0).max() > 0.05, (
        "the recorded answers are not all the same"
    )


def test_verify_runs_singles_and_a_padded_batch(ser: edge_ser.Recognizer) -> None:
    verdict = verify(ser.bundle, ser.session)
    count = len(ser.bundle.golden().names)
    counts = {name: group.count for name, group in verdict.groups.items()}
    assert counts == {"recorded": count, "batched": count, "own": 2 * count}
    assert set(verdict.judged) == set(counts)
    assert verdict.passed and verdict.failures == []


def test_a_batch_gives_what_its_rows_give_alone(
    ser: edge_ser.Recognizer, rows: list[np.ndarray]
) -> None:
    longest = max(rows, key=len)
    least = ser.manifest.preprocessing.min_samples
    cut = [longest[: longest.size * i // 5] for i in (2, 5, 1, 3, 4)] + [longest[:least]]
    singles = concatenate([ser.session.run(*pad_batch([x])) for x in cut])
    near(ser.session.run(*pad_batch(cut)), singles, 2e-5)
    near(ser.session.run(*pad_batch(cut[::-1])), Outputs.of(
        singles.vad[::-1], None if singles.region_logits is None else singles.region_logits[::-1]
    ), 2e-5)  # fmt: skip


def test_padding_beyond_the_longest_row_changes_nothing(
    ser: edge_ser.Recognizer, rows: list[np.ndarray]
) -> None:
    samples, lengths = pad_batch(rows[:2])
    wide = np.pad(samples, ((0, 0), (0, 5000)))
    near(ser.session.run(wide, lengths), ser.session.run(samples, lengths), 0)


def test_the_longest_and_the_shortest_input(ser: edge_ser.Recognizer) -> None:
    p = ser.manifest.preprocessing
    for size in (p.min_samples, p.max_samples):
        x = np.random.default_rng(0).standard_normal((1, size)).astype(F32)
        assert ser.session.run(x, np.array([size])).vad.shape == (1, 3)


def test_threads_change_the_time_not_the_answer(
    ser: edge_ser.Recognizer, rows: list[np.ndarray]
) -> None:
    batch = pad_batch(rows[:2])
    expected = ser.session.run(*batch)
    for threads in (2, None):
        session = OrtSession(ser.bundle, threads)
        near(session.run(*batch), expected)
    assert OrtSession(ser.bundle, 2).session.get_session_options().intra_op_num_threads == 2


def test_a_bundle_without_a_head_gives_no_logits(tiny_bundle: TinyBundle) -> None:
    bundle = tiny_bundle(change=lambda m: replace(m, outputs=m.outputs[:1], heads=m.heads[:1]))
    outputs = OrtSession(Bundle.open(bundle)).run(np.ones((2, 500), F32), np.array([500, 400]))
    assert outputs.region_logits is None
    assert outputs.vad.shape == (2, 3)


# Inputs that are refused


@pytest.mark.parametrize(
    ("samples", "lengths", "words"),
    [
        (np.zeros((1, 500)), np.array([500]), r"samples: .*float32 \[batch, n\].*float64"),
        (np.zeros((1, 500), np.int16), np.array([500]), "samples: .*int16"),
        (np.zeros(500, F32), np.array([500]), r"samples: .*found float32 \[500\]"),
        (np.zeros((1, 1, 500), F32), np.array([500]), r"samples: .*\[1, 1, 500\]"),
        (np.zeros((0, 500), F32), np.zeros(0, I64), r"samples: .*\[0, 500\]"),
        (np.zeros((2, 500), F32), np.array([500]), r"lengths: expected int64 \[2\].*\[1\]"),
        (np.zeros((1, 500), F32), np.array([500], np.int32), "lengths: .*int32"),
        (np.zeros((1, 500), F32), np.array([500.0]), "lengths: .*float64"),
        (np.zeros((1, 500), F32), np.array([[500]]), r"lengths: .*\[1, 1\]"),
        (np.zeros((1, 500), F32), np.array([399]), "lengths: .*400 .*found 399"),
        (np.zeros((2, 500), F32), np.array([500, 0]), "lengths: .*found 0"),
        (np.zeros((1, 500), F32), np.array([-1]), "lengths: .*found -1"),
        (np.zeros((1, 500), F32), np.array([501]), "lengths: .*found 501"),
        (np.zeros((1, 200_000), F32), np.array([192_001]), "lengths: .*192000.*found 192001"),
    ],
)
def test_wrong_inputs_are_refused(
    samples: np.ndarray, lengths: np.ndarray, words: str, ser: edge_ser.Recognizer
) -> None:
    with pytest.raises(UsageError, match=words):
        ser.session.run(samples, lengths)


# Graphs that are refused


def test_a_file_that_is_no_graph_is_refused(bundle_dir: Path) -> None:
    (bundle_dir / "model.onnx").write_bytes(b"\x08\x09")  # a sound protocol buffer, no model
    manifest = Bundle.open(DEFAULT_BUNDLE).manifest
    seal(bundle_dir, manifest)
    with pytest.raises(BundleError, match=r"model.onnx: expected an ONNX model.*0 of graph"):
        edge_ser.load(bundle_dir)
    with pytest.raises(BundleError, match=r"model.onnx: expected a graph that ONNX Runtime"):
        OrtSession(Bundle(bundle_dir, manifest))  # as of an export, before it is sealed


def test_other_input_names_are_refused(tiny_bundle: TinyBundle) -> None:
    bundle = tiny_bundle(inputs=("waveform", "lengths"))
    with pytest.raises(BundleError, match=r"expected inputs samples float32 .*found .*waveform"):
        edge_ser.load(bundle)
    draft = Bundle(bundle, Bundle.open(DEFAULT_BUNDLE).manifest)
    with pytest.raises(BundleError, match=r"expected samples float32, .*found .*waveform"):
        OrtSession(draft)


def test_an_input_of_another_type_is_refused(tiny_bundle: TinyBundle) -> None:
    import onnx

    bundle = tiny_bundle(sample_type=onnx.TensorProto.DOUBLE)
    with pytest.raises(BundleError):
        edge_ser.load(bundle)(np.ones(1000, F32), 16_000)


def test_an_output_that_the_graph_has_not_is_refused(tiny_bundle: TinyBundle) -> None:
    extra = TensorSpec("confidence", "float32", ("batch", 1))
    bundle = tiny_bundle(change=lambda m: replace(m, outputs=(*m.outputs, extra)))
    with pytest.raises(BundleError, match="confidence"):
        edge_ser.load(bundle)(np.ones(1000, F32), 16_000)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_an_output_of_another_width_is_refused(width: int, tiny_bundle: TinyBundle) -> None:
    bundle = tiny_bundle(weights=np.ones((1, width), F32))
    with pytest.raises(BundleError, match=rf"vad float32 \[any, 3\].*found vad .*\[any, {width}\]"):
        edge_ser.load(bundle)
    session = OrtSession(Bundle(bundle, Bundle.open(DEFAULT_BUNDLE).manifest))
    with pytest.raises(BundleError, match=rf"output vad: expected \[1, 3\], found \[1, {width}\]"):
        session.run(np.ones((1, 1000), F32), np.array([1000]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_answers_that_are_not_finite_are_refused(bad: float, tiny_bundle: TinyBundle) -> None:
    bundle = tiny_bundle(weights=np.array([[0.1, bad, 0.1]], F32))
    with pytest.raises(BundleError, match="output vad: expected finite numbers"):
        edge_ser.load(bundle)(np.ones(1000, F32), 16_000)


# The registry


@pytest.mark.parametrize("runtime", ["auto", "onnx"])
def test_the_registry_opens_by_name_or_target(runtime: str) -> None:
    assert isinstance(open_session(Bundle.open(DEFAULT_BUNDLE), runtime, 1), OrtSession)


@pytest.mark.parametrize(
    "name", ["", "ONNX", "torch", "edge_ser_runtimes.onnxruntime.session:OrtSession"]
)
def test_an_unknown_runtime_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match=r"runtime: expected auto or one of .*onnx.*, found"):
        open_session(Bundle.open(DEFAULT_BUNDLE), name)


def with_target(target: str) -> Bundle:
    bundle = Bundle.open(DEFAULT_BUNDLE)
    return Bundle(bundle.root, replace(bundle.manifest, target=target))


def test_a_target_of_no_runtime_asks_for_an_upgrade() -> None:
    with pytest.raises(UsageError, match=r"found tflite-fp16; upgrade edge-ser"):
        open_session(with_target("tflite-fp16"))


def test_a_runtime_that_does_not_fit_the_target_is_refused() -> None:
    with pytest.raises(UsageError, match="expected one that runs tflite-fp16, found onnx"):
        open_session(with_target("tflite-fp16"), "onnx")


def test_every_registered_runtime_says_what_it_runs() -> None:
    assert RUNTIMES
    for name, runtime in RUNTIMES.items():
        module, cls = runtime.session.split(":")
        assert issubclass(getattr(importlib.import_module(module), cls), BaseSession)
        assert runtime.name == name and runtime.kinds and all(runtime.kinds)
        assert runtime.libraries
    options = [option for runtime in RUNTIMES.values() for option in runtime.options]
    assert len(options) == len(set(options)), "an option belongs to one runtime"


def test_the_command_line_and_the_documents_name_them_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in ("predict", "verify", "bench"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        helped = " ".join(capsys.readouterr().out.split())
        assert ", ".join(RUNTIMES) in helped, command
    assert runtime_table() in EMBEDDING.read_text(encoding="utf-8")


def test_the_extras_of_the_runtimes_are_those_of_the_package() -> None:
    extras = importlib.metadata.metadata("edge-ser").get_all("Provides-Extra")
    assert extras is not None
    assert {r.extra for r in RUNTIMES.values()} - {""} <= set(extras)


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused_wherever_a_session_is_opened(threads: int) -> None:
    with pytest.raises(UsageError, match=rf"threads: expected at least 1, found {threads}"):
        edge_ser.load(threads=threads)
    with pytest.raises(UsageError, match="threads"):
        open_session(Bundle.open(DEFAULT_BUNDLE), "auto", threads)


@pytest.mark.parametrize("target", [1, "onnx", None])
def test_load_passes_the_runtime_on(target: Any) -> None:
    if target == "onnx":
        assert isinstance(edge_ser.load(runtime=target, threads=1).session, OrtSession)
        return
    with pytest.raises(UsageError, match="runtime: expected"):
        edge_ser.load(runtime=target)


def test_a_session_is_described_by_its_runtime(ser: edge_ser.Recognizer) -> None:
    assert describe(ser.session) == f"onnx (onnxruntime {onnxruntime.__version__})"

    class Other(BaseSession):
        def _run(self, samples: Any, lengths: Any) -> Any:
            raise NotImplementedError

    assert describe(Other(ser.bundle)) == "Other"
