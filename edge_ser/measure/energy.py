"""Energy, where the machine measures it: Intel's and AMD's RAPL, the power rails of a Jetson."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edge_ser.errors import MeasurementError

_ROOT = Path("/")
_SAMPLE_SECONDS = 0.02
# Rails that feed the whole board, by the names of Jetson generations; the others are parts of it.
# The AGX Orin's VIN_SYS_5V0 is none: it stands beside the rails of GPU and CPU.
_WHOLE_BOARD = ("VDD_IN", "POM_5V_IN")


@dataclass(frozen=True)
class Energy:
    """What a number of runs took.

    Attributes:
        joules: per run, of everything the meter sees, the idle machine included.
        watts: on average, meanwhile.
        runs: that were measured together.
        source: which meter.
    """

    joules: float
    watts: float
    runs: int
    source: str


class Meter(Protocol):
    """Counts energy between `start` and `stop`."""

    source: str

    def start(self) -> None:
        """Begin.

        Raises:
            OSError: the meter could not be read.
            ValueError: it gave something else than numbers.
        """

    def stop(self) -> float:
        """Joules since `start`.

        Raises:
            OSError: the meter could not be read all the time.
            ValueError: it gave something else than numbers.
        """


class Rapl:
    """Counters of the processor packages, in microjoules, which start again at zero when full.

    Args:
        zones: directories with `energy_uj`.
    """

    def __init__(self, zones: list[Path]) -> None:
        self.zones = zones
        self.source = "RAPL " + ", ".join((z / "name").read_text().strip() for z in zones)
        self._before: list[int] = []

    def _values(self) -> list[int]:
        return [int((z / "energy_uj").read_text()) for z in self.zones]

    def start(self) -> None:
        """Begin."""
        self._before = self._values()

    def stop(self) -> float:
        """Joules since `start`."""
        total = 0
        for zone, before, after in zip(self.zones, self._before, self._values(), strict=True):
            total += after - before
            if after < before:
                total += int((zone / "max_energy_range_uj").read_text())
        return total / 1e6


class Rails:
    """Power sensors of a board, read every 20 ms and summed over time.

    Args:
        rails: name of each, and what reads its watts.
    """

    def __init__(self, rails: list[tuple[str, Callable[[], float]]]) -> None:
        board_rails = [r for r in rails if r[0] in _WHOLE_BOARD]
        self.rails = board_rails[:1] or rails
        self.source = "rails " + ", ".join(name for name, _ in self.rails)
        self._joules = 0.0
        self._error: OSError | ValueError | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def _watts(self) -> float:
        return sum(read() for _, read in self.rails)

    def _sample(self, watts: float, moment: float) -> None:
        try:
            self._sum(watts, moment)
        except (OSError, ValueError) as error:
            self._error = error  # of a thread that nobody would hear: `stop` raises it

    def _sum(self, watts: float, moment: float) -> None:
        while True:
            last = self._ended.wait(_SAMPLE_SECONDS)
            following, now = self._watts(), time.perf_counter()
            self._joules += (watts + following) / 2 * (now - moment)  # trapezoids
            watts, moment = following, now
            if last:
                return

    def start(self) -> None:
        """Begin.

        The first reading is made here: a busy machine may start the thread much later.

        Raises:
            OSError: a rail could not be read.
            ValueError: it gave something else than a number.
        """
        self._joules, self._error = 0.0, None
        self._ended.clear()
        began = time.perf_counter()
        self._thread = threading.Thread(
            target=self._sample, args=(self._watts(), began), daemon=True
        )
        self._thread.start()

    def stop(self) -> float:
        """Joules since `start`.

        Raises:
            OSError: a rail could not be read: what was summed until then is too little.
            ValueError: it gave something else than a number.
        """
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._error is not None:
            raise self._error
        return self._joules


def find_meter(root: Path = _ROOT) -> tuple[Meter | None, str]:
    """The machine's energy meter.

    Args:
        root: of the file system.

    Returns:
        the meter, or None and why there is none.
    """
    rails = _hwmon_rails(root) or _iio_rails(root)
    if rails:
        return Rails(rails), ""
    zones = sorted((root / "sys/class/powercap").glob("*-rapl:[0-9]"))
    zones += sorted((root / "sys/class/powercap").glob("*-rapl:[0-9][0-9]"))
    zones = [z for z in zones if _text(z / "name").startswith("package")]
    if not zones:
        return None, "this machine exposes no energy counter"
    try:
        for zone in zones:
            (zone / "energy_uj").read_text()
    except OSError:
        return None, f"{zones[0] / 'energy_uj'} may be read by root only"
    return Rapl(zones), ""


def measure_energy(meter: Meter, run: Callable[[], object], seconds: float = 1.0) -> Energy:
    """Energy of a run, from as many as fit into `seconds`, at least three.

    Args:
        meter: of `find_meter`.
        run: what is measured; returns when it is done.
        seconds: counters and sensors are slow, so a single short run cannot be seen.

    Raises:
        MeasurementError: the meter could not be read, at the beginning, the end or between.
    """
    run()
    began, runs = time.perf_counter(), 0
    try:
        meter.start()
    except (OSError, ValueError) as error:
        raise _unreadable(meter, error) from error
    while runs < 3 or time.perf_counter() - began < seconds:
        run()
        runs += 1
    try:
        joules = meter.stop()
    except (OSError, ValueError) as error:
        raise _unreadable(meter, error) from error
    return Energy(joules / runs, joules / (time.perf_counter() - began), runs, meter.source)


def _unreadable(meter: Meter, error: Exception) -> MeasurementError:
    return MeasurementError(
        f"energy by {meter.source}", expected="a meter that can be read", found=str(error)
    )


def _hwmon_rails(root: Path) -> list[tuple[str, Callable[[], float]]]:
    """Of JetPack 5 and later: millivolts and milliamperes per channel of an INA3221."""
    rails: list[tuple[str, Callable[[], float]]] = []
    for sensor in sorted((root / "sys/class/hwmon").glob("hwmon*")):
        if _text(sensor / "name") != "ina3221":
            continue
        for label in sorted(sensor.glob("in[0-9]_label")):
            number = label.name[2]
            volts, amperes = sensor / f"in{number}_input", sensor / f"curr{number}_input"
            # the chip's fourth channel is the sum of its shunt voltages, and has no current
            if volts.is_file() and amperes.is_file():
                rails.append((_text(label), _product(volts, amperes)))
    return rails


def _iio_rails(root: Path) -> list[tuple[str, Callable[[], float]]]:
    """Of JetPack 4: milliwatts per rail."""
    rails: list[tuple[str, Callable[[], float]]] = []
    for name in sorted((root / "sys/bus/i2c/drivers/ina3221x").glob("*/iio:device*/rail_name_*")):
        power = name.with_name(f"in_power{name.name[-1]}_input")
        if power.is_file():
            rails.append((_text(name), _milli(power)))
    return rails


def _product(volts: Path, amperes: Path) -> Callable[[], float]:
    return lambda: int(volts.read_text()) * int(amperes.read_text()) / 1e6


def _milli(power: Path) -> Callable[[], float]:
    return lambda: int(power.read_text()) / 1e3


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
