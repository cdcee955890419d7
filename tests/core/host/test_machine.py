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
ARM = (
    "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\nBogoMIPS\t: 108.00\n"
    "Features\t: fp asimd asimddp i8mm bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"
)


@pytest.mark.parametrize(
    ("text", "name", "flags"),
    [
        (X86, "Some CPU: fast @ 3 GHz", ("avx2", "fma", "avx512f", "avx512_vnni")),
        (ARM, "Arm 0x41 part 0xd0b", ("asimddp", "i8mm", "bf16")),
        ("", "", ()),
    ],
    ids=["x86", "arm", "nothing"],
)
def test_name_and_flags_of_the_first_processor(
    text: str, name: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(text)
    found = this_machine(tmp_path)
    assert (found.processor, found.flags) == (name, flags)


def test_a_board_goes_before_what_its_processor_has_in_common(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text(ARM)
    (tmp_path / "proc/device-tree/model").write_text("Small Board 5\0")
    assert this_machine(tmp_path).processor == "Small Board 5"


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
