"""A process in a peer's environment: one JSON request a line on stdin, one answer on stdout.

`{"do": "build" | "prepare", "function": NAME, "arguments": {...}}`, then `{"do": "run"}`, which
answers with the seconds that it took here, and `{"do": "answer"}`, which tells scores and memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    # libraries print what they like: the answers have a channel of their own
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.insert(0, str(Path(__file__).parent.parent))
    run: Any = None
    for line in sys.stdin:
        request = json.loads(line)
        reply: dict[str, Any] = {}
        try:
            if request["do"] in ("build", "prepare"):
                from peers_ import systems

                started = time.perf_counter()
                made = getattr(systems, request["function"])(request["arguments"])
                if request["do"] == "prepare":
                    run = made
                    run()
                    made = None
                reply = {"seconds": time.perf_counter() - started, "facts": made or {}}
            elif request["do"] == "run":
                started = time.perf_counter()
                run()
                reply = {"seconds": time.perf_counter() - started}
            elif request["do"] == "answer":
                reply = {"answer": [float(x) for x in run().ravel()[:3]], "rss": _peak_rss()}
        except BaseException as error:  # whatever a peer raises is reported, also an exit
            lines = [li for li in str(error).splitlines() if li.strip()]
            reply = {"error": f"{type(error).__name__}: {lines[0] if lines else 'no message'}"}
            if os.environ.get("PEERS_TRACE"):
                import traceback

                traceback.print_exc()
        print(json.dumps(reply), file=answers, flush=True)


def _peak_rss() -> int | None:
    """Bytes of resident memory at its highest; None where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(1024 * int(li.split()[1]) for li in status if li.startswith("VmHWM"))
    except OSError:
        return None


if __name__ == "__main__":
    main()
