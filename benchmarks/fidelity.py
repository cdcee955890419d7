"""What lower precision does to answers: held-out speech of the synthetic corpus, all targets.

    python benchmarks/fidelity.py WORK

WORK is that of `make_defaults.py`. Both default checkpoints are exported in every precision, with
calibration speech from the Development split, and run over Test1 beside the float32 graph. Writes
`results/fidelity.json` and `results/fidelity.md`.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS

from edge_ser.bundle.bundle import Bundle
from edge_ser.cli.common import open_session
from edge_ser.data import sample_utterances
from edge_ser.emotion.decode import Outputs
from edge_ser.fidelity.compare import compare, concatenate, label_fidelity
from edge_ser.fidelity.limits import FP16_LIMITS, INT8_LIMITS
from edge_ser.session import pad_batch
from edge_ser_export import pipeline
from edge_ser_export.precision.options import PrecisionOptions
from edge_ser_export.training.data import Corpus, read_training_labels

# Name -> target, options, and another runtime that it is proved and run in.
FORMS = {
    "fp16, weights": ("onnx-fp16", PrecisionOptions(force=True), ""),
    "fp16, compute": ("onnx-fp16", PrecisionOptions(half_form="compute", force=True), ""),
    "int8, dynamic": ("onnx-int8", PrecisionOptions(recipe="dynamic", force=True), ""),
    "int8, static": ("onnx-int8", PrecisionOptions(recipe="static", force=True), ""),
    "int8, 7-bit weights": (
        "onnx-int8", PrecisionOptions(recipe="dynamic", cpu="x86", force=True), ""
    ),
    "int8, in OpenVINO": (
        "onnx-int8", PrecisionOptions(recipe="static", force=True), "openvino"
    ),
}  # fmt: skip


def calibration_table(work: Path, out: Path) -> Path:
    """A CSV of the Development split beside a link to its audio."""
    (out / "audio").symlink_to((work / "corpus" / "audio").resolve())
    with (work / "corpus" / "labels.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["Split_Set"] == "Development"]
    path = out / "development.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(bundle: Path, corpus: Corpus, rows: Any, runtime: str) -> Outputs:
    """Outputs of a bundle for rows of the corpus, one by one."""
    opened = Bundle.open(bundle)
    session = open_session(opened, runtime or "onnx", threads=1)
    p = opened.manifest.preprocessing
    return concatenate([session.run(*pad_batch([p.normalize(corpus.raw(r))])) for r in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder of make_defaults.py")
    work: Path = parser.parse_args().work
    table = read_training_labels(work / "corpus" / "labels.csv", work / "corpus" / "audio")
    corpus = Corpus(table, work / "corpus" / "audio", work / "cache", 12.0)
    rows = table.rows("Test1")
    records = []
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        calibration = calibration_table(work, Path(folder))
        for model in ("spectral", "wavlm-tiny"):
            exact: Outputs | None = None
            for name, (target, options, runtime) in {
                "fp32": ("onnx-fp32", PrecisionOptions(), ""), **FORMS
            }.items():  # fmt: skip
                out = Path(folder) / f"{model}-{len(records)}"
                done = pipeline.export(
                    pipeline.ExportOptions(
                        model, target, out, speech=tuple(sample_utterances()),
                        calibration=None if name == "fp32" else calibration, precision=options,
                        runtimes=(runtime,) if runtime else (),
                    ),
                    open_session,
                )  # fmt: skip
                given = run(out, corpus, rows, runtime)
                exact = exact or given
                limits = INT8_LIMITS if "int8" in name else FP16_LIMITS
                manifest = done.manifest
                lowering = manifest.lowered.to_dict() if manifest.lowered is not None else {}
                fidelity = compare(exact, given, manifest.partition, limits.margin)
                labels = label_fidelity(np.asarray(table.scores[rows]), exact, given)
                size = sum(f.bytes for f in manifest.files if f.path.startswith("model.onnx"))
                records.append(
                    {
                        "model": model, "form": name, "bytes": size,
                        "lowered": {k: lowering.get(k) for k in
                                    ("recipe", "speed", "integer_share", "float16_share")},
                        "fidelity": fidelity.to_dict(), "labels": labels.to_dict(),
                        "failures": [] if name == "fp32" else fidelity.failures(limits),
                    }
                )  # fmt: skip
                print(line(records[-1]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fidelity.json").write_text(json.dumps(records, indent=1) + "\n")
    lines = "\n".join(line(r) for r in records)
    (RESULTS / "fidelity.md").write_text(
        "# Lower precision on held-out speech\n\n`python benchmarks/fidelity.py WORK`: "
        f"{len(rows)} clips of Test1 (unseen voices and texts), calibrated on Development; CCC "
        "with the float32 model, and what agreement with the labels changes by.\n\n"
        f"{HEAD}\n{lines}\n"
    )


HEAD = (
    "| model | form | recipe | graph KB | CCC A / D / V | label CCC change A / D / V "
    "| VAD 99 % | mean angle | regions changed outside margin | head same | gate |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def line(record: dict[str, Any]) -> str:
    """One row of the table."""
    f, labels = record["fidelity"], record["labels"]
    ccc = " / ".join(f"{v:.5f}" for v in f["ccc"].values())
    change = " / ".join(f"{v:+.4f}" for v in labels["change"].values())
    recipe = record["lowered"]["recipe"] or "-"
    verdict = "holds" if not record["failures"] else "; ".join(record["failures"])
    return (
        f"| {record['model']} | {record['form']} | {recipe} | {record['bytes'] / 1e3:.0f} | {ccc} "
        f"| {change} | {f['vad_p99']:.4f} | {f['angle_mean_degrees']:.2f}° "
        f"| {f['flip_rate']:.2%} of {f['regions_far']} | {f['head_agreement']:.1%} | {verdict} |"
    )


if __name__ == "__main__":
    main()
