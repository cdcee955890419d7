"""A recogniser in other processes, step by step, and at its end."""

import copy
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edge_ser
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.errors import BundleError, EdgeSerError, MissingPathError, UsageError
from edge_ser.session import Session
from edge_ser.utterance import Utterance

SECONDS = 90
needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="no fork here"
)


@pytest.fixture
def expected(ser: edge_ser.Recognizer, utterances: list[Path]) -> list[edge_ser.Emotion]:
    return ser(utterances)


def same(given: list[edge_ser.Emotion], expected: list[edge_ser.Emotion]) -> None:
    assert [e.source for e in given] == [e.source for e in expected]
    for a, b in zip(given, expected, strict=True):
        assert (a.arousal, a.dominance, a.valence) == pytest.approx(
            (b.arousal, b.dominance, b.valence), abs=1e-4
        )


# Step by step


def test_the_three_steps_are_the_call(
    ser: edge_ser.Recognizer, utterances: list[Path], expected: list[edge_ser.Emotion]
) -> None:
    prepared = [ser.prepare(path) for path in utterances]
    p = ser.manifest.preprocessing
    for utterance, emotion in zip(prepared, expected, strict=True):
        assert utterance.samples.dtype == np.float32
        assert utterance.samples.size == round(emotion.seconds * p.sample_rate)
        assert (utterance.seconds, utterance.source) == (emotion.seconds, emotion.source)
    outputs = ser.infer(prepared)
    assert outputs.vad.shape == (len(prepared), 3)
    same(ser.decode(outputs, prepared), expected)


def test_samples_are_prepared_too(ser: edge_ser.Recognizer, noise: np.ndarray) -> None:
    utterance = ser.prepare(noise, 16_000)
    np.testing.assert_array_equal(utterance.samples, ser.manifest.preprocessing.apply(noise))
    assert (utterance.seconds, utterance.source) == (1.0, "")
    with pytest.raises(UsageError, match="their sample rate"):
        ser.prepare(noise)
    with pytest.raises(edge_ser.EdgeSerError, match="microphone: expected at least 400"):
        ser.prepare(noise[:10], 16_000, "microphone")


def test_an_utterance_can_be_prepared_elsewhere(
    ser: edge_ser.Recognizer, utterances: list[Path], expected: list[edge_ser.Emotion]
) -> None:
    sent = [pickle.loads(pickle.dumps(ser.prepare(path))) for path in utterances]
    assert all(isinstance(u, Utterance) for u in sent)
    same(ser.decode(ser.infer(sent), sent), expected)


# Other processes


@pytest.mark.parametrize("change", [pickle.loads, None], ids=["pickle", "deepcopy"])
def test_a_copy_gives_the_same_answers(
    change: Any, utterances: list[Path], expected: list[edge_ser.Emotion]
) -> None:
    ser = edge_ser.load(threads=1)
    again = change(pickle.dumps(ser)) if change else copy.deepcopy(ser)
    assert again is not ser
    same(again(utterances), expected)
    assert again.manifest == ser.manifest
    same(pickle.loads(pickle.dumps(again))(utterances), expected)


def work(ser: edge_ser.Recognizer, path: Path) -> tuple[Any, int, int]:
    """An answer, and which process and session gave it."""
    os.chdir("/")  # wherever the worker stands
    return ser(path), os.getpid(), id(ser.session)


@pytest.mark.parametrize("kind", ["default", "relative folder", "zip"])
def test_workers_open_a_recogniser_once_for_many_tasks(
    kind: str, utterances: list[Path], expected: list[edge_ser.Emotion], tmp_path: Path,
    zip_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    bundle: str | Path | None = None
    if kind == "relative folder":
        bundle = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "mine").name
    elif kind == "zip":
        bundle = zip_bundle(DEFAULT_BUNDLE, tmp_path / "mine.zip").name
    ser = edge_ser.load(bundle, threads=1)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        futures = [pool.submit(work, ser, path) for path in utterances]
        results = [f.result(SECONDS) for f in futures]
    same([emotion for emotion, _, _ in results], expected)
    assert len({(pid, session) for _, pid, session in results}) == 1
    assert results[0][1] != os.getpid()


def error_of(ser: edge_ser.Recognizer, path: Path) -> EdgeSerError:
    try:
        ser(path)
    except EdgeSerError as error:
        return error
    raise AssertionError("no error")


