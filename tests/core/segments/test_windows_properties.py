"""What holds for every recording and every way to cut it: nothing is lost, and nothing is moved."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_ser.emotion.sphere import Partition
from edge_ser.segments.segment import Together
from edge_ser.segments.turns import Turn, check_turns, cut_turns, read_turns
from edge_ser.segments.windows import Window, WindowRule, cut_windows

Floats = NDArray[np.float32]
RATE = 100


@st.composite
def rules(draw: st.DrawFn) -> WindowRule:
    size = draw(st.integers(1, 50))
    return WindowRule(size, draw(st.integers(1, size)), draw(st.integers(1, size)))


@st.composite
def recordings(draw: st.DrawFn) -> list[Floats]:
    """Blocks of the numbers 0, 1, 2, ...: each sample says where it is from."""
    sizes = draw(st.lists(st.integers(0, 60), max_size=12))
    ends = np.cumsum(sizes, dtype=int)
    return [
        np.arange(end - size, end, dtype=np.float32) for size, end in zip(sizes, ends, strict=True)
    ]


def check_places(windows: list[Window]) -> None:
    for window in windows:
        places = np.arange(window.start, window.start + window.samples.size)
        np.testing.assert_array_equal(window.samples, places)


@given(recordings(), rules())
def test_windows_cover_a_recording_without_gaps(blocks: list[Floats], rule: WindowRule) -> None:
    total = sum(block.size for block in blocks)
    windows = list(cut_windows(blocks, rule))
    check_places(windows)
    if not total:
        assert windows == []
        return
    assert windows[0].start == 0
    ends = [window.start + window.samples.size for window in windows]
    assert total - ends[-1] < (rule.shortest if len(windows) > 1 or total >= rule.size else 1)
    assert all(window.samples.size == min(rule.size, total) for window in windows)
    steps = [after.start - before.start for before, after in pairwise(windows)]
    assert all(step == rule.hop for step in steps[:-1])
    assert all(0 < step <= rule.hop for step in steps), "and so no gap: a hop is at most a window"
    assert all(0 < window.counted <= window.samples.size for window in windows)
    if rule.hop == rule.size:  # nothing is in two windows: each sample counts once
        np.testing.assert_allclose(sum(window.counted for window in windows), ends[-1])


@given(recordings(), rules(), st.integers(1, 70))
def test_how_samples_arrive_changes_nothing(
    blocks: list[Floats], rule: WindowRule, size: int
) -> None:
    whole = np.concatenate([np.zeros(0, np.float32), *blocks])
    again = [whole[start : start + size] for start in range(0, whole.size, size)]
    for one, other in zip(cut_windows(blocks, rule), cut_windows(again, rule), strict=True):
        assert (one.start, one.counted) == (other.start, other.counted)
        np.testing.assert_array_equal(one.samples, other.samples)


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    """In their order, in hundredths of seconds, as samples are at this rate."""
    found, at = [], 0
    for line in range(1, draw(st.integers(1, 8)) + 1):
        start = at + draw(st.integers(0, 30))
        at = start + draw(st.integers(1, 150))
        speaker = draw(st.sampled_from(["A", "B", "Ann Ö"]))
        found.append(Turn(start / RATE, at / RATE, speaker, "", line))
    return found


@given(turns(), rules(), st.integers(0, 50), st.integers(1, 70))
def test_turns_are_cut_in_their_order_and_each_alone(
    spoken: list[Turn], rule: WindowRule, more: int, block: int
) -> None:
    check_turns(spoken, "turns")
    total = round(spoken[-1].end * RATE) + more
    whole = np.arange(total, dtype=np.float32)
    blocks = [whole[start : start + block] for start in range(0, total, block)]
    windows = list(cut_turns(blocks, spoken, rule, rule.size, RATE, "recording"))
    check_places(windows)
    starts = [window.start for window in windows]
    assert starts == sorted(starts)
    for turn in spoken:
        first, last = round(turn.start * RATE), round(turn.end * RATE)
        own = [w for w in windows if first <= w.start < last]
        assert {w.speaker for w in own} == {turn.speaker}
        assert own[0].start == first
        ends = [w.start + w.samples.size for w in own]
        assert max(ends) <= last and last - max(ends) < max(rule.shortest, 1)
    assert len(windows) == sum(
        round(t.start * RATE) <= w.start < round(t.end * RATE) for t in spoken for w in windows
    ), "no window is outside every turn"


@given(turns(), st.sampled_from(["a.rttm", "a.csv"]))
def test_tables_of_turns_come_back(tmp_path_factory: object, spoken: list[Turn], name: str) -> None:
    path = Path(getattr(tmp_path_factory, "mktemp")("turns")) / name  # noqa: B009
    if name == "a.csv":
        lines = ["start,end,speaker", *(f"{t.start:.2f},{t.end:.2f},{t.speaker}" for t in spoken)]
    else:
        lines = [
            f"SPEAKER call 1 {t.start:.2f} {t.end - t.start:.2f} <NA> <NA> "
            f"{t.speaker.replace(' ', '_')} <NA> <NA>"
            for t in spoken
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for read, turn in zip(read_turns(path), spoken, strict=True):
        assert abs(read.start - turn.start) < 1e-9 and abs(read.end - turn.end) < 1e-9
        assert read.speaker.replace("_", " ") == turn.speaker


pieces = st.lists(
    st.tuples(
        st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3),
        st.integers(1, 500),
        st.floats(0, 1),
    ),
    min_size=1,
    max_size=10,
)


@given(pieces, st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_the_overall_value_lies_between_those_of_the_pieces(
    pieces: list[tuple[list[float], int, float]], direction: list[float]
) -> None:
    together, start = Together(RATE), 0
    for vad, size, speech in pieces:
        window = Window(start, np.zeros(size, np.float32), size)
        together.add(window, {"vad": np.array(vad, np.float32)}, speech)
        start += size
    overall = together.overall(Partition(), "")
    assert overall.emotion is not None and overall.answered == overall.segments == len(pieces)
    assert abs(overall.seconds - start / RATE) < 1e-9
    emotion = overall.emotion
    point = np.array([emotion.arousal, emotion.dominance, emotion.valence])
    # inside the convex hull: along every direction between the least and the most
    along = [float(np.dot(1 + 6 * np.array(vad), direction)) for vad, _, _ in pieces]
    assert min(along) - 1e-4 <= float(point @ direction) <= max(along) + 1e-4
