"""The page about the house names what is there, and everything at the top of each floor."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RECIPES = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FLOORS = ("edge_ser", "runtimes/edge_ser_runtimes", "export/edge_ser_export")
MODULES = [path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")]


@pytest.mark.parametrize("page", [PAGE, RECIPES], ids=["architecture", "contributing"])
def test_every_module_that_is_named_is_there(page: str) -> None:
    others = [path for name in ("tests", "benchmarks") for path in (ROOT / name).rglob("*.py")]
    known = [path.as_posix() for path in [*MODULES, *others]]
    names = {n for n in re.findall(r"[\w/]+\.py\b", page) if "NAME" not in n}
    assert len(names) > 10
    assert not [n for n in names if not any(path.endswith(f"/{n}") for path in known)]


@pytest.mark.parametrize("floor", FLOORS)
def test_everything_at_the_top_of_a_floor_is_named(floor: str) -> None:
    tree = PAGE.split("## The tree")[1].split("## ")[0]
    top = [p for p in (ROOT / floor).iterdir() if not p.name.startswith("_")]
    folders = [p.name for p in top if (p / "__init__.py").exists()]
    modules = [p.name for p in top if p.suffix == ".py"]
    assert folders and modules
    missing = [f"{n}/" for n in folders if f"{n}/" not in tree]
    assert not missing + [n for n in modules if n not in tree]
