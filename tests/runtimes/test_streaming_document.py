"""The code of the page about streams runs, as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "streaming.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    ("code", "lines", "words"),
    [
        (BLOCKS[0], 3, r"\d\.\d\d s: Emotion\(arousal="),
        (BLOCKS[1], 2, r"\d\.\d\d s: Smoothed\(arousal=.*, \d dropped"),
        (BLOCKS[2], 3, r"\['\w+ \w+'"),
    ],
    ids=["push", "threads", "asyncio"],
)
def test_it_runs(code: str, lines: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    printed = done.stdout.splitlines()
    assert len(printed) >= lines
    assert re.match(words, printed[0])


def test_all_of_it() -> None:
    assert len(BLOCKS) == 3
