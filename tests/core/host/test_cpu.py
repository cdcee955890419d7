"""What the processor can do with 8-bit integers."""

from pathlib import Path

import pytest

from edge_ser.host.cpu import integer_preset, multiplies_halves, sums_saturate


def info(folder: Path, flags: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: fpu sse2 {flags}\nbugs\t\t: none\n")
    return path


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", "avx2 avx512f avx512_vnni", "x86-vnni"),
        ("AMD64", "avx2 avx_vnni", "x86-vnni"),
        ("x86_64", "avx2 avx512f avx512bw", "x86"),
        ("x86_64", "avx512_vnni_like", "x86"),
        ("aarch64", "", "arm64"),
        ("arm64", "", "arm64"),
        ("riscv64", "", None),
    ],
)
def test_preset_follows_the_flags(
    tmp_path: Path, machine: str, flags: str, expected: str | None
) -> None:
    assert integer_preset(machine, info(tmp_path, flags)) == expected


def test_unknown_where_nothing_tells(tmp_path: Path) -> None:
    assert integer_preset("x86_64", tmp_path / "none") is None


def test_no_flags_is_no_vnni(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor: 0\n")
    assert integer_preset("x86_64", path) == "x86"


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [("x86_64", "avx2", True), ("x86_64", "avx_vnni", False), ("aarch64", "", False)],
)
def test_sums_saturate_on_x86_without_vnni(
    tmp_path: Path, machine: str, flags: str, expected: bool
) -> None:
    assert sums_saturate(machine, info(tmp_path, flags)) is expected
    assert sums_saturate("x86_64", tmp_path / "none") is None


@pytest.mark.parametrize(
    ("machine", "features", "expected"),
    [
        ("aarch64", "fp asimd", False),
        ("aarch64", "fp asimd asimdhp", True),
        ("x86_64", "avx512_fp16", False),
    ],
)
def test_float16_is_the_processors_own_on_arm64(
    tmp_path: Path, machine: str, features: str, expected: bool
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\nFeatures\t: {features}\n")
    assert multiplies_halves(machine, path) is expected


def test_where_nothing_tells_arm64_has_its_own_float16(tmp_path: Path) -> None:
    assert multiplies_halves("arm64", tmp_path / "none")
    assert not multiplies_halves("AMD64", tmp_path / "none")
