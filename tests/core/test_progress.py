"""Progress where nobody watches a terminal: a line now and then, and none where none is wanted."""

import io
import re
import sys
import time

import pytest

from edge_ser import progress
from edge_ser.cli.console import print_error, print_note, print_warning
from edge_ser.progress import Lines, brief_time, silent, watched


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def wait_for(stream: io.StringIO, lines: int, seconds: float = 10.0) -> list[str]:
    end = time.monotonic() + seconds
    while stream.getvalue().count("\n") < lines and time.monotonic() < end:
        time.sleep(0.005)
    return stream.getvalue().splitlines()


def test_a_long_step_is_told_again_and_again() -> None:
    stream = io.StringIO()
    with Lines(total=4, interval=0.02, stream=stream) as bar:
        bar.set_postfix_str("tracing")
        bar.update()
        lines = wait_for(stream, 3)
    assert len(lines) >= 3, "one step, and several lines"
    assert re.fullmatch(
        r"edge-ser: step 1 of 4, \d+ s so far, about \d+ s left: tracing", lines[-1]
    )
    before = stream.getvalue()
    time.sleep(0.06)
    assert stream.getvalue() == before, "nothing after the end"


def test_items_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    seen = []
    for item in Lines([3, 4], name="calibration", unit="file", interval=60, stream=stream):
        seen.append(item)
    assert seen == [3, 4]
    assert stream.getvalue() == "", "what ends soon says nothing"
    unknown = Lines(unit="clip", interval=60, stream=stream)
    unknown.update(2)
    unknown.set_postfix({"loss": "0.5"}, refresh=False)
    assert unknown.line == "edge-ser: clip 2, 0 s so far: loss 0.5"
    unknown.close()


def test_what_is_left_follows_from_what_went_before(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Lines(total=40, interval=60, stream=io.StringIO())
    monkeypatch.setattr(bar, "_started", 100.0)
    bar.update(10)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 130.0)
    assert bar.line == "edge-ser: step 10 of 40, 30 s so far, about 1 min 30 s left"
    monkeypatch.undo()
    bar.close()


def test_a_pipe_gets_lines_and_a_terminal_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = watched(total=3)
    assert isinstance(bar, Lines)
    bar.close()
    monkeypatch.setattr(sys, "stderr", Terminal())
    with watched(total=3, name="work") as drawn:
        drawn.update()
        drawn.refresh()
        assert "work:  33%" in sys.stderr.getvalue()


def test_nothing_is_shown_where_nothing_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent(True):
        assert watched(total=3).disable
        assert list(watched([1, 2])) == [1, 2]
    assert watched(total=3, quiet=True).disable
    monkeypatch.setattr(sys, "stderr", None)
    hidden = watched(total=3)
    monkeypatch.undo()
    assert hidden.disable


def test_quiet_leaves_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with silent(True), silent(False):
        print_warning("w")
        print_note("n")
        print_error("e")
    assert capsys.readouterr().err == "edge-ser: error: e\n"
    print_warning("w")
    assert capsys.readouterr().err == "edge-ser: warning: w\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert brief_time(seconds) == words
