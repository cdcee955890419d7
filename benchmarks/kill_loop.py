"""Does a killed command leave a bundle whole, and nothing that the next run does not remove?

`python benchmarks/kill_loop.py` writes results/kill-loop.md: SIGKILL through `edge-ser export` of
the small spectral checkpoint and through `edge-ser build` of a TensorRT engine, each onto an
existing bundle. Half of the kills come at any moment, the others while the finished bundle is
written and put in place. Where TensorRT for RTX is not installed, builds are left out.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import operator
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from common import RESULTS, machine_line

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli import main as main_command
from edge_ser.errors import EdgeSerError
from edge_ser.host.child import module_command
from edge_ser_export import pipeline
from edge_ser_runtimes.engines import on_device

# imported for every child to have: torch, the builder
_COMMANDS = (pipeline.export, on_device.build_on_device)

_USERS = ("{out}.notes", ".{out}.d", ".{out}.settings")
# PyTorch's folder for what it compiles, which it keeps for the next process; nothing is in it
_OF_TORCH = "torchinductor_"
# from when the bundle's last file is written until it is in its place, and a little longer
_LAST_SECONDS = 0.02
_WHOLE_EVERY = 10


@dataclass
class Loop:
    """Kills of one command.

    Attributes:
        name: of the command.
        arguments: of `edge-ser`.
        out: of the bundle that it writes or replaces.
        scratch: its TMPDIR.
        seconds: that it took when nobody killed it, the last time.
        kills: so far, of runs that had not ended by themselves.
        early: how many runs ended by themselves before their kill, and do not count.
        outcomes: how often the old or the new bundle was there after a kill.
        left: how often a kill left folders behind.
        hidden: how often one of these would load: the bundle that was replaced, or the new one.
        faults: what must not be, in words.
    """

    name: str
    arguments: Sequence[str]
    out: Path
    scratch: Path
    seconds: float = 0.0
    kills: int = 0
    early: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    left: int = 0
    hidden: int = 0
    faults: list[str] = field(default_factory=list)

    def start(self) -> int:
        """Fork: what the command imports is there already, so that all of its time is its work."""
        child = os.fork()
        if child:
            return child
        os.environ["TMPDIR"], tempfile.tempdir = str(self.scratch), None
        with self.said.open("w") as said:
            os.dup2(said.fileno(), sys.stdout.fileno())
            os.dup2(said.fileno(), sys.stderr.fileno())
        os._exit(main_command(self.arguments))

    @property
    def said(self) -> Path:
        """What the last command printed."""
        return self.out.with_name(_USERS[0].format(out=self.out.name)) / "said"

    def run_whole(self) -> None:
        """Let it end, after which nothing of killed ones may be left."""
        started = time.perf_counter()
        _, status = os.waitpid(self.start(), 0)
        self.seconds = time.perf_counter() - started
        if status:
            self.faults.append(f"status {status}: {self.said.read_text()[-300:]}")
        self.faults += [f"left by a whole run: {name}" for name in self.leftovers()]

    def leftovers(self) -> list[str]:
        users = {name.format(out=self.out.name) for name in _USERS}
        beside = {path.name for path in self.out.parent.iterdir()} - users - {self.out.name}
        temporary = (path.name for path in self.scratch.iterdir())
        return sorted([*beside, *(n for n in temporary if not n.startswith(_OF_TORCH))])

    def sealed(self) -> set[Path]:
        """Manifests in temporary siblings, of this run and of those killed before."""
        return set(self.out.parent.glob(f".{self.out.name}.*/manifest.json*"))

    def kill_once(self, is_late: bool, chance: random.Random) -> None:
        before = Bundle.open(self.out).fingerprint
        left = self.sealed()
        child = self.start()
        if is_late:
            while _lives(child) and self.sealed() <= left:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, _LAST_SECONDS))
        else:
            time.sleep(chance.uniform(0, self.seconds))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == -signal.SIGKILL:
            self.kills += 1
            self.check(before)
        else:
            self.early += 1

    def check(self, before: str) -> None:
        """The bundle is the old or the new one; nothing else loads; the user's files are there."""
        try:
            after = Bundle.open(self.out).fingerprint
            self.outcomes["the old bundle" if after == before else "the new bundle"] += 1
        except EdgeSerError as error:
            self.faults.append(str(error))
        self.left += bool(self.leftovers())
        siblings = self.out.parent.glob(f".{self.out.name}.edge-ser.*")
        self.hidden += any(_loads(path) for path in siblings)
        for name in _USERS:
            mine = self.out.with_name(name.format(out=self.out.name)) / "mine"
            if not mine.is_file() or mine.read_text() != "mine":
                self.faults.append(f"gone: {mine}")

    def run(self, kills: int, until: float) -> Loop:
        """Kill so many times, or until a time of the monotonic clock; returns itself."""
        chance = random.Random(str(self.out))
        for name in _USERS:
            folder = self.out.with_name(name.format(out=self.out.name))
            folder.mkdir(parents=True)
            (folder / "mine").write_text("mine")
        self.scratch.mkdir(parents=True)
        self.run_whole()
        while self.kills < kills and time.monotonic() < until:
            self.kill_once(self.kills % 2 == 1, chance)
            if self.kills % _WHOLE_EVERY == 0:
                self.run_whole()
            state = (dict(self.outcomes), self.early, self.left, self.hidden, self.faults)
            print(self.name, self.kills, *state, flush=True)
        self.run_whole()
        return self

    def __add__(self, other: Loop) -> Loop:
        """Both, of one command."""
        return Loop(
            self.name,
            self.arguments,
            self.out,
            self.scratch,
            max(self.seconds, other.seconds),
            self.kills + other.kills,
            self.early + other.early,
            self.outcomes + other.outcomes,
            self.left + other.left,
            self.hidden + other.hidden,
            self.faults + other.faults,
        )

    def row(self) -> str:
        old, new = self.outcomes["the old bundle"], self.outcomes["the new bundle"]
        return (
            f"| {self.name} | {self.kills} | {self.early} | {self.seconds:.1f} s | {old} | {new} | "
            f"{self.left} | {self.hidden} | {len(self.faults)} |"
        )


