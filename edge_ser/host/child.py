"""Python in a process of its own, which imports nothing from the folder that the user stands in.

`python -c` and `python -m` put the working directory before everything else, so that a file named
json.py in a folder of recordings would be run. `-P` leaves it out, but Python 3.10 has no such
option; `-I` does too, but forgets PYTHONPATH and packages that the user installed without being
root. So the child itself takes the entry away, before it imports anything.
"""

from __future__ import annotations

import sys

# `sys` is built in: this import reads no file
_FORGET_FOLDER = 'import sys; sys.path[:] = [p for p in sys.path if p != ""]\n'


def code_command(code: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command of a child that runs a few lines of Python.

    Args:
        code: of the child.
        arguments: its `sys.argv[1:]`.
        python: interpreter, such as that of another environment.
    """
    return [python, "-c", _FORGET_FOLDER + code, *arguments]


def module_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command of a child that runs a module, as `python -m` does.

    Args:
        module: such as `edge_ser`.
        arguments: its `sys.argv[1:]`.
        python: interpreter, such as that of another environment.
    """
    code = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return code_command(code, *arguments, python=python)
