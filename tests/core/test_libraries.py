"""Libraries that are broken, each as the real loader or the library itself says it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_ser.errors import LibraryError, MissingExtraError
from edge_ser.libraries import import_library

ELF = Path("/proc/self/exe").exists()
STATIC_TLS = "/usr/lib/aarch64-linux-gnu/libgomp.so.1: cannot allocate memory in static TLS block"
NUMPY = "\n\nIMPORTANT: PLEASE READ THIS FOR ADVICE\n\nOriginal error was: {}\n"
BARS = pytest.param(
    "tqdm", marks=pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals to open")
)
COMMAND = "import sys\nfrom edge_ser.cli import program\nsys.exit(program())\n"


def predict(
    shadows: Path,
    *start: str,
    rate: int = 16_000,
    options: tuple[str, ...] = (),
    terminal: bool = False,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """`predict` of files, where modules in a folder stand before the installed ones.

    On a terminal there are enough files for a bar.
    """
    import numpy as np
    import soundfile

    audio = shadows / "a.wav"
    soundfile.write(audio, np.random.default_rng(0).uniform(-0.1, 0.1, rate), rate)
    paths = [str(shadows), *sys.path]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in paths if p)} | variables
    command = [sys.executable, *(start or ("-m", "edge_ser")), "predict", "--threads", "1"]
    command += [*options, *[str(audio)] * (8 if terminal else 1)]
    run = on_terminal if terminal else subprocess.run
    return run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=60, env=environment,
    )  # fmt: skip


def on_terminal(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command whose stderr is a terminal."""
    ours, its = os.openpty()
    try:
        done = subprocess.run(command, check=False, **options | {"stderr": its})
        done.stderr = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    finally:
        os.close(ours)
        os.close(its)
    return done


def needs_terminal(module: str) -> bool:
    """Whether a library is imported on a terminal alone, where bars are drawn."""
    return module == "tqdm"


def shadow(folder: Path, module: str, code: str) -> None:
    (folder / f"{module}.py").write_text(code)


def raising(error: str, cause: str = "None") -> str:
    return f"raise {error} from {cause}\n"


@pytest.mark.parametrize(
    ("module", "code", "found", "advice"),
    [
        ("onnxruntime", raising(f"ImportError({STATIC_TLS!r})"), STATIC_TLS,
         "run it with LD_PRELOAD=/usr/lib/aarch64-linux-gnu/libgomp.so.1"),
        ("soundfile", raising("OSError('sndfile library not found using ctypes.util')"),
         "sndfile library not found using ctypes.util",
         "run: apt install libsndfile1, or pip install --force-reinstall soundfile"),
        # soundfile looks for the library three times, and the last failure hides the first
        ("soundfile", raising("OSError('cannot load library ')", f"OSError({STATIC_TLS!r})"),
         STATIC_TLS, "run it with LD_PRELOAD=/usr/lib/aarch64-linux-gnu/libgomp.so.1"),
        ("soundfile", raising("ModuleNotFoundError('No module', name='_cffi_backend')"),
         "it needs `_cffi_backend`, which is not installed",
         "run: pip install --force-reinstall soundfile"),
        ("soxr", raising("ImportError('libsoxr.so.0: cannot open shared object file: No such')"),
         "libsoxr.so.0: cannot open shared object file: No such",
         "install the package of this system that has libsoxr.so.0, or run: pip install "
         "--force-reinstall soxr"),
        ("soxr", raising("AttributeError('module numpy has no attribute float')"),
         "module numpy has no attribute float", "run: pip install --force-reinstall soxr"),
        ("onnxruntime", raising("ImportError(\"/lib/libc.so.6: version `GLIBC_2.99' not found\")"),
         "/lib/libc.so.6: version `GLIBC_2.99' not found",
         "this system is older than the library was made for: install an earlier version of it"),
    ],
)  # fmt: skip
def test_the_real_reason_and_its_remedy(
    module: str, code: str, found: str, advice: str, tmp_path: Path
) -> None:
    shadow(tmp_path, module, code)
    done = predict(tmp_path, rate=22_050)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and done.stdout == ""
    assert line.startswith("edge-ser: error: ")
    assert line.endswith(
        f": expected the Python module `{module}` to load, found {found}; {advice}"
    )


