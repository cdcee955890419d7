"""A library that answers as NVIDIA's driver does, compiled where there is a compiler."""

import shutil
import subprocess
from pathlib import Path

import pytest

DRIVER = """
#include <string.h>
#include <stddef.h>
int cuDriverGetVersion(int *v) { *v = 12060; return 0; }
int cuInit(unsigned f) { %s }
int cuDeviceGetCount(int *n) { *n = %d; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *t, int n, int d) { strcpy(t, "Orin"); return 0; }
int cuDeviceTotalMem_v2(size_t *b, int d) { *b = 8000000000; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 7 : -1; return 0; }
"""


def driver(folder: Path, init: str = "return 0;", gpus: int = 1) -> tuple[str]:
    """A library that answers as NVIDIA's driver does."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, library = folder / "cuda.c", folder / "libcuda-test.so"
    source.write_text(DRIVER % (init, gpus))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return (str(library),)
