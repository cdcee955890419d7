"""Which utterances a calibration draws, and what that costs."""

import itertools
import json
import shutil
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.calibration_files import RATE, RULES, Floats, answer, names, octants, of, speak
from numpy.typing import NDArray

from edge_ser.audio.files import decode_file
from edge_ser.emotion.scale import OCTANTS
from edge_ser.emotion.sphere import Partition
from edge_ser_export.calibration import draw as calibration
from edge_ser_export.calibration.classes import Regions
from edge_ser_export.calibration.draw import draw


def never(samples: Floats) -> NDArray[Any]:
    raise AssertionError(f"asked about {samples.size} samples that have labels")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of every octant and third of length, in subfolders."""
    for octant, (third, seconds) in itertools.product(range(8), enumerate((0.1, 0.2, 0.3))):
        for copy in range(2):
            speak(tmp_path / "speech" / f"{copy}" / f"{octant}-{third}.wav", octant, seconds)
    return tmp_path / "speech"


# --- what is drawn


def test_built_in_samples() -> None:
    drawn = of(None, answer=never)
    assert (drawn.default, drawn.source, drawn.skipped) == (True, "built-in samples", ())
    for half in (drawn.fit, drawn.judge):
        assert sorted(octants(half)) == list(range(8))
        assert all(u.scores is not None for u in half)
    by_name = {u.path.name: u for u in (*drawn.fit, *drawn.judge)}
    hostile = by_name["slt_iv_hostile.flac"]  # a table with valence before dominance
    assert (hostile.group, hostile.scores) == (3, (5.95, 5.95, 2.05))
    lengths = [sum(u.seconds for u in half) for half in (drawn.fit, drawn.judge)]
    assert max(lengths) < 1.1 * min(lengths)


def test_neither_half_has_the_long_ones(tmp_path: Path) -> None:
    for octant, seconds in itertools.product(range(8), (0.1, 0.3)):
        speak(tmp_path / f"{octant}-{seconds}.wav", octant, seconds)
    drawn = of(tmp_path)
    assert sum(u.seconds for u in drawn.fit) == pytest.approx(sum(u.seconds for u in drawn.judge))


def test_both_halves_cover_regions_and_lengths(folder: Path) -> None:
    drawn = of(folder)
    for half in (drawn.fit, drawn.judge):
        assert len({u.path.name for u in half}) == len(half) == 24
        assert sorted(octants(half)) == sorted(3 * list(range(8)))
        # who takes only the first few has all regions as well
        assert len(set(octants(half[:8]))) == 8
    assert drawn.regions == OCTANTS
    assert not drawn.default


def test_a_small_draw_has_every_region_once(folder: Path) -> None:
    drawn = of(folder, count=4)
    assert len(drawn.fit) == len(drawn.judge) == 4
    assert sorted(octants(drawn.fit + drawn.judge)) == list(range(8))
    assert len({u.seconds for u in drawn.fit + drawn.judge}) == 3


def test_a_rare_region_is_drawn(tmp_path: Path) -> None:
    for number in range(40):
        speak(tmp_path / f"{number:02}.wav", 3)
    for number in range(2):
        speak(tmp_path / f"rare-{number}.wav", 6)
    drawn = of(tmp_path, count=2)
    assert sorted(octants(drawn.fit)) == sorted(octants(drawn.judge)) == [3, 6]
    assert drawn.regions == ("IV", "VII")


def test_regions_are_those_of_the_partition(folder: Path) -> None:
    drawn = draw(folder, RULES, Regions(Partition(180, 180)), answer)
    assert set(octants(drawn.fit)) == {0, 1}


def test_an_answer_that_is_not_finite_is_no_region(tmp_path: Path) -> None:
    for number in range(3):
        speak(tmp_path / f"{number}.wav")
    drawn = of(tmp_path, answer=lambda _: np.array([0.5, np.nan, 0.5]))
    assert octants(drawn.fit + drawn.judge) == [None] * 3
    assert drawn.regions == ()


@pytest.mark.parametrize("files", [2, 3, 10, 11])
def test_halves_are_disjoint_and_of_equal_size(files: int, tmp_path: Path) -> None:
    for number in range(files):
        speak(tmp_path / f"{number}.wav", number % 3)
    drawn = of(tmp_path)
    assert not set(names(drawn.fit)) & set(names(drawn.judge))
    assert len(drawn.fit) + len(drawn.judge) == files
    assert 0 <= len(drawn.fit) - len(drawn.judge) <= 1


def test_a_copy_is_not_judged_beside_its_original(tmp_path: Path) -> None:
    for number in range(3):
        speak(tmp_path / f"{number}.wav")
    shutil.copy(tmp_path / "1.wav", tmp_path / "again.wav")
    drawn = of(tmp_path)
    assert sorted(names(drawn.fit + drawn.judge)) == ["0.wav", "1.wav", "2.wav"]
    assert drawn.skipped == ("again.wav: a copy of 1.wav",)


def test_same_files_and_seed_give_the_same_draw(folder: Path, tmp_path: Path) -> None:
    first, second, other = of(folder, 5), of(folder, 5), of(folder, 5, seed=8)
    assert first == second
    assert set(other.fit) != set(first.fit)
    assert other.fingerprint != first.fingerprint
    moved = of(Path(shutil.copytree(folder, tmp_path / "elsewhere" / "speech")), 5)
    assert moved.to_dict() == first.to_dict()


def test_fingerprint_is_of_contents_and_preprocessing(folder: Path) -> None:
    first = of(folder)
    rules = replace(RULES, std=1.5)
    assert draw(folder, rules, Regions(Partition()), lambda x: answer(1.5 * x)).fingerprint != (
        first.fingerprint
    )
    path = first.judge[0].path
    data = bytearray(path.read_bytes())
    data[-2] ^= 1  # a sixty-five-thousandth of one sample
    path.write_bytes(data)
    changed = of(folder)
    assert (names(changed.fit), names(changed.judge)) == (names(first.fit), names(first.judge))
    assert changed.fingerprint != first.fingerprint


def test_for_the_manifest(folder: Path) -> None:
    (folder / "0" / "broken.wav").write_bytes(b"no audio")
    drawn = of(folder)
    data = json.loads(json.dumps(drawn.to_dict()))
    assert data.pop("skipped")[0].startswith("0/broken.wav: expected audio")
    assert data == {
        "source": "speech", "default": False, "fit": 24, "judge": 24, "seconds": 9.6,
        "regions": list(OCTANTS), "splits": [], "fingerprint": drawn.fingerprint, "seed": 7,
    }  # fmt: skip
    assert str(folder.parent) not in json.dumps(drawn.to_dict())


# --- at a cost that does not grow


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files decoded so far."""
    seen: list[str] = []

    def spy(source: Path, *rest: Any) -> Floats:
        seen.append(source.name)
        return decode_file(source, *rest)

    monkeypatch.setattr(calibration, "decode_file", spy)
    yield seen


