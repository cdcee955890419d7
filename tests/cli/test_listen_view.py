"""What the live view draws."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.signals import make_syllables

import edge_ser
from edge_ser.cli.listen_view import Shown, bar, draw, estimate_words, plane

pytest.importorskip("rich")
RATE = 16_000


@pytest.fixture(scope="module")
def estimate(ser: edge_ser.Recognizer) -> edge_ser.Estimate:
    (one,) = ser.stream(RATE).push(make_syllables(3, RATE))
    return one


def test_bars_are_as_long_as_scores() -> None:
    assert bar(1.0) == "·" * 40
    assert bar(4.0) == "█" * 20 + "·" * 20
    assert bar(7.0) == "█" * 40


@pytest.mark.parametrize(
    ("valence", "arousal", "row", "column"),
    [(1, 7, 0, 0), (7, 7, 0, 40), (1, 1, 10, 0), (7, 1, 10, 40), (4, 4, 5, 20)],
)
def test_the_plane_has_its_corners(valence: float, arousal: float, row: int, column: int) -> None:
    lines = plane([(valence, arousal)])
    assert len(lines) == 11 and {len(line) for line in lines} == {41}
    places = [(r, c) for r, line in enumerate(lines) for c, x in enumerate(line) if x == "●"]
    assert places == [(row, column)]


def test_the_plane_remembers_where_it_came_from() -> None:
    drawn = "".join(plane([(2, 2), (3, 3), (6, 6)]))
    assert drawn.count("∙") == 2 and drawn.count("●") == 1


def test_before_the_first_answer() -> None:
    text = draw(Shown("model: stdin")).plain
    assert text.startswith("model: stdin\n○ silence      0.0 s  0 utterances\n")
    assert "█" not in text and "●" not in text and "region    -" in text


def test_the_mean_stays_while_nobody_speaks(estimate: edge_ser.Estimate) -> None:
    mean = estimate.smoothed
    assert mean is not None
    silent = replace(estimate, smoothed=None, emotion=None, reason="expected a signal, found none")
    trace = ((mean.valence, mean.arousal),)
    text = draw(Shown("m", 9.0, False, 2, silent, mean, trace, 1)).plain
    assert f"arousal   {bar(mean.arousal)} {mean.arousal:.2f}" in text
    assert f"region    {mean.region}" in text
    assert "9.0 s  1 utterance  2 dropped" in text
    assert text.endswith("- expected a signal, found none")


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in draw(Shown("mic\x1b[2J")).plain


def test_words_of_an_estimate(estimate: edge_ser.Estimate) -> None:
    mean, emotion = estimate.smoothed, estimate.emotion
    assert mean is not None and emotion is not None
    assert estimate_words(estimate) == (
        f"arousal {mean.arousal:.2f}  dominance {mean.dominance:.2f}  "
        f"valence {mean.valence:.2f}  {mean.region}"
    )
    assert estimate_words(replace(estimate, smoothed=None)) == "- hardly any speech"
    named = replace(emotion, category="joy", categories={"joy": np.float64(0.8)})
    assert estimate_words(replace(estimate, emotion=named, smoothed=None)) == "joy 80%"