def test_bars_are_not_needed_where_nobody_watches(tmp_path: Path) -> None:
    shadow(tmp_path, "tqdm", raising("ImportError('damaged')"))
    assert predict(tmp_path).returncode == 0


@pytest.mark.parametrize("options", [("--long", "segments"), ("--long", "mean")])
def test_the_reason_is_told_of_long_recordings_too(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    shadow(tmp_path, "soundfile", raising("OSError('sndfile library not found')"))
    done = predict(tmp_path, options=options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "edge-ser: error: audio files: expected the Python module `soundfile` to load, found "
        "sndfile library not found; run: apt install libsndfile1, or pip install "
        "--force-reinstall soundfile\n"
    )


@pytest.mark.skipif(not ELF, reason="the words of Linux's loader")
@pytest.mark.parametrize(
    ("content", "found"), [(b"", "file too short"), (b"no ELF" * 100, "invalid ELF header")]
)
def test_a_damaged_library_in_the_real_loader(content: bytes, found: str, tmp_path: Path) -> None:
    (tmp_path / "soxr.so").write_bytes(content)
    done = predict(tmp_path, rate=22_050)
    (line,) = done.stderr.splitlines()
    assert found in line and "not installed" not in line
    assert line.endswith("another kind of processor; run: pip install --force-reinstall soxr")


def test_what_is_not_installed_is_called_that(tmp_path: Path) -> None:
    shadow(tmp_path, "soxr", raising("ModuleNotFoundError(\"No module 'soxr'\", name='soxr')"))
    assert predict(tmp_path, rate=22_050).stderr.endswith(
        "expected the Python module `soxr`, found it is not installed; run: pip install soxr\n"
    )


@pytest.mark.parametrize("module", ["onnxruntime", "soundfile", "numpy", BARS])
@pytest.mark.parametrize("wrapped", [False, True])
def test_ctrl_c_during_an_import_is_ctrl_c(module: str, wrapped: bool, tmp_path: Path) -> None:
    # compiled modules make an ImportError of it
    interrupt = "ImportError('initialization failed')" if wrapped else "KeyboardInterrupt"
    shadow(tmp_path, module, raising(interrupt, "KeyboardInterrupt()"))
    done = predict(tmp_path, terminal=needs_terminal(module))
    assert (done.returncode, done.stderr) == (130, "edge-ser: error: interrupted\n")


@pytest.mark.parametrize("start", ["module", "script"])
@pytest.mark.parametrize("module", ["numpy", BARS])
def test_what_keeps_the_command_from_starting_is_one_line(
    module: str, start: str, tmp_path: Path
) -> None:
    (tmp_path / "edge-ser").write_text(COMMAND)
    shadow(tmp_path, module, raising(f"ImportError({NUMPY!r})", "ImportError('libblas.so.3: bad')"))
    terminal = needs_terminal(module)
    script = [str(tmp_path / "edge-ser")] if start == "script" else []
    done = predict(tmp_path, *script, terminal=terminal)
    assert done.returncode == 2
    assert done.stderr == (
        f"edge-ser: error: edge-ser: expected the Python module `{module}` to load, found "
        f"libblas.so.3: bad; run: pip install --force-reinstall {module}\n"
    )
    assert "Traceback" in predict(tmp_path, terminal=terminal, EDGE_SER_DEBUG="1").stderr


def test_a_program_that_uses_the_package_gets_the_error(tmp_path: Path) -> None:
    shadow(tmp_path, "numpy", raising("ImportError('libblas.so.3: bad')"))
    code = "try:\n import edge_ser\nexcept ImportError as e:\n print(type(e).__name__, e)"
    done = predict(tmp_path, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("LibraryError edge-ser: expected the Python module `numpy` to")


def test_a_fault_of_our_own_is_none_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "edge_ser_part.py").write_text("from edge_ser.errors import no_such_name\n")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ImportError, match="cannot import name") as caught:
            import_library("edge_ser_part", "a part")
    finally:
        sys.path.remove(str(tmp_path))
    assert not isinstance(caught.value, LibraryError)


def test_one_that_is_missing_can_be_had_by_an_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"x: .*`nope_nope`.*'edge-ser\[openvino\]'"):
        import_library("nope_nope.inner", "x", extra="openvino")