def test_samples_are_decoded_when_asked_for(folder: Path, decoded: list[str]) -> None:
    drawn = of(folder, count=4)
    decoded.clear()
    given = drawn.samples(drawn.judge)
    assert isinstance(given, Iterator)
    assert decoded == []
    for number, (utterance, samples) in enumerate(zip(drawn.judge, given, strict=True)):
        assert decoded == names(drawn.judge)[: number + 1]
        np.testing.assert_array_equal(samples, RULES.apply(decode_file(utterance.path, RATE)))
        assert samples.size == utterance.seconds * RATE


def test_candidates_are_spread_and_decoded_once(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        speak(tmp_path / f"{number}.wav")
    monkeypatch.setattr(calibration, "MAX_CANDIDATES", 4)
    drawn = of(tmp_path)
    assert decoded == ["0.wav", "2.wav", "5.wav", "7.wav"]
    assert sorted(names(drawn.fit + drawn.judge)) == decoded


def test_memory_is_that_of_one_utterance(tmp_path: Path) -> None:
    for number in range(24):
        speak(tmp_path / f"{number}.wav", seconds=12.5 if number else 200)
    tracemalloc.start()
    try:
        drawn = of(tmp_path)
        for half in (drawn.fit, drawn.judge):
            assert sum(x.size for x in drawn.samples(half)) == 12 * RULES.max_samples
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert {u.seconds for u in drawn.fit} == {12.0}
    assert peak < 24 * RULES.max_samples * 4 / 3
