"""Errors and results cross the border between processes whole."""

import copy
import dataclasses
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import edge_ser
import edge_ser_runtimes
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import EdgeSerError, MissingExtraError, MissingPathError
from edge_ser.fidelity.compare import Fidelity
from edge_ser.verify import verify

# Far more than starting two interpreters takes; far less than for ever.
SECONDS = 90
DEVICE = (edge_ser, edge_ser_runtimes)
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def declared_errors() -> list[type[EdgeSerError]]:
    """`EdgeSerError` and all below it, wherever a device's packages declare them.

    Those that other tests import, from elsewhere, are not among them: which those are is chance.
    """
    for package in DEVICE:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)

    def below(kind: type[EdgeSerError]) -> Iterator[type[EdgeSerError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from below(child)

    names = {package.__name__ for package in DEVICE}
    return [kind for kind in below(EdgeSerError) if kind.__module__.split(".")[0] in names]


ERRORS = declared_errors()


def example(kind: type[EdgeSerError]) -> EdgeSerError:
    """One of it, with a word for each argument that its class wants."""
    parameters = list(inspect.signature(kind).parameters.values())
    positional = [f"the {p.name}" for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    named = {p.name: f"the {p.name}" for p in parameters if p.kind is p.KEYWORD_ONLY}
    return kind(*positional, **named)


def attributes(error: EdgeSerError) -> dict[str, Any]:
    return {"type": type(error), "line": str(error), "args": error.args, **vars(error)}


def test_all_kinds_are_looked_at() -> None:
    assert len(ERRORS) >= 11
    assert {EdgeSerError, MissingPathError, MissingExtraError} <= set(ERRORS)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_survives_pickle_and_copy_with_all_it_says(kind: type[EdgeSerError]) -> None:
    error = example(kind)
    whole = attributes(error)
    assert {"subject", "expected", "found", "advice"} <= set(whole)
    copies = [pickle.loads(pickle.dumps(error, p)) for p in PROTOCOLS]
    for again in [*copies, copy.copy(error), copy.deepcopy(error)]:
        assert attributes(again) == whole
        assert again.exit_code == error.exit_code


@pytest.mark.parametrize("kind", ERRORS)
def test_what_is_noted_on_an_error_later_is_kept_too(kind: type[EdgeSerError]) -> None:
    error = example(kind)
    error.row = 3  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(error)).row == 3


def test_a_path_stays_a_path_and_anything_else_is_text() -> None:
    path = Path("a.wav")
    kept = pickle.loads(pickle.dumps(MissingPathError(path, expected="a", found="b")))
    assert kept.subject == path
    # such as a stream or a session, which no other process can have
    error = EdgeSerError(lambda: None, expected="a", found="b")
    assert pickle.loads(pickle.dumps(error)).subject == error.subject
    assert "lambda" in str(error)


def recognise(path: Path) -> edge_ser.Emotion:
    return edge_ser.load(threads=1)(path)


@pytest.fixture
def files(utterances: list[Path], tmp_path: Path) -> list[Path]:
    """Two utterances and, between them, a file that is not there."""
    return [utterances[0], tmp_path / "none.wav", utterances[1]]


def check(outcomes: list[Any], files: list[Path]) -> None:
    for position in (0, 2):
        assert outcomes[position] == recognise(files[position])
    assert isinstance(outcomes[1], MissingPathError)
    assert (outcomes[1].subject, outcomes[1].found) == (files[1], "no such file")


def test_a_missing_file_is_one_error_of_a_process_pool(files: list[Path]) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        futures = [pool.submit(recognise, f) for f in files]
        check([f.exception(SECONDS) or f.result(SECONDS) for f in futures], files)


def test_a_missing_file_is_one_error_of_a_multiprocessing_pool(files: list[Path]) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        waiting = [pool.apply_async(recognise, (f,)) for f in files]
        outcomes: list[Any] = []
        for answer in waiting:
            try:
                outcomes.append(answer.get(SECONDS))
            except EdgeSerError as error:
                outcomes.append(error)
    check(outcomes, files)


def results(ser: edge_ser.Recognizer, utterances: list[Path]) -> Iterator[Any]:
    emotion = ser(utterances[0])
    yield from (emotion, emotion.sphere, emotion.region, ser.manifest, ser.manifest.limits)
    yield from (ser.manifest.preprocessing, ser.manifest.files[0], ser.manifest.inputs[0])
    asked = Partition(30, 60, 0.25)
    assert len(asked.regions) == 37  # computed once, and kept in the object
    yield from (asked, Partition())
    judged = verify(ser.bundle, ser.session).groups["batched"]
    assert isinstance(judged, Fidelity)
    yield judged


def test_results_survive_pickle(ser: edge_ser.Recognizer, utterances: list[Path]) -> None:
    for result in results(ser, utterances):
        assert dataclasses.is_dataclass(result)
        for protocol in PROTOCOLS:
            again = pickle.loads(pickle.dumps(result, protocol))
            assert again == result and type(again) is type(result)
