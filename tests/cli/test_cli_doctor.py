"""`edge-ser doctor`: a table for people, JSON for machines, and exit codes."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_ser.data import DEFAULT_BUNDLE
from edge_ser.host.child import code_command

Cli = Callable[..., Any]


def test_the_default_model_runs_here(cli: Cli) -> None:
    done = cli("doctor")
    assert done.code == 0 and done.err == ""
    lines = done.out.splitlines()
    assert lines[0].startswith("edge-ser ")
    rows = [line for line in lines[2:] if not line.startswith(" ")]
    areas = {"machine", "runtime", "target", "library", "extra", "bundle"}
    assert {row.split()[0] for row in rows} == areas
    assert "ok" in next(r for r in rows if r.startswith("runtime onnx"))
    assert "recorded answers" in rows[-1] and "bundle default model" in rows[-1]


def test_a_child_that_cannot_start_is_a_row_and_the_table_goes_on() -> None:
    code = """
import sys
sys.executable = "/nowhere/python"  # as where the interpreter was upgraded under a running process
from edge_ser.cli import main
sys.exit(main(["doctor", "--json"]))
"""
    child = subprocess.run(code_command(code), capture_output=True, text=True, check=False)
    assert (child.returncode, child.stderr) == (0, "")
    findings = {(f["area"], f["name"]): f for f in json.loads(child.stdout)["findings"]}
    gpu = findings["machine", "NVIDIA GPU"]
    assert gpu["state"] == "missing"
    assert gpu["found"] == "the driver cannot be asked: No such file or directory"
    assert findings["bundle", "default model"]["state"] == "ok"


def test_json_holds_the_same(cli: Cli) -> None:
    done = cli("doctor", "--json", DEFAULT_BUNDLE)
    assert done.code == 0 and done.err == ""
    record = json.loads(done.out)
    assert record["schema"] == 1 and record["ok"] is True
    states = {f["state"] for f in record["findings"]}
    assert states <= {"ok", "missing", "advice"}
    bundles = [f for f in record["findings"] if f["area"] == "bundle"]
    assert [b["name"] for b in bundles] == [str(DEFAULT_BUNDLE)]
    assert bundles[0]["state"] == "ok"


def test_a_bundle_that_answers_otherwise_is_exit_code_1(
    cli: Cli, tiny_bundle: Callable[..., Path]
) -> None:
    done = cli("doctor", tiny_bundle(), DEFAULT_BUNDLE)
    assert done.code == 1, done
    lines = done.out.splitlines()
    assert any("fails" in line and "answers differ" in line for line in lines)
    assert any("-> do not use it on this device" in line for line in lines)
    assert any(line.startswith(f"bundle {DEFAULT_BUNDLE}") for line in lines), "others are tried"


def test_what_is_no_bundle_is_exit_code_2_after_the_others(cli: Cli, tmp_path: Path) -> None:
    done = cli("doctor", "--json", tmp_path / "nowhere", DEFAULT_BUNDLE)
    error = done.error()  # checks the exit code and that it is one line
    assert "nowhere: expected a bundle, found no such file" in error
    record = json.loads(done.out)
    assert record["ok"] is False
    assert [f["state"] for f in record["findings"] if f["area"] == "bundle"] == ["fails", "ok"]


def test_a_damaged_bundle_is_named(cli: Cli, bundle_dir: Path) -> None:
    with (bundle_dir / "model.onnx").open("ab") as file:
        file.write(b"x")
    done = cli("doctor", bundle_dir)
    assert "model.onnx: expected" in done.error()
    assert "copy the bundle again" in done.out
