"""Reading what a report is drawn from, and writing the page."""

import copy
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.bundle_files import listing, seal_as_is, snapshot
from helpers.evidence import INT8, document, evidence

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import seal
from edge_ser.errors import BundleError, MissingPathError, UsageError
from edge_ser.report.data import load_damage, load_evidence, read_evidence
from edge_ser.report.files import check_output_path, write_whole
from edge_ser.report.page import write_report

PAIRS = [((0.2, 0.3, 0.4), (0.2, 0.3, 0.5)), ((0.6, 0.3, 0.4), (0.6, 0.3, 0.4))]
DAMAGE = {
    "name": "stem", "vad_p99": 0.2, "vad_mean": 0.1, "flips": 3, "macs": 1000, "kept": "float32",
}  # fmt: skip


def with_files(folder: Path, **files: Any) -> Bundle:
    """A bundle with other JSON files, whose hashes are right."""
    manifest = Bundle.open(folder).manifest
    for name, content in files.items():
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path = folder / f"{name}.json"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    seal_as_is(folder, manifest)
    return Bundle.open(folder)


# --- reading


def test_evidence_is_what_parity_json_says() -> None:
    data = document(PAIRS, INT8, labelled=True, extreme=True)
    found = read_evidence(json.loads(json.dumps(data)), "parity.json")
    assert found.passed is data["passed"] and list(found.failures) == data["failures"]
    assert len(found.not_judged) == 1
    group = found.groups["single"]
    assert group["vad_max"] == data["groups"]["single"]["vad_max"]
    assert group["ccc.valence"] == data["groups"]["single"]["ccc"]["valence"]
    assert "logits_max" not in group  # None: there is no head
    assert found.labels is not None
    assert found.labels.before["arousal"] == data["labels"]["before"]["arousal"]
    first, second = found.utterances
    assert (first.group, first.name, first.seconds) == ("single", "utterance 0", 1.0)
    assert (first.extreme, second.extreme, first.failure) == (True, False, "")
    assert first.reference_vad == (0.2, 0.3, 0.4)
    assert first.candidate_vad == (0.2, 0.3, 0.5)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("", [], "an object"),
        ("passed", "yes", "true or false"),
        ("passed", None, "true or false"),
        ("passed", float("nan"), "true or false"),
        ("failures", "none", "a list"),
        ("failures", [3], "text"),
        ("not_judged", {}, "a list"),
        ("groups", [], "an object"),
        ("groups.single", 3, "an object"),
        ("groups.single.vad_max", "small", "a finite number or an object"),
        ("groups.single.vad_max", True, "a finite number or an object"),
        ("groups.single.vad_max", float("nan"), "a finite number or an object"),
        ("groups.single.vad_max", 10**400, "a finite number or an object"),
        ("groups.single.ccc.valence", None, "a finite number"),
        ("labels", 3, "an object"),
        ("labels.before.valence", "0.5", "a finite number"),
        ("utterances", None, "a list"),
        ("utterances.0", "x", "an object"),
        ("utterances.0.group", None, "text"),
        ("utterances.0.name", 3, "text"),
        ("utterances.0.seconds", "1", "a finite number"),
        ("utterances.0.seconds", -1, "a number >= 0"),
        ("utterances.0.vad_max", 1e300, "a number >= 0"),
        ("utterances.0.extreme", 1, "true or false"),
        ("utterances.0.reference_vad", None, "a list of 3"),
        ("utterances.0.reference_vad", [0.1, 0.2], "a list of 3"),
        ("utterances.0.candidate_vad", [0.1, 0.2, None], "a finite number"),
        ("utterances.0.candidate_vad", [0.1, 0.2, float("inf")], "a finite number"),
        ("utterances.0.failure", None, "text"),
    ],
)
def test_wrong_evidence_is_refused_where_it_is(path: str, value: Any, words: str) -> None:
    data: Any = copy.deepcopy(document(PAIRS, labelled=True))
    if path:
        *parents, last = (int(p) if p.isdigit() else p for p in path.split("."))
        place = data
        for parent in parents:
            place = place[parent]
        place[last] = value
    with pytest.raises(BundleError, match=f"expected {words}, found ") as caught:
        read_evidence(data if path else value, "parity.json")
    message = str(caught.value)
    assert message.startswith("parity.json") and "\n" not in message
    assert all(part in message for part in path.split(".") if not part.isdigit())


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", b"\xff\xfe", '{"passed": True}', "[" * 200_000]
)
def test_files_that_are_no_json_of_ours_are_refused(text: Any, bundle_dir: Path) -> None:
    bundle = with_files(bundle_dir, parity=text, sensitivity=text)
    for load, name in ((load_evidence, "parity.json"), (load_damage, "sensitivity.json")):
        with pytest.raises(BundleError, match=f"{name}: expected (JSON|an object)"):
            load(bundle)


def test_a_bundle_without_its_comparisons_has_no_report(bundle_dir: Path, tmp_path: Path) -> None:
    manifest = Bundle.open(bundle_dir).manifest
    (bundle_dir / "parity.json").unlink()
    seal(bundle_dir, manifest)
    (bundle_dir / "parity.json").write_text("{}")  # there, but not of the bundle
    with pytest.raises(BundleError, match=r"expected parity.json, found none; export again"):
        load_evidence(Bundle.open(bundle_dir))


