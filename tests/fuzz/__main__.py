"""`python -m fuzz TARGET`: coverage-guided fuzzing of one target, for runs or seconds.

An input that breaks the contract is written to the corpus's folder, and told. With `--file` it is
run again, alone.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import atheris

from fuzz.targets import NAMES

_LONGEST_INPUT = 1 << 14
# of libFuzzer, for what hangs or eats memory below Python; `limits` is stricter
_HANG_SECONDS, _PROCESS_MB = 20, 2048


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--runs", type=int, default=-1, help="inputs to try (default: no limit)")
    parser.add_argument("--seconds", type=int, default=0, help="time to try (default: no limit)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the mutations (0: another each time)"
    )
    parser.add_argument("--corpus", type=Path, help="folder that keeps what reached new code")
    parser.add_argument("--file", type=Path, help="one input, to be run alone")
    arguments = parser.parse_args()
    # the fuzzer ends its process as it likes; millions of small files are better off in memory
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place, prefix="edge-ser-fuzz-") as folder:
        child = os.fork()
        if child == 0:
            tempfile.tempdir = folder
            os._exit(_fuzz(arguments))
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _fuzz(arguments: argparse.Namespace) -> int:
    with atheris.instrument_imports(include=["edge_ser", "edge_ser_export"]):
        from fuzz.limits import run_one
        from fuzz.targets import load

        target = load(arguments.target)
    if arguments.file is not None:
        print("accepted" if run_one(target, arguments.file.read_bytes()) else "refused", flush=True)
        return 0
    corpus = arguments.corpus or Path(tempfile.mkdtemp())
    corpus.mkdir(parents=True, exist_ok=True)
    for data in target.seeds():
        (corpus / f"seed-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
    atheris.Setup(
        [
            sys.argv[0], str(corpus), f"-runs={arguments.runs}",
            f"-max_total_time={arguments.seconds}", f"-max_len={_LONGEST_INPUT}",
            f"-timeout={_HANG_SECONDS}", f"-rss_limit_mb={_PROCESS_MB}",
            f"-seed={arguments.seed}", f"-artifact_prefix={corpus}/fault-",
            "-print_final_stats=1", "-reload=0",
        ],
        lambda data: run_one(target, data),
    )  # fmt: skip
    atheris.Fuzz()  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
