"""What a type checker says about calls of a recogniser: nothing of good ones, few words of bad."""

import re
from pathlib import Path
from typing import get_args

import pytest

import edge_ser
from edge_ser_runtimes.onnxruntime.providers import PROVIDERS
from edge_ser_runtimes.registry import RUNTIMES

api = pytest.importorskip("mypy.api")

BEFORE = """
import io
from pathlib import Path
import numpy as np
from numpy.typing import NDArray
import edge_ser

def use(ser: edge_ser.Recognizer, ints: NDArray[np.int16], floats: NDArray[np.float32],
        paths: list[Path], names: tuple[str, ...], arrays: list[NDArray[np.float32]],
        stream: io.BytesIO, name: edge_ser.RuntimeName,
        provider: edge_ser.ProviderName | None) -> None:
"""
EMOTION, EMOTIONS = "edge_ser.emotion.decode.Emotion", "list[edge_ser.emotion.decode.Emotion]"
GOOD = {
    'ser("a.wav")': EMOTION,
    'ser(Path("a.wav"))': EMOTION,
    "ser(stream)": EMOTION,
    'ser(open("a.wav", "rb"))': EMOTION,
    "ser(ints, 48_000)": EMOTION,
    "ser(floats, sample_rate=22_050.0)": EMOTION,
    "ser(paths)": EMOTIONS,
    "ser(names)": EMOTIONS,
    'ser(["a.wav", Path("b.wav"), stream])': EMOTIONS,
    'ser("a.wav", long="mean")': EMOTION,
    'ser(arrays, 16_000, long="first")': EMOTIONS,
    "ser([])": EMOTIONS,
    "ser(arrays, 16_000)": EMOTIONS,
    "ser([ints, floats], 16_000)": EMOTIONS,
    "next(ser.each(paths))[0]": "int",
    "next(ser.each(iter(arrays), 16_000))[1]": f"{EMOTION} | edge_ser.errors.EdgeSerError",
    "next(ser.each([ints, floats], 8_000, batch_size=2))[0]": "int",
    'edge_ser.load("b", "openvino", provider="cuda")': "edge_ser.recognizer.Recognizer",
    "edge_ser.load(runtime=name, provider=provider)": "edge_ser.recognizer.Recognizer",
    'dict(ser("a.wav").region_probabilities or {})': "dict[str, float]",
    'np.asarray(ser("a.wav").region_probabilities, np.float64).tolist()': "Any",
    "ser.prepare(ints, 8_000).seconds": "float",
    "ser.decode(ser.infer([ser.prepare(stream)]), [ser.prepare(stream)])": EMOTIONS,
}
FILES, SAMPLES = "str | Path | BinaryIO", "ndarray[Any, Any]"
BAD = {
    "ser(ints)": f"audio: {SAMPLES}, sample_rate: float, .*) -> Emotion",
    "ser([floats, floats])": f'List item 1 has incompatible type .*; expected "{FILES}"',
    'ser(["a.wav", ints])': f'List item 1 has incompatible type .*; expected "{FILES}"',
    'ser([ints, "a.wav"], 16_000)': f'List item 1 .* "str"; expected "{SAMPLES}"',
    'ser(["a.wav"], 16_000)': f'List item 0 .* "str"; expected "{SAMPLES}"',
    "ser(arrays)": f'incompatible type "list\\[ndarray.*; expected "Sequence[{FILES}]"',
    "ser([0.1, 0.2])": f'List item 1 has incompatible type "float"; expected "{FILES}"',
    "ser.each(arrays)": f'incompatible type "list\\[ndarray.*; expected "Iterable[{FILES}]"',
    "ser.each(paths, 16_000)": f'incompatible type "list\\[Path]"; expected "Iterable[{SAMPLES}]"',
    'edge_ser.load(runtime="openvno")': "expected \"Literal['auto', 'onnx', 'openvino', 'trt']\"",
    'edge_ser.load(provider="gpu")': "expected \"Literal['cpu', 'cuda', 'tensorrt', 'rtx'] | None",
    "ser(None)": f"audio: {FILES}, .*) -> Emotion",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What mypy says, strict, of each call."""
    folder = tmp_path_factory.mktemp("types")
    calls = [*GOOD, *BAD]
    lines = [f"    reveal_type({c})" if c in GOOD else f"    {c}" for c in calls]
    (folder / "calls.py").write_text(BEFORE + "\n".join(lines) + "\n")
    out, errors, _ = api.run(
        ["--strict", "--no-error-summary", "--config-file", "", "--cache-dir",
         str(folder / "cache"), str(folder / "calls.py")]
    )  # fmt: skip
    assert errors == ""
    first = BEFORE.count("\n") + 1
    words: dict[str, list[str]] = {c: [] for c in calls}
    for line in out.splitlines():
        number, text = re.fullmatch(r".*calls\.py:(\d+): (.*)", line).groups()  # type: ignore[union-attr]
        words[calls[int(number) - first]].append(text.replace("builtins.", ""))
    return words


@pytest.mark.parametrize("call", GOOD)
def test_a_right_call_has_its_type(call: str, said: dict[str, list[str]]) -> None:
    assert said[call] == [f'note: Revealed type is "{GOOD[call]}"']


@pytest.mark.parametrize("call", BAD)
def test_a_wrong_call_is_refused_in_few_words(call: str, said: dict[str, list[str]]) -> None:
    lines = said[call]
    assert lines and lines[0].startswith("error: ")
    wanted = re.escape(BAD[call]).replace(r"\.\*", ".*").replace(r"\\\[", r"\[")
    assert any(re.search(wanted, line) for line in lines), lines
    assert len(lines) <= 6 and max(map(len, lines)) < 200


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(edge_ser.__file__).parent / "py.typed").is_file()


def test_the_names_that_a_type_checker_knows_are_those_of_the_registry() -> None:
    assert set(get_args(edge_ser.RuntimeName)) == {"auto", *RUNTIMES}
    assert get_args(edge_ser.ProviderName) == tuple(PROVIDERS)