def test_sensitivity_is_read_if_it_is_of_the_bundle(bundle_dir: Path) -> None:
    assert load_damage(Bundle.open(bundle_dir)) == ()
    (damage,) = load_damage(with_files(bundle_dir, sensitivity={"groups": [DAMAGE]}))
    assert damage.__dict__ == DAMAGE


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", None), ("vad_p99", None), ("vad_mean", "0.1"), ("flips", []), ("macs", None),
     ("kept", 8)],
)  # fmt: skip
def test_wrong_sensitivity_is_refused(field: str, value: Any, bundle_dir: Path) -> None:
    bundle = with_files(bundle_dir, sensitivity={"groups": [DAMAGE, DAMAGE | {field: value}]})
    with pytest.raises(BundleError, match=rf"sensitivity.json: groups\[1\]: {field}: expected"):
        load_damage(bundle)


# --- writing


def test_the_page_is_written_as_a_whole(bundle_dir: Path, tmp_path: Path) -> None:
    bundle = with_files(bundle_dir, sensitivity={"groups": [DAMAGE]})
    folder = tmp_path / "out"
    folder.mkdir()
    path = folder / "report.html"
    path.write_text("an older page")
    before = snapshot(bundle_dir)
    write_report(path, bundle, evidence(PAIRS))
    html = path.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>") and html.endswith("</html>\n")
    assert "stem" in html
    assert listing(folder) == ["report.html"]
    assert path.stat().st_mode & 0o777 == 0o644  # others may read it
    assert snapshot(bundle_dir) == before


def test_a_page_that_cannot_be_made_leaves_the_old_one(bundle_dir: Path, tmp_path: Path) -> None:
    bundle = with_files(bundle_dir, sensitivity={"groups": [DAMAGE | {"macs": "many"}]})
    path = tmp_path / "report.html"
    path.write_text("an older page")
    with pytest.raises(BundleError, match="macs"):
        write_report(path, bundle, evidence(PAIRS))
    assert path.read_text() == "an older page"


def test_a_page_that_cannot_be_written_leaves_nothing(
    bundle_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UsageError, match=r"report.html: expected a file .*, found No space left"):
        write_report(folder / "report.html", Bundle.open(bundle_dir), evidence(PAIRS))
    assert listing(folder) == []


def test_paths_that_no_page_can_be_at_are_refused(tmp_path: Path) -> None:
    check_output_path(tmp_path / "report.html")
    with pytest.raises(UsageError, match="expected a file to write, found a directory"):
        check_output_path(tmp_path)
    with pytest.raises(MissingPathError, match=r"expected an existing folder, found no folder"):
        check_output_path(tmp_path / "none" / "report.html")
    (tmp_path / "file").touch()
    with pytest.raises(MissingPathError, match="no folder"):
        check_output_path(tmp_path / "file" / "report.html")
    with pytest.raises(UsageError, match="expected a file that can be written"):
        check_output_path(tmp_path / ("x" * 300) / "r.html")


def test_limits_of_the_page_are_those_of_the_manifest(bundle_dir: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(bundle_dir)
    bundle.manifest = replace(bundle.manifest, limits=INT8)
    write_report(tmp_path / "r.html", bundle, evidence(PAIRS, INT8))
    assert "at least 0.995" in (tmp_path / "r.html").read_text(encoding="utf-8")


# --- what is at the path already


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_output_path(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "rows")
        assert os.read(reader, 99) == b"rows"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode) and listing(tmp_path) == ["pipe"]


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no /dev")
def test_devices_are_written_to(tmp_path: Path) -> None:
    write_whole(Path("/dev/null"), "rows")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    code = "from pathlib import Path; from edge_ser.report.files import write_whole; "
    code += "write_whole(Path('link'), 'rows')"
    (tmp_path / "link").symlink_to("/dev/stdout")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "rows"
    assert (tmp_path / "link").is_symlink() and listing(tmp_path) == ["link"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_file_is_written(there: bool, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    target = tmp_path / "kept" / "page.html"
    if there:
        target.write_text("old")
    link = tmp_path / "page.html"
    link.symlink_to(target)
    check_output_path(link)
    write_whole(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert not target.is_symlink() and os.listdir(tmp_path / "kept") == ["page.html"]


def test_links_to_nowhere_are_refused(tmp_path: Path) -> None:
    link, circle = tmp_path / "link", tmp_path / "circle"
    link.symlink_to(tmp_path / "none" / "page.html")
    circle.symlink_to(circle)
    with pytest.raises(MissingPathError, match=r"link: .*found no folder .*none"):
        check_output_path(link)
    for refuse in (check_output_path, lambda path: write_whole(path, "new")):
        with pytest.raises(UsageError, match="circle: expected a file that can be written"):
            refuse(circle)
    assert circle.is_symlink()


@pytest.mark.skipif(os.name == "nt", reason="no such permissions")
@pytest.mark.parametrize(
    ("umask", "old", "expected"),
    [(0o022, None, 0o644), (0o077, None, 0o600), (0o022, 0o600, 0o600), (0o077, 0o664, 0o664)],
)
def test_permissions_are_those_of_the_old_file_or_of_the_process(
    umask: int, old: int | None, expected: int, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    if old is not None:
        path.touch()
        path.chmod(old)
    before = os.umask(umask)
    try:
        write_whole(path, "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == expected and path.read_text() == "new"
