"""What the documents name of the API is there, under the name that they say."""

import ast
import builtins
import importlib
import re
import textwrap
from pathlib import Path

import pytest

import edge_ser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_MEMBERS = {"ser": edge_ser.Recognizer, "emotion": edge_ser.Emotion}


def resolve(dotted: str) -> object:
    """The module, class, function or attribute of a dotted name.

    Raises:
        AttributeError: there is none.
    """
    first, *rest = dotted.split(".")
    value, place = importlib.import_module(first), first
    for name in rest:
        place = f"{place}.{name}"
        if not hasattr(value, name):
            importlib.import_module(place)
        value = getattr(value, name)
    return value


def unknown_names(text: str) -> list[str]:
    """Dotted names, errors, and members of recognisers and emotions that are not there."""
    unknown = []
    for dotted in re.findall(r"\bedge_ser(?:_\w+)?(?:\.\w+)+", text):
        try:
            resolve(dotted)
        except (AttributeError, ImportError):
            unknown.append(dotted)
    for name in re.findall(r"`(?:edge_ser\.)?(\w+(?:Error|Warning))`", text):
        if not hasattr(edge_ser, name) and not hasattr(builtins, name):
            unknown.append(name)
    for variable, kind in _MEMBERS.items():
        fields = [*getattr(kind, "__dataclass_fields__", ()), *dir(kind)]
        for name in re.findall(rf"(?<![\w.]){variable}\.([a-z]\w*)", text):
            if name not in fields and name not in ("wav", "zip"):
                unknown.append(f"{variable}.{name}")
    return unknown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_names_are_there(document: Path) -> None:
    text = document.read_text()
    assert unknown_names(text) == []
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        ast.parse(textwrap.dedent(block))


def test_a_name_that_is_not_there_is_seen() -> None:
    text = "edge_ser.load edge_ser.lod `AudioErorError` `ValueError` ser.each ser.every "
    text += "emotion.region emotion.color edge_ser_runtimes.registry edge_ser.errors.NoError"
    assert unknown_names(text) == [
        "edge_ser.lod", "edge_ser.errors.NoError", "AudioErorError", "ser.every", "emotion.color",
    ]  # fmt: skip


def test_what_a_call_raises_and_gives_is_in_the_public_face() -> None:
    for function in (edge_ser.load, edge_ser.Recognizer.__call__, edge_ser.Recognizer.each,
                     edge_ser.Recognizer.prepare, edge_ser.Recognizer.infer):  # fmt: skip
        for name in re.findall(r"\b(?:errors\.)?([A-Z]\w+(?:Error|Warning)):", function.__doc__):
            assert name in edge_ser.__all__, (function, name)
    assert set(edge_ser.__all__) <= set(dir(edge_ser))