def _lives(child: int) -> bool:
    """Whether a child has not ended; it stays there to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _loads(path: Path) -> bool:
    try:
        Bundle.open(path).close()
    except EdgeSerError:
        return False
    return True


def _has_builder() -> bool:
    try:
        import tensorrt_rtx  # noqa: F401
    except ImportError:
        return False
    return True


def _exporting(place: Path) -> Loop:
    out = place / "exports" / "out"
    return Loop("export", ["export", "spectral", "-o", str(out)], out, place / "scratch")


def _building(place: Path) -> Loop:
    out = place / "builds" / "engine"
    make = ["export", "spectral", "--target", "trt-fp16", "--device", "rtx-4090"]
    subprocess.run(module_command("edge_ser", *make, "-o", str(out)), check=True)
    return Loop("build", ["build", str(out)], out, place / "scratch of builds")


def _share(make: Callable[[Path], Loop], place: Path, kills: int, until: float) -> Loop:
    place.mkdir()
    return make(place).run(kills, until)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exports", type=int, default=100)
    parser.add_argument("--builds", type=int, default=50)
    parser.add_argument("--at-once", type=int, default=2, help="of each command, each in a folder")
    parser.add_argument("--minutes", type=float, default=600.0, help="after which no kill begins")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    wanted = [(_exporting, arguments.exports)]
    if _has_builder():
        wanted.append((_building, arguments.builds))
    at_once, forks = arguments.at_once, multiprocessing.get_context("fork")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(len(wanted) * at_once, mp_context=forks) as pool,
    ):
        shares = [
            [
                pool.submit(
                    _share,
                    make,
                    Path(folder) / f"{make.__name__}{i}",
                    (kills + i) // at_once,
                    until,
                )
                for i in range(at_once)
            ]
            for make, kills in wanted
            if kills
        ]
        loops = [functools.reduce(operator.add, [s.result() for s in share]) for share in shares]
    faults = [f"- {loop.name}: {fault}" for loop in loops for fault in loop.faults]
    rows = [loop.row() for loop in loops]
    none = "No bundle was half-written, and whole runs removed all that killed ones had left."
    page = f"""# Killed commands

Made by `python benchmarks/kill_loop.py`: {machine_line()}. SIGKILL, half of the times at any
moment of the command, half up to {_LAST_SECONDS * 1000:.0f} ms after a manifest was written; a run
that had ended before its kill ("too late") was drawn again. After each kill the bundle was opened,
which checks every hash; every {_WHOLE_EVERY} kills came a run that nobody killed, after which
nothing may be left beside the bundle or in TMPDIR, but what the user had put there. "Hidden" are
kills after which a temporary sibling could be loaded. {arguments.at_once} of each command ran at
once.

| command | kills | too late | takes | then old | then new | left folders | hidden | faults |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

{chr(10).join(faults) or none}
"""
    (RESULTS / "kill-loop.md").write_text(page, encoding="utf-8")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
