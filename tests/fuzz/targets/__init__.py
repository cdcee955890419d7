"""A module for each reader of foreign bytes.

Each has `seeds()`, inputs that reach deep, and `attempt(data)`, which reads one input: only errors
of `edge_ser.errors` may leave it, and what it accepts must be what it was given.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from typing import Protocol, cast

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


class Target(Protocol):
    """What a module here has."""

    @staticmethod
    def seeds() -> Iterable[bytes]:
        """Inputs that are valid or nearly so."""

    @staticmethod
    def attempt(data: bytes) -> bool:
        """Read one input; whether it was accepted.

        Raises:
            EdgeSerError: it was refused.
            Exception: anything else is a fault.
        """


def load(name: str) -> Target:
    return cast(Target, importlib.import_module(f"{__name__}.{name}"))
