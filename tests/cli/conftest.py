import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edge_ser.bench.records import Record
from edge_ser.bench.suite import Suite
from edge_ser.cli import main


class Done(NamedTuple):
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def error(self) -> str:
        """The one line of a refusal, checked for its form."""
        assert self.code == 2, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("edge-ser: error: ")
        assert "Traceback" not in self.err
        return lines[0].removeprefix("edge-ser: error: ")


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run a command in an empty directory, which is also not on any path it is given."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        sys.stderr.flush()
        out, err = capsys.readouterr()
        assert list(here.iterdir()) == [], "nothing is written to where the user stands"
        return Done(code, out, err)

    return run


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Record]]:
    """Records that a run measures, as they are, or as a test wishes them to be."""
    wished: list[Record] = []
    monkeypatch.setattr(Suite, "run", lambda self, candidates: list(wished))
    yield wished
