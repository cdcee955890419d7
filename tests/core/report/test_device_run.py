"""A run on a device: what verify prints as JSON, read again and drawn over the export's answers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.evidence import device_run, drawings, evidence, marks, place

import edge_ser
from edge_ser.errors import MissingPathError, UsageError
from edge_ser.host.facts import this_machine
from edge_ser.report.device_run import DeviceRun, read_device_run, run_on_device
from edge_ser.report.page import page


@pytest.fixture(scope="module")
def run(ser: edge_ser.Recognizer) -> DeviceRun:
    return run_on_device(ser.bundle, ser.session, "onnx, 1 thread", ran_engine=False)


def test_it_says_which_bundle_ran_where(run: DeviceRun, ser: edge_ser.Recognizer) -> None:
    assert run.fingerprint == ser.bundle.fingerprint and run.target == ser.manifest.target
    assert run.size_bytes == ser.bundle.size_bytes
    assert run.machine == this_machine() and run.runtime == "onnx, 1 thread"
    assert run.engine == "none" and run.passed and run.failures == ()
    assert run.date.endswith("+00:00")
    assert run.farthest == max(g["vad_max"] for g in run.measures.values()) < 1e-4


def test_its_answers_are_those_of_the_device(run: DeviceRun, ser: edge_ser.Recognizer) -> None:
    golden = ser.bundle.golden()
    assert [a.name for a in run.answers] == golden.names
    for answer, recorded in zip(run.answers, golden.reference.vad.tolist(), strict=True):
        assert answer.reference_vad == tuple(recorded)
        assert answer.vad == pytest.approx(recorded, abs=1e-4)


def test_it_is_read_as_it_was_written(run: DeviceRun, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run.to_dict()))
    assert read_device_run(path) == run


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "other"}, "expected a result of edge-ser verify --json, found other JSON"),
        ({"passed": "yes"}, "passed: expected true or false, found 'yes'"),
        ({"engine": "perhaps"}, "engine: expected one of ran, not run, none"),
        ({"answers": [{"name": "a"}]}, r"answers\[0\]: expected a field `reference_vad`"),
    ],
)
def test_what_is_no_result_is_refused(
    change: dict[str, Any], words: str, run: DeviceRun, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run.to_dict() | change))
    with pytest.raises(UsageError, match=words):
        read_device_run(path)
    with pytest.raises(MissingPathError, match="expected a result of edge-ser verify"):
        read_device_run(tmp_path / "none.json")


def test_it_is_drawn_over_the_answers_of_the_export(ser: edge_ser.Recognizer) -> None:
    pair = ((0.5, 0.5, 0.5), (0.75, 0.5, 0.5))
    html = page(ser.manifest, evidence([(pair[0], pair[0])]), runs=[device_run("single", *pair)])
    svg = drawings(html)["scatter-arousal"]
    exported, device = marks(svg)
    assert marks(svg, "group4") == [device], "last, so that nothing covers it"
    assert "this device" in (device.findtext("title") or "")
    assert "4.000 to 5.500" in (device.findtext("title") or "")
    x, _ = place(exported)
    assert device.tag == "path" and f"M{x - 3.3:.1f} " in device.get("d", "")
    two = page(ser.manifest, evidence(), runs=[device_run("single", *pair)] * 2)
    assert "device 1" in two and "On device 2" in two


def test_devices_have_a_mark_of_their_own_beside_four_groups(ser: edge_ser.Recognizer) -> None:
    groups = evidence([((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))] * 4)
    named = replace(
        groups,
        utterances=tuple(
            replace(u, group=g)
            for u, g in zip(groups.utterances, ("single", "padded", "files", "speech"), strict=True)
        ),
    )
    html = page(ser.manifest, named, runs=[device_run("single", *[(0.5, 0.5, 0.5)] * 2)])
    kinds = [m.get("class") for m in marks(drawings(html)["scatter-valence"])]
    assert sorted(kinds) == [f"mark group{i}" for i in range(5)]
