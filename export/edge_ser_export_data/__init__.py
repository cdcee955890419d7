"""Files of the export side: default checkpoints, and clips that calibrate where a user has none.

A package of their own, because a device needs none of them.
"""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).parent
CHECKPOINTS = _ROOT / "checkpoints"
CALIBRATION = _ROOT / "calibration"
