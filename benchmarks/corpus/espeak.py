"""espeak-ng in process, through ctypes: text and a voice definition in, samples out.

The library and its data come from the PyPI package `espeakng-loader`, at a pinned version: what a
voice definition sounds like changes between releases of espeak-ng.

References:
    https://github.com/espeak-ng/espeak-ng, `espeak_ng/speak_lib.h` (the C interface) and
    `docs/voices.md` (the voice definitions).
"""

import _ctypes
import ctypes
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

ESPEAK_VERSION = "1.52.0"
INSTALL_HINT = "pip install 'edge-ser[synth]' (espeakng-loader 0.2.4)"

# Values of enumerations in speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000  # otherwise the library ends the process when its data is missing
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_PARAMETER_RATE, _PARAMETER_VOLUME, _PARAMETER_PITCH = 1, 2, 3
_PARAMETER_RANGE, _PARAMETER_WORDGAP = 4, 7

_SynthCallback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Espeak:
    """One espeak-ng, with state of its own; use as a context manager.

    The library keeps the phase of its pitch flutter in static variables that no call resets, so
    a clip would depend on all clips before it. Each instance therefore loads a private copy of
    the library (about 1 ms), and equal calls on new instances give equal samples.

    Attributes:
        sample_rate: Of what `say` returns, Hz.
    """

    def __init__(self, seed: int = 1) -> None:
        """Loads the library.

        Args:
            seed: For the noise in the library's voices.

        Raises:
            RuntimeError: If `espeakng-loader` is not installed, does not load, or has another
                version of espeak-ng.
        """
        library, data = _installed_paths()
        self._directory = Path(tempfile.mkdtemp(prefix="edge-ser-espeak-"))
        try:
            private_copy = self._directory / library.name
            shutil.copyfile(library, private_copy)
            self._library = ctypes.CDLL(str(private_copy))
            self._declare_types()
            self.sample_rate = self._initialize(data)
        except OSError as error:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise RuntimeError(f"espeak-ng does not load from {library}: {error}") from error
        except RuntimeError:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        self._chunks: list[NDArray[np.int16]] = []
        self._callback = _SynthCallback(self._receive)  # kept: C holds no reference to it
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(seed)

    def __enter__(self) -> "Espeak":
        """Returns the instance itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes."""
        self.close()

    def close(self) -> None:
        """Unloads the library and removes its copy; the instance is of no use afterwards."""
        self._library.espeak_Terminate()
        if sys.platform == "win32":
            _ctypes.FreeLibrary(self._library._handle)
        else:
            _ctypes.dlclose(self._library._handle)
        shutil.rmtree(self._directory, ignore_errors=True)

    def say(
        self, text: str, voice: str, rate_wpm: float = 170.0, word_gap: int = 0
    ) -> NDArray[np.float64]:
        """Speaks.

        Args:
            text: What to say, in the language that the voice names.
            voice: A voice definition, as in espeak-ng's `docs/voices.md`.
            rate_wpm: Words per minute, 80 to 450.
            word_gap: Pause between words, in units of 10 ms at the default rate.

        Returns:
            Samples in [-1, 1) at `sample_rate`, shape (n,).

        Raises:
            RuntimeError: If the library rejects the voice or says nothing.
        """
        voice_file = self._directory / "voice"
        voice_file.write_text(voice, encoding="utf-8")
        status = self._library.espeak_ng_SetVoiceByFile(os.fsencode(voice_file))
        if status != 0:
            raise RuntimeError(f"espeak-ng rejects the voice (status {status:#x}): {voice!r}")
        for parameter, value in (
            (_PARAMETER_RATE, round(rate_wpm)),
            (_PARAMETER_VOLUME, 100),  # percent
            (_PARAMETER_PITCH, 50),  # 50 and 50: as the voice definition says
            (_PARAMETER_RANGE, 50),
            (_PARAMETER_WORDGAP, word_gap),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._chunks.clear()
        encoded = text.encode()
        status = self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._library.espeak_Synchronize()
        if status != 0 or not self._chunks:
            raise RuntimeError(f"espeak-ng says nothing (status {status}) for the text {text!r}")
        return np.concatenate(self._chunks) / 32768.0

    def _receive(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: object) -> int:
        if count > 0 and samples:
            self._chunks.append(np.ctypeslib.as_array(samples, shape=(count,)).copy())
        return 0  # go on

    def _declare_types(self) -> None:
        library = self._library
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        library.espeak_ng_SetVoiceByFile.argtypes = [ctypes.c_char_p]
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]

    def _initialize(self, data: Path) -> int:
        sample_rate: int = self._library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, 0, os.fsencode(data), _INITIALIZE_DONT_EXIT
        )
        if sample_rate <= 0:
            raise RuntimeError(f"espeak-ng does not start with the data in {data}")
        version = self._library.espeak_Info(None).decode()
        if version != ESPEAK_VERSION:
            raise RuntimeError(
                f"expected espeak-ng {ESPEAK_VERSION}, found {version}: {INSTALL_HINT}"
            )
        return sample_rate


def _installed_paths() -> tuple[Path, Path]:
    """Paths of the library and of its data in the package `espeakng-loader`."""
    try:
        loader = importlib.import_module("espeakng_loader")
    except ModuleNotFoundError as error:
        raise RuntimeError(f"espeak-ng is not installed: {INSTALL_HINT}") from error
    return Path(loader.get_library_path()), Path(loader.get_data_path())