def test_a_bundle_that_went_away_is_an_error_of_the_task_and_not_the_end_of_the_pool(
    bundle_dir: Path, utterances: list[Path]
) -> None:
    ser = edge_ser.load(bundle_dir, threads=1)
    shutil.rmtree(bundle_dir)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with pytest.raises(MissingPathError, match="expected a bundle, found no such"):
            pool.apply_async(ser, (utterances[0],)).get(SECONDS)
        error = pool.apply_async(error_of, (ser, utterances[0])).get(SECONDS)
    assert (type(error), error.subject) == (MissingPathError, bundle_dir)


def test_another_bundle_in_its_place_is_not_taken_for_it(
    bundle_dir: Path, tiny_bundle: Callable[..., Path], utterances: list[Path]
) -> None:
    sent = pickle.dumps(edge_ser.load(bundle_dir, threads=1))
    shutil.rmtree(bundle_dir)
    tiny_bundle().rename(bundle_dir)
    with pytest.raises(BundleError, match="another one in its place; load it again"):
        pickle.loads(sent)(utterances[0])


def test_what_was_made_of_a_session_says_that_it_cannot_be_sent(
    ser: edge_ser.Recognizer,
) -> None:
    with pytest.raises(UsageError, match=r"expected one made by edge_ser\.load.*load it there"):
        pickle.dumps(edge_ser.Recognizer(ser.bundle, ser.session))


_forked: edge_ser.Recognizer | None = None


def use_forked(path: Path) -> edge_ser.Emotion:
    assert _forked is not None
    return _forked(path)


@needs_fork
@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_after_load_opens_its_own(
    kind: str, utterances: list[Path], expected: list[edge_ser.Emotion], tmp_path: Path,
    zip_bundle: Callable[..., Path], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    bundle = DEFAULT_BUNDLE if kind == "folder" else zip_bundle(DEFAULT_BUNDLE, tmp_path / "a.zip")
    ser = edge_ser.load(bundle, threads=2)  # threads that a fork does not copy
    same(ser(utterances), expected)
    monkeypatch.setattr(f"{__name__}._forked", ser)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        same(pool.map_async(use_forked, utterances).get(SECONDS), expected)
        same(pool.map_async(ser, utterances).get(SECONDS), expected)  # sent, on top
        pool.close()
        pool.join()
    assert ser.bundle.graph_path.is_file(), "the end of a child removes nothing of ours"
    same(ser(utterances), expected)


@needs_fork
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_what_was_made_of_a_session_says_that_it_cannot_be_used_after_a_fork(
    ser: edge_ser.Recognizer, utterances: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}._forked", edge_ser.Recognizer(ser.bundle, ser.session))
    with multiprocessing.get_context("fork").Pool(1) as pool:
        answer = pool.apply_async(use_forked, (utterances[0],))
        with pytest.raises(UsageError, match=r"to be used after a fork.*load it in this process"):
            answer.get(SECONDS)


# The end


class Closing:
    """A real session that says whether it was closed."""

    def __init__(self, session: Session) -> None:
        self.session, self.closed = session, 0

    def run(self, samples: Any, lengths: Any) -> Any:
        return self.session.run(samples, lengths)

    def close(self) -> None:
        self.closed += 1


def test_closed_is_closed(ser: edge_ser.Recognizer, utterances: list[Path]) -> None:
    session = Closing(ser.session)
    with edge_ser.Recognizer(ser.bundle, session) as mine:
        assert isinstance(mine(utterances[0]), edge_ser.Emotion)
        assert not mine.closed
    mine.close()
    assert session.closed == 1 and mine.closed
    assert repr(mine) == "Recognizer(closed)"
    for use in (
        lambda: mine(utterances[0]),
        lambda: mine(utterances),
        lambda: list(mine.each(utterances)),
        lambda: mine.prepare(utterances[0]),
        lambda: mine.manifest,
        lambda: mine.session,
    ):
        with pytest.raises(UsageError, match="recogniser: expected an open one, found a closed"):
            use()


def test_what_was_unpacked_goes_with_it(tmp_path: Path, zip_bundle: Callable[..., Path]) -> None:
    archive = zip_bundle(DEFAULT_BUNDLE, tmp_path / "a.zip")
    with edge_ser.load(archive, threads=1) as ser:
        root = ser.bundle.root
        assert root.is_dir()
    assert not root.exists() and archive.is_file()


def test_closing_a_copy_leaves_the_others_open(
    utterances: list[Path], expected: list[edge_ser.Emotion]
) -> None:
    ser = edge_ser.load(threads=1)
    first, second = (pickle.loads(pickle.dumps(ser)) for _ in range(2))
    assert first(utterances[0]) == second(utterances[0])
    assert first.session is second.session, "one process, one model"
    first.close()
    same(second(utterances), expected)
    same(pickle.loads(pickle.dumps(ser))(utterances), expected)
    same(ser(utterances), expected)
