"""`edge-ser stress`: what is printed and written, and what its exit codes say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_ser.data import DEFAULT_BUNDLE
from edge_ser_export.builtin import default_calibration_samples

Cli = Callable[..., Any]


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    """Four clips of speech."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for path in sorted(default_calibration_samples().glob("*.flac"))[::4]:
        (folder / path.name).symlink_to(path)
    return folder


def command(audio: Path, *more: object) -> tuple[object, ...]:
    some = ("--condition", "noise-10db", "gsm", "--threads", 1)
    return ("stress", DEFAULT_BUNDLE, "--audio", audio, *some, *more)


def test_table_page_and_json_say_the_same(cli: Cli, audio: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    names = sorted(p.name for p in audio.iterdir())
    groups.write_text("file,group\n" + "".join(f"{n},{n[:3]}\n" for n in names))
    page, data = tmp_path / "stress.html", tmp_path / "stress.json"
    labels = default_calibration_samples() / "samples.csv"
    more = ("--groups", groups, "--labels", labels, "--against", DEFAULT_BUNDLE)
    done = cli(*command(audio, *more, "--report", page, "--json", data))
    assert done.code == 0, done.err
    figures = json.loads(data.read_text())["conditions"]
    assert list(figures) == ["clean", "noise-10db", "gsm"]
    assert figures["gsm"]["against"]["vad"] == 0, "the same bundle gives the same answers"
    row = next(line for line in done.out.splitlines() if line.startswith("gsm"))
    assert row.split()[1] == f"{figures['gsm']['change']['vad']:.3f}"
    html = page.read_text()
    assert f">{figures['gsm']['change']['angle']:.1f}°<" in html
    assert "Group by group" in html and "From what people heard" in html


def test_a_broken_budget_is_a_failed_gate(cli: Cli, audio: Path) -> None:
    assert "budgets: gsm.flips=1: kept" in cli(*command(audio, "--budget", "gsm.flips=1")).out
    done = cli(*command(audio, "--budget", "gsm.flips=1", "noise-10db.vad=0.001"))
    assert done.code == 1
    assert "noise-10db" in done.out, "the figures are printed all the same"
    assert "expected every budget kept, found noise-10db.vad=0.001: 0." in done.err
    assert "gsm" not in done.err


def test_a_clip_that_cannot_be_read_is_named_and_ends_with_2(cli: Cli, audio: Path) -> None:
    (audio / "broken.wav").write_text("no audio")
    done = cli(*command(audio, "--budget", "gsm.vad=0.001"))
    assert done.code == 2
    assert "error: broken.wav: expected audio that libsndfile reads" in done.err
    assert "gsm.vad=0.001: 0." in done.err


def test_too_few_clips_for_babble_is_said(cli: Cli, audio: Path) -> None:
    for path in sorted(audio.iterdir())[2:]:
        path.unlink()
    done = cli(*command(audio, "--condition", "babble-5db"))
    assert done.code == 0
    assert "warning: babble-5db was not tried: babble: expected at least 3 other clips" in done.err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--condition", "nois"), "condition: expected one of noise, pink, babble"),
        (("--budget", "gsm.joy=1"), "--budget: expected one of vad, angle, flips"),
        (("--budget", "opus-8k.vad=1"), "expected a condition that is tried: clean, noise-10db"),
        (("--budget", "gsm.groups.vad=1"), "gsm.groups.vad=1: expected --groups beside it"),
        (("--report", "none/page.html"), "expected an existing folder, found no folder none"),
        (("--report", "page.txt"), "expected a name that ends in .html or .pdf, found .txt"),
        (("--groups", "none.csv"), "none.csv: expected a table of groups (CSV), found no such"),
        (("--against", "none"), "none: expected a bundle"),
        (("--report", default_calibration_samples() / "samples.csv"), "expected a name that ends"),
    ],
)
def test_what_cannot_be_done_is_refused_before_computing(
    cli: Cli, audio: Path, more: tuple[object, ...], words: str
) -> None:
    assert words in cli(*command(audio, *more)).error()


def test_audio_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    none = tmp_path / "none"
    error = cli("stress", DEFAULT_BUNDLE, "--audio", none).error()
    assert "expected a folder of speech, found nothing there" in error
    none.mkdir()
    error = cli("stress", DEFAULT_BUNDLE, "--audio", none).error()
    assert "expected a folder with audio files, found none in it" in error


def test_a_group_without_a_clip_cannot_keep_a_budget(cli: Cli, audio: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in audio.iterdir())
    table = tmp_path / "groups.csv"
    table.write_text(f"file,group\n{names[0]},A\nmisspelt.wav,B\n")
    error = cli(*command(audio, "--groups", table, "--budget", "gsm.groups.flips=1")).error()
    assert "groups.csv: expected a clip of every group, found none of B" in error


def test_clips_and_names_without_each_other_are_said(cli: Cli, audio: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in audio.iterdir())
    table = tmp_path / "groups.csv"
    table.write_text(f"file,group\n{names[0]},A\nmisspelt.wav,A\n")
    done = cli(*command(audio, "--groups", table))
    assert done.code == 0
    assert f"names no group of {len(names) - 1} clips, such as {names[1]}" in done.err
    assert "names 1 files that are not there, such as misspelt.wav" in done.err
