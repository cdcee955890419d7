"""Is a request lost while gunicorn's workers are replaced and the server is restarted?

`python benchmarks/serve_load.py --minutes 60` serves the default model with two forked workers that
are replaced after some 200 requests, restarts them all every minute (SIGHUP), and lets wrk post
speech all the while. Needs gunicorn, and wrk (`apt install wrk`). Writes results/serve-load.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import HERE, RESULTS, machine_line

from edge_ser.data import sample_utterances
from edge_ser.host.child import module_command

_REQUESTS_OF_A_WORKER = 200
_RESTART_SECONDS = 60
_LUA = """
wrk.method = "POST"
local file = io.open("{audio}", "rb")
wrk.body = file:read("*a")
file:close()
local threads = {{}}
function setup(thread) table.insert(threads, thread) end
function init(arguments) bad, answered = 0, 0 end
function response(status, headers, body)
  if status == 200 and body:find('"arousal"') then answered = answered + 1 else bad = bad + 1 end
end
function done(summary, latency, requests)
  local answered, bad = 0, 0
  for _, thread in ipairs(threads) do
    answered, bad = answered + thread:get("answered"), bad + thread:get("bad")
  end
  local e = summary.errors
  print(string.format("answered=%d bad=%d lost=%d p50=%.1f p99=%.1f max=%.1f", answered, bad,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, latency.max / 1000))
end
"""


def resident_mb(process: int) -> float:
    """Memory of a process and its children, without counting shared pages twice."""
    family = [process, *children_of(process)]
    kilobytes = 0
    for number in family:
        try:
            text = Path(f"/proc/{number}/smaps_rollup").read_text(encoding="ascii")
        except OSError:  # a worker that has just ended
            continue
        kilobytes += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return kilobytes / 1024


def children_of(process: int) -> list[int]:
    """Processes that a process started."""
    return [
        int(number)
        for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def run(minutes: float, work: Path) -> str:
    """Serve, load, restart; returns the page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = work / "post.lua"
    script.write_text(_LUA.format(audio=sample_utterances()[0]))
    server = subprocess.Popen(
        module_command(
            "gunicorn", "helpers.served_application:application", "--preload", "--workers", "2",
            "--max-requests", str(_REQUESTS_OF_A_WORKER), "--max-requests-jitter", "50",
            "--bind", f"127.0.0.1:{port}", "--chdir", str(HERE.parent / "tests"),
            "--log-file", str(work / "log"),
        ),
        env=os.environ | {"TMPDIR": str(work)},
    )  # fmt: skip
    try:
        time.sleep(5)
        seconds = round(60 * minutes)
        load = subprocess.Popen(
            ["wrk", "-t1", "-c4", f"-d{seconds}s", "--timeout", "30s", "-s", str(script),
             f"http://127.0.0.1:{port}/"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        restarts, until, memory = 0, time.monotonic() + seconds, []
        while time.monotonic() < until - _RESTART_SECONDS:
            time.sleep(_RESTART_SECONDS)
            memory.append(resident_mb(server.pid))
            server.send_signal(signal.SIGHUP)
            restarts += 1
        output, _ = load.communicate()
    finally:
        server.terminate()
        server.wait()
    log = (work / "log").read_text()
    counts = dict(re.findall(r"(\w+)=([\d.]+)", output))
    return _page(counts, log, restarts, minutes, memory)


def _page(
    counts: dict[str, str], log: str, restarts: int, minutes: float, memory: list[float]
) -> str:
    workers = log.count("Booting worker")
    return f"""# A served model while its workers come and go

Made by `python benchmarks/serve_load.py --minutes {minutes:g}`: {machine_line()}. gunicorn with two
workers, forked after the model was loaded (`--preload`), each replaced after some
{_REQUESTS_OF_A_WORKER} requests; all of them restarted by SIGHUP every {_RESTART_SECONDS} s; wrk
posts a FLAC file of 2.1 s over four connections. Other work ran on the machine: times are no
measure.

| | |
|---|---|
| answered with an emotion | {counts["answered"]} |
| answered otherwise | {counts["bad"]} |
| lost (connect, read, write, timeout) | {counts["lost"]} |
| restarts of all workers | {restarts} |
| workers started | {workers} |
| workers that hung (`WORKER TIMEOUT`) | {log.count("WORKER TIMEOUT")} |
| memory of all processes, first and last minute | {memory[0]:.0f} and {memory[-1]:.0f} MB |
| median, 99th percentile, longest | {counts["p50"]}, {counts["p99"]}, {counts["max"]} ms |
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("wrk: expected the load tool, found none; run: apt install wrk")
    with tempfile.TemporaryDirectory() as work:
        page = run(arguments.minutes, Path(work))
    print(page)
    (RESULTS / "serve-load.md").write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
