"""A web application around a recogniser, as gunicorn serves it; for tests and load runs.

The model is loaded while the module is imported: with `--preload` in the parent, before workers are
forked.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import edge_ser

ser = edge_ser.load(os.environ.get("SERVED_BUNDLE") or None, threads=1)


def application(
    environment: dict[str, Any], start: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    """WSGI: the posted audio's emotion, and the process that answered, as JSON."""
    size = int(environment.get("CONTENT_LENGTH") or 0)
    audio = io.BytesIO(environment["wsgi.input"].read(size))
    try:
        status, answer = "200 OK", ser(audio).to_dict() | {"pid": os.getpid()}
    except edge_ser.EdgeSerError as error:
        status, answer = "400 Bad Request", {"error": str(error)}
    body = json.dumps(answer).encode()
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
