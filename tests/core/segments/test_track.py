"""What a picture of a recording shows, of any number of segments, and the picture itself."""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from edge_ser.audio.sound import Sound
from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.sphere import Partition
from edge_ser.palette import OTHER_COLOUR, REGION_COLOURS
from edge_ser.segments.plot import figure, write_plot
from edge_ser.segments.segment import Segment
from edge_ser.segments.track import Track

OCTANTS = Partition()


def emotion_of(
    vad: Sequence[float], speech: float = 1.0, partition: Partition = OCTANTS
) -> Emotion:
    sound = Sound(-20.0, 0.0, 0.0, 0.0, speech)
    row = np.array([vad], np.float32)
    return decode(Outputs.of(row), partition, [1.0], ["call.wav"], [sound])[0]


def track_of(segments: Sequence[Segment]) -> Track:
    track = Track()
    for segment in segments:
        track.add(segment)
    return track


def test_segments_that_overlap_stand_for_the_time_around_their_middle() -> None:
    emotion = emotion_of([0.5, 0.5, 0.5])
    course = track_of([Segment(t, t + 4.0, emotion) for t in range(4)]).course(10)
    assert course.edges.tolist() == [[0, 2.5], [2.5, 3.5], [3.5, 4.5], [4.5, 7]]
    assert not course.is_binned and course.seconds == 7


def test_a_gap_stays_a_gap_and_what_is_not_answered_has_no_number() -> None:
    emotion = emotion_of([0.5, 0.25, 1.0], 0.75)
    course = track_of([
        Segment(1.0, 2.0, emotion, "", "", "Ann"),
        Segment(3.0, 4.0, None, "silent", "", "Ben"),
    ]).course(10)  # fmt: skip
    assert course.edges.tolist() == [[1, 2], [3, 4]]
    np.testing.assert_allclose(course.scores, [[4, 2.5, 7], [np.nan] * 3])
    assert course.regions.tolist() == [0, -1] and course.names == (str(emotion.region),)
    assert course.speakers.tolist() == [0, 1] and course.people == ("Ann", "Ben")
    assert course.speech.tolist() == [0.75, 0]


def test_many_segments_are_means_over_equal_parts() -> None:
    low, high = emotion_of([0, 0, 0], 0.5), emotion_of([1, 1, 1], 1.0)
    # 8 s in four parts: three of `low` and one of `high`, in which two are not answered; a gap
    segments = [Segment(t, t + 1.0, low) for t in (0, 1, 2)] + [
        Segment(3.0, 3.5, high),
        Segment(3.5, 4.0, None, "silent"),
        Segment(7.0, 8.0, high),
    ]
    course = track_of(segments).course(4)
    assert course.is_binned
    assert course.edges.tolist() == [[0, 2], [2, 4], [4, 6], [6, 8]]
    second = (1 * 1 + 0.5 * 7) / 1.5
    np.testing.assert_allclose(course.scores[:, 0], [1, second, np.nan, 7])
    spread = np.sqrt((1 * 1 + 0.5 * 49) / 1.5 - second**2)
    np.testing.assert_allclose(course.spread[:, 1], [0, spread, np.nan, 0], atol=1e-6)
    np.testing.assert_allclose(course.speech, [0.5, (0.5 + 0.5) / 2, np.nan, 1.0])
    names = [course.names[place] if place >= 0 else "" for place in course.regions]
    assert names == [str(low.region), str(low.region), "", str(high.region)]
    assert str(low.region) != str(high.region)


def test_a_picture_has_the_scores_the_regions_and_where_hardly_anybody_speaks() -> None:
    segments = [
        Segment(0.0, 5.0, emotion_of([0.9, 0.9, 0.9]), "", "a$b$.wav"),
        Segment(5.0, 9.0, emotion_of([0.1, 0.2, 0.3], 0.1), "", "a$b$.wav"),
    ]
    axes = figure(track_of(segments), 0.2).axes
    assert [one.get_ylabel() for one in axes] == [
        "arousal", "dominance", "valence", "region", "speech",
    ]  # fmt: skip
    (line,) = [line for line in axes[2].lines if line.get_gid() == "valence"]
    y = line.get_ydata()
    np.testing.assert_allclose(y[:2], 6.4, rtol=1e-6)
    np.testing.assert_allclose(y[3:5], 2.8, rtol=1e-6)
    (shaded,) = axes[0].patches
    assert (shaded.get_x(), shaded.get_width()) == (5.0, 4.0)
    colours = [patch.get_facecolor()[:3] for patch in axes[3].patches]
    expected = [REGION_COLOURS[str(s.emotion.region)] for s in segments if s.emotion]
    assert colours == [tuple(int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)) for c in expected]
    assert axes[0].get_title(loc="left") == "a$b$.wav"
    assert [label.get_text() for label in axes[-1].get_xticklabels()] == [
        f"0:0{second}" for second in range(10)
    ]


def test_speakers_have_a_strip() -> None:
    emotion = emotion_of([0.9, 0.9, 0.9])
    turns = [Segment(0.0, 5.0, emotion, "", "", "Ann"), Segment(6.0, 9.0, emotion, "", "", "Ben")]
    strip = figure(track_of(turns), 0.2).axes[4]
    assert strip.get_ylabel() == "speaker"
    assert [text.get_text() for text in strip.texts] == ["Ann", "Ben"]


def test_hours_are_told_in_hours_and_in_as_many_pieces_as_are_seen() -> None:
    rng = np.random.default_rng(0)
    answers = [emotion_of(row) for row in rng.uniform(0, 1, (20, 3))]
    hours = [Segment(5.0 * i, 5.0 * i + 5, answers[i % 20]) for i in range(12 * 720)]
    *_, last = figure(track_of(hours), 0.2).axes
    labels = [label.get_text() for label in last.get_xticklabels()]
    assert labels == [f"{2 * i}:00:00" for i in range(7)]
    assert len(track_of(hours).course(200).edges) == 200


def test_on_finer_grids_the_rarest_regions_share_a_colour(tmp_path: Path) -> None:
    fine = Partition(30, 30, 0.1)
    rng = np.random.default_rng(1)
    answers = [emotion_of(row, 1.0, fine) for row in rng.uniform(0, 1, (60, 3))]
    track = track_of([Segment(float(i), i + 1.0, e) for i, e in enumerate(answers)])
    (legend,) = figure(track, 0.2).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == len(REGION_COLOURS) + 1 and names[-1] == "others"
    red, green, blue, _ = legend.get_patches()[-1].get_facecolor()
    assert f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}" == OTHER_COLOUR


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_is_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    track = track_of([Segment(0.0, 5.0, emotion_of([0.9, 0.9, 0.9]), "", f"{os.sep}語.wav")])
    write_plot(path, track, 0.2)  # a letter that the font has not is no warning
    if suffix == ".svg":
        assert "exuberant" in path.read_text() or "<use" in path.read_text()
    else:
        assert matplotlib.image.imread(path).std() > 0.05
