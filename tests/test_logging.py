"""The library is silent: it logs, each module by its own name, and only the command line prints."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("edge_ser", "runtimes/edge_ser_runtimes", "export/edge_ser_export")
MODULES = [p.relative_to(ROOT).as_posix() for f in FLOORS for p in (ROOT / f).rglob("*.py")]
# Besides the command line: what stands in for it where it cannot be imported, and its bar.
PRINTING = ("edge_ser/cli/", "edge_ser/libraries.py", "edge_ser/progress.py")
# Shows what ours log.
SHOWING = "edge_ser/cli/console.py"
LOAD = """
import logging, sys
if len(sys.argv) > 2:
    logging.basicConfig(level=logging.DEBUG, format="%(name)s %(levelname)s")
import edge_ser
edge_ser.load(threads=1)(sys.argv[1])
"""


def calls(module: str) -> list[ast.Call]:
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_only_the_command_line_prints() -> None:
    assert len(MODULES) > 200
    printing = {m for m in MODULES for call in calls(m) if ast.unparse(call.func) == "print"}
    assert printing and not [m for m in printing if not m.startswith(PRINTING)]


def test_a_module_logs_by_its_own_name_and_nothing_that_people_must_see() -> None:
    logging = set()
    for module in set(MODULES) - {SHOWING}:
        for call in calls(module):
            words = ast.unparse(call)
            if words == "logging.getLogger(__name__)":
                logging.add(module)
            elif words.startswith("logging.getLogger("):  # another library's, to quieten it
                assert re.fullmatch(r"logging\.getLogger\('(?!edge_ser)[\w.]+'\)", words), module
            if words.startswith("_log."):
                assert words.startswith(("_log.debug(", "_log.isEnabledFor(")), (module, words)
    for module in logging:
        assert "\n_log = logging.getLogger(__name__)\n" in (ROOT / module).read_text("utf-8")
    assert len(logging) >= 3


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_a_program_hears_of_it_if_it_listens(is_asked_for: bool, utterances: list[Path]) -> None:
    command = [sys.executable, "-c", LOAD, str(utterances[0]), *(["-v"] if is_asked_for else [])]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == ""
    told = ["edge_ser_runtimes.registry DEBUG", "edge_ser_runtimes.base DEBUG"]
    assert run.stderr.splitlines() == (told if is_asked_for else [])
