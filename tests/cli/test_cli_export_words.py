"""What an export says when it is done, and what it was told to write."""

import json
from pathlib import Path

import pytest

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.evidence import LoweredShare, Lowering, SpeedRecord
from edge_ser.cli import main
from edge_ser.cli.export_words import _print_lowered

pytestmark = pytest.mark.usefixtures("traced_once")


def test_float32_ends_in_three_lines_and_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a bundle"
    assert main(["export", "-o", str(out), "--name", "mine", "--licence", "MIT"]) == 0
    what, proof, fingerprint, following = capsys.readouterr().out.splitlines()
    bundle = Bundle.open(out)
    assert what.startswith(f"{out}: onnx-fp32, ") and what.endswith("; parity passed")
    parity = bundle.manifest.parity
    assert parity is not None
    assert proof == (
        f"proof: {parity.utterances} runs, VAD within {parity.vad_max:.1e} of the checkpoint's "
        "(limit 0.0001), no region changed"
    )
    assert fingerprint == f"fingerprint {bundle.fingerprint}"
    assert following == f"next: edge-ser predict '{out}' speech.wav"
    assert (bundle.manifest.name, bundle.manifest.licence) == ("mine", "MIT")
    command = bundle.manifest.provenance.command
    assert "--name mine" in str(command) and "--licence MIT" in str(command)


def test_all_of_it_is_there_as_a_table_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-v", "export", "-o", str(tmp_path / "b")]) == 0
    assert "regions same" in capsys.readouterr().out
    assert main(["export", "--json", "-o", str(tmp_path / "b")]) == 0
    record = json.loads(capsys.readouterr().out)
    bundle = Bundle.open(tmp_path / "b")
    assert record["fingerprint"] == bundle.fingerprint
    assert record["manifest"] == json.loads((bundle.root / "manifest.json").read_text())
    assert record["parity"] == json.loads((bundle.root / "parity.json").read_text())
    assert (record["passed"], record["replaced"]) == (True, True)
    assert record["bundle"] == str(tmp_path / "b") and record["bytes"] == bundle.size_bytes


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--name", "a/b", "--name: expected a name, found a path, a/b; say with -o where"),
        ("--name", " ", "--name: expected printable text, found ' '"),
        ("--licence", "a\nb", "--licence: expected printable text, found 'a\\nb'"),
    ],
)
def test_a_name_is_a_name(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", option, value]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("why", "said"), [("", False), ("12 rounds in 8 s", True)])
def test_times_that_could_not_be_judged_may_choose_otherwise(
    why: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    speed = SpeedRecord(seconds=3.0, candidate_ms=1.0, speedup=2.0, outcome="unsure", why=why)
    share = LoweredShare(encoder=0.97, everything=0.9)
    _print_lowered(Lowering(recipe="static", integer_share=share, speed=speed))
    words = "another run may choose another recipe, as times decide: --recipe settles it"
    assert (words in capsys.readouterr().out) is said
