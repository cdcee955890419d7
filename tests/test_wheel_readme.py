"""What a package index shows of the README: no link that leads nowhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The build's own module, which no package holds."""
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_of_the_readme_are_absolute_where_it_is_published(hook: ModuleType) -> None:
    text = (ROOT / "README.md").read_text()
    assert any(not link.startswith(("http", "#")) for link in _LINK.findall(text))
    shown = hook.without_local_links(text)
    assert [link for link in _LINK.findall(shown) if not link.startswith(("http", "#"))] == []
    assert "[EmoSphere-SER](https://arxiv.org/abs/2505.19693)" in shown
    assert "read the model card (`docs/model-card.md`)" in shown
    assert "Details: `docs/checkpoints.md`." in shown


def test_the_built_metadata_says_so(hook: ModuleType) -> None:
    metadata: dict[str, object] = {}
    hook.ReadmeHook(str(ROOT), {}).update(metadata)
    assert metadata["readme"] == {
        "content-type": "text/markdown",
        "text": hook.without_local_links((ROOT / "README.md").read_text()),
    }
