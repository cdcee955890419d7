"""How many foreign inputs each reader took without a fault.

`python benchmarks/fuzzing.py --runs 1000000 --seconds 600` writes results/fuzzing.md. Targets, and
what counts as a fault, are in tests/fuzz. A fault ends its target, and its input stays in --corpus.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

from common import HERE, RESULTS, machine_line

from edge_ser.host.child import module_command

_TESTS = HERE.parent / "tests"
_PATHS = (str(_TESTS), os.environ.get("PYTHONPATH"))
_DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
_TIME = re.compile(r"Done \d+ runs in (\d+) second")
_PEAK = re.compile(r"stat::peak_rss_mb:\s+(\d+)")


def targets() -> list[str]:
    folder = _TESTS / "fuzz" / "targets"
    return sorted(path.stem for path in folder.glob("[a-z]*.py"))


def fuzz(target: str, runs: int, seconds: int, corpus: Path) -> str:
    """Fuzz a target; a row of the table."""
    ended = subprocess.run(
        module_command(
            "fuzz", target, "--corpus", str(corpus / target),
            "--runs", str(runs), "--seconds", str(seconds),
        ),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, _PATHS))},
        capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    done, time, peak = (pattern.search(ended.stderr) for pattern in (_DONE, _TIME, _PEAK))
    if ended.returncode or done is None or time is None or peak is None:
        print(ended.stdout[-4000:], ended.stderr[-4000:], file=sys.stderr)
        return f"| {target} | | | | | | **a fault** |"
    count, edges, features, kept = (int(group) for group in done.groups())
    return (
        f"| {target} | {count:,} | {time[1]} s | {edges} | {features} | {kept} | none, at most "
        f"{peak[1]} MB resident |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=600, help="at most, of each target")
    parser.add_argument("--corpus", type=Path, required=True, help="folder, kept")
    arguments = parser.parse_args()
    arguments.corpus.mkdir(parents=True, exist_ok=True)
    rows = []
    for target in targets():
        rows.append(fuzz(target, arguments.runs, arguments.seconds, arguments.corpus))
        print(rows[-1], flush=True)
    page = f"""# Fuzzing

Made by `python benchmarks/fuzzing.py --runs {arguments.runs} --seconds {arguments.seconds}`:
{machine_line()}, shared with other work. Coverage-guided (atheris over libFuzzer, which sees this
project's Python), each target until its runs or its time are over. A fault is an exception that is
none of edge_ser.errors, more than 2 s or 512 MB for one input, or an accepted input that is not
what was hashed or written. Edges and features are libFuzzer's measures of coverage; kept are inputs
that each reached something new.

| target | inputs | time | edges | features | kept | faults |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}
"""
    (RESULTS / "fuzzing.md").write_text(page, encoding="utf-8")
    return any("a fault" in row for row in rows)


if __name__ == "__main__":
    sys.exit(main())
