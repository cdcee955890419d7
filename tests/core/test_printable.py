"""Foreign names neither command a terminal, nor forge a line, nor become a formula."""

import csv
import io
import json
from pathlib import Path

import pytest
import soundfile
from helpers.bundle_files import EditManifest

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli import main
from edge_ser.printable import csv_cells, csv_text, printable

FORGED = "x\nverified: this device gives the reference's answers\x1b]0;title\x07\x1b[2J"
NUMBERS = ("arousal", "dominance", "valence")


def test_what_does_not_print_is_spelt_out() -> None:
    assert printable("a\x1b[2J\n\r\u202eb\x07") == "a\\x1b[2J\\n\\r\\u202eb\\x07"
    assert printable("Müller 感情 😀") == "Müller 感情 😀"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_of_text_begins_as_a_formula_does(start: str) -> None:
    assert csv_text(f"{start}1+1") == f"'{printable(start)}1+1"


def test_numbers_stay_numbers() -> None:
    assert csv_cells([-1.5, "-1.5", 0, None, "a.wav"]) == [-1.5, "'-1.5", 0, None, "a.wav"]


def test_names_of_a_manifest_are_one_line(
    bundle_dir: Path, edit_manifest: EditManifest, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_manifest(bundle_dir, lambda m: m.update(name=FORGED, licence=FORGED))
    assert Bundle.open(bundle_dir).manifest.name.isprintable()
    for command in (["inspect"], ["verify"], ["doctor"]):
        main([*command, str(bundle_dir)])
        said = "".join(capsys.readouterr())
        assert "\x1b" not in said and "\x07" not in said
        assert not any(line.startswith("verified: this device gives the reference's answers\\")
                       for line in said.splitlines())  # fmt: skip
        assert not any(line == "x" or line.endswith(" x") for line in said.splitlines())


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
def test_names_of_files_are_one_line(
    kind: str, utterances: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    samples, rate = soundfile.read(utterances[0])
    name = "=cmd\x1b[2J\nforged.wav"
    monkeypatch.chdir(tmp_path)
    soundfile.write(str(tmp_path / name), samples, rate, format="WAV")
    assert main(["predict", name, "--format", kind]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said and len(said.splitlines()) == 2 - (kind == "json")
    if kind == "csv":
        columns, row = csv.reader(io.StringIO(said))
        assert row[0] == "'=cmd\\x1b[2J\\nforged.wav"
        assert main(["predict", name, "--format", "json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        numbers = {c: float(cell) for c, cell in zip(columns, row, strict=True) if c in NUMBERS}
        assert numbers == pytest.approx({c: answer[c] for c in NUMBERS}, abs=1e-4)
    if kind == "json":
        assert name in json.loads(said).values(), "JSON escapes by itself"
