from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.device_bundles import make

from edge_ser_runtimes.engines import on_device
from edge_ser_runtimes.engines import plan as target
from edge_ser_runtimes.engines.plan import EngineOptions, EnginePlan, plan_engine


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """What the driver says this machine's GPU is."""

    def be(sm: str | None) -> None:
        monkeypatch.setattr(on_device, "local_sm", lambda: sm)
        monkeypatch.setattr(target, "local_sm", lambda: sm)

    be(None)
    return be


@pytest.fixture
def orin(tmp_path: Path, here: Callable[[str | None], None]) -> Path:
    plan = plan_engine("fp16", EngineOptions(("orin",), ("1x1s:1x3s:2x12s",)))
    return make(tmp_path / "orin", plan)


@pytest.fixture
def rtx(tmp_path: Path, here: Callable[[str | None], None]) -> Path:
    plan = EnginePlan("fp16", plan_engine("fp16", EngineOptions(("rtx-3060",))).devices, "rtx",
                      None, ("1x1s:1x3s:2x12s",))  # fmt: skip
    return make(tmp_path / "rtx", plan)
