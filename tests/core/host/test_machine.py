"""What a machine tells of itself."""

import os
import platform
from pathlib import Path

import pytest

from edge_ser.host.cpu import cpu_facts
from edge_ser.host.facts import this_machine

X86 = """processor\t: 0
model name\t: Some CPU: fast @ 3 GHz
flags\t\t: fpu sse2 avx2 fma amx_tile avx512f avx512_vnni
bugs\t\t: none

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd asimddp i8mm bf16\n"


@pytest.mark.parametrize(
    ("text", "name", "flags"),
    [
        (X86, "Some CPU: fast @ 3 GHz", ("avx2", "fma", "avx512f", "avx512_vnni")),
        (ARM, "", ("asimddp", "i8mm", "bf16")),
        ("", "", ()),
    ],
    ids=["x86", "arm", "nothing"],
)
def test_name_and_flags_of_the_first_processor(
    text: str, name: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    found = this_machine(path)
    assert (found.processor, found.flags) == (name, flags)


def test_where_nothing_tells(tmp_path: Path) -> None:
    assert cpu_facts(tmp_path / "none") == {}
    found = this_machine(tmp_path / "none")
    assert (found.processor, found.flags) == ("", ())
    assert found.architecture == platform.machine() and found.architecture in str(found)
    assert found.python == platform.python_version()


def test_cores_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert this_machine().cores == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert this_machine().cores == 1


def test_the_host_is_not_named() -> None:
    if len(platform.node()) > 3:
        assert platform.node() not in repr(this_machine())
