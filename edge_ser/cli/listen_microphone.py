"""A microphone, through PortAudio, as blocks for a stream in the background."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from edge_ser.errors import DeviceError, EdgeSerError
from edge_ser.libraries import import_library
from edge_ser.streaming.background import BackgroundStream

# Without a block for so long a device is gone.
_LONGEST_SILENCE = 2.0


def import_sounddevice() -> Any:
    """PortAudio's module.

    Raises:
        MissingExtraError: it is not installed.
        LibraryError: it does not load, as PortAudio is not there.
    """
    return import_library("sounddevice", "the microphone", "mic")


class Microphone:
    """An input device.

    Args:
        device: its number or part of its name; None: the default one.
        rate: Hz; None: the device's own.

    Attributes:
        rate: Hz.
        name: of the device.
        overflows: blocks before which the system lost samples.

    Raises:
        MissingExtraError, LibraryError: see `import_sounddevice`.
        DeviceError: no such device, none at all, or one without this rate.
    """

    def __init__(self, device: str | None, rate: float | None) -> None:
        self._module = import_sounddevice()
        self._device = int(device) if device is not None and device.isdecimal() else device
        try:
            info = self._module.query_devices(self._device, "input")
        except (self._module.PortAudioError, ValueError) as error:
            raise self._unusable(error) from error
        self.name, self.rate = str(info["name"]), float(rate or info["default_samplerate"])
        self._channels = min(2, int(info["max_input_channels"]))
        self.overflows = 0
        self._last_block = time.monotonic()
        self._error: EdgeSerError | None = None

    @contextlib.contextmanager
    def feeding(self, live: BackgroundStream) -> Iterator[None]:
        """Push what is captured, as long as the block lasts.

        Raises:
            DeviceError: the device cannot be opened.
        """

        def take(block: Any, _: int, times: Any, status: Any) -> None:
            self._last_block = time.monotonic()
            self.overflows += bool(status.input_overflow)
            # some systems say 0 for a time that they do not know
            captured_at = float(times.inputBufferAdcTime) or None
            try:
                live.push(block, captured_at=captured_at)
            except EdgeSerError as error:
                self._error = self._error or error
                raise self._module.CallbackStop from error

        try:
            opened = self._module.InputStream(
                samplerate=self.rate, device=self._device, channels=self._channels,
                dtype="int16", callback=take,
            )  # fmt: skip
            opened.start()
        except (self._module.PortAudioError, ValueError) as error:
            raise self._unusable(error) from error
        self._last_block = time.monotonic()
        try:
            yield
        finally:
            # a device that is gone cannot be stopped, and needs not be
            with contextlib.suppress(self._module.PortAudioError):
                opened.abort()
                opened.close()

    def check(self) -> None:
        """Say that the device is gone.

        Raises:
            DeviceError: no block came for two seconds.
            AudioError, UsageError, BundleError: what the stream refused.
        """
        if self._error is not None:
            raise self._error
        waited = time.monotonic() - self._last_block
        if waited > _LONGEST_SILENCE:
            raise DeviceError(
                f"microphone {self.name}",
                expected="samples",
                found=f"none for {waited:.0f} s",
                advice="check that it is still plugged in and no other program took it",
            )

    def _unusable(self, error: Exception) -> DeviceError:
        names = [
            f"{number} {device['name']}"
            for number, device in enumerate(self._module.query_devices())
            if device["max_input_channels"] > 0
        ]
        first_line = str(error).splitlines()[0]
        if not names:
            return DeviceError(
                "microphone",
                expected="an input device",
                found="none on this machine",
                advice="plug one in, or pipe samples: ffmpeg ... | edge-ser listen -",
            )
        return DeviceError(
            "microphone" if self._device is None else f"--device {self._device}",
            expected=f"an input device that opens, of {', '.join(names)}",
            found=first_line,
        )
