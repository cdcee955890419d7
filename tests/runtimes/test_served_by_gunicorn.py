"""A recogniser behind a real server whose workers are forked, and replaced after a few requests."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import edge_ser

ROOT = Path(__file__).parents[2]
SECONDS = 60
REQUESTS, REQUESTS_OF_A_WORKER = 24, 3

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn forks its workers")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a server with two workers, forked after the model was loaded."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    log = tmp_path / "log"
    command = [
        sys.executable, "-m", "gunicorn", "helpers.served_application:application", "--preload",
        "--workers", "2", "--max-requests", str(REQUESTS_OF_A_WORKER),
        "--bind", f"127.0.0.1:{number}", "--chdir", str(ROOT / "tests"),
    ]  # fmt: skip
    paths = [str(ROOT / name) for name in ("", "export", "runtimes")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        _wait_for(number, server, log)
        yield number
    finally:
        server.terminate()
        ended = server.wait(SECONDS)
    assert ended == 0, log.read_text()
    assert "WORKER TIMEOUT" not in log.read_text(), "a worker that ends does not hang"


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no server after {SECONDS} s: {log.read_text()}")


def post(port: int, audio: bytes) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("POST", "/", audio)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


def test_no_request_is_lost_while_workers_come_and_go(
    port: int, ser: edge_ser.Recognizer, utterances: list[Path]
) -> None:
    expected = ser(utterances)
    with ThreadPoolExecutor(4) as clients:
        audio = [path.read_bytes() for path in utterances]
        replies = list(clients.map(lambda i: post(port, audio[i % len(audio)]), range(REQUESTS)))
    assert [status for status, _ in replies] == [200] * REQUESTS
    for index, (_, answer) in enumerate(replies):
        arousal = expected[index % len(expected)].arousal
        assert answer["arousal"] == pytest.approx(arousal, abs=1e-4)
    workers = {answer["pid"] for _, answer in replies}
    assert len(workers) >= REQUESTS // REQUESTS_OF_A_WORKER - 1, "workers were replaced"


def test_a_request_that_is_no_audio_is_told_so(port: int) -> None:
    status, answer = post(port, b"not audio" * 100)
    assert status == 400
    assert answer["error"].startswith("<stream>: expected audio that libsndfile reads")
