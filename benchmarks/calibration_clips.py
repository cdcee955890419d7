"""How many calibration clips suffice: static INT8 of the default models, on held-out speech.

    python benchmarks/calibration_clips.py CORPUS

CORPUS is what `make_corpus.py` writes. Of its Development split so many clips are drawn, twice;
half of them measure ranges, half judge. Each bundle is run over Test1 beside the float32 one.
Writes `results/calibration-clips.json` and `results/calibration-clips.md`.
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

from edge_ser.audio.files import decode_file
from edge_ser.bundle.bundle import Bundle
from edge_ser.cli.common import open_session
from edge_ser.data import sample_utterances
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import GateError
from edge_ser.fidelity.compare import compare, concatenate
from edge_ser.fidelity.limits import INT8_LIMITS
from edge_ser.utterance import infer
from edge_ser_export.options import ExportOptions
from edge_ser_export.pipeline import export
from edge_ser_export.precision.options import PrecisionOptions

COUNTS = (8, 16, 32, 64)
DRAWS = 2
HEAD = (
    "| model | clips | draw | recipe | CCC, worst of A, D, V | mean angle | VAD 99 % | export |\n"
    "|---|---|---|---|---|---|---|---|"
)


def clips_of(corpus: Path, split: str) -> list[Path]:
    """Audio of a split, by name."""
    with (corpus / "labels.csv").open(newline="") as file:
        names = sorted(r["FileName"] for r in csv.DictReader(file) if r["Split_Set"] == split)
    return [corpus / "audio" / name for name in names]


def answers(bundle: Path, clips: list[Path]) -> Outputs:
    """Outputs for clips, one by one."""
    opened = Bundle.open(bundle)
    session = open_session(opened, "onnx", threads=1)
    rules = opened.manifest.preprocessing
    decoded = (decode_file(p, rules.sample_rate, rules.max_seconds) for p in clips)
    return concatenate([infer(session, [rules.apply(x, "clip")]) for x in decoded])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder of make_corpus.py")
    corpus: Path = parser.parse_args().corpus
    development, test = clips_of(corpus, "Development"), clips_of(corpus, "Test1")
    records: list[dict[str, Any]] = []
    speech = tuple(sample_utterances())
    with tempfile.TemporaryDirectory(prefix="edge-ser-") as folder:
        for model in ("spectral", "wavlm-tiny"):
            exact_bundle = Path(folder) / model
            export(ExportOptions(model, out=exact_bundle, speech=speech))
            exact = answers(exact_bundle, test)
            for count in COUNTS:
                for draw in range(DRAWS):
                    own = Path(folder) / f"{model}-{count}-{draw}-clips"
                    own.mkdir()
                    order = np.random.default_rng(draw).permutation(len(development))
                    for index in order[:count]:
                        (own / development[index].name).symlink_to(development[index].resolve())
                    out = Path(folder) / f"{model}-{count}-{draw}"
                    options = ExportOptions(
                        model, "onnx-int8", out, speech=speech, calibration=own,
                        precision=PrecisionOptions(recipe="static", force=True), keep_failed=True,
                    )  # fmt: skip
                    refused = ""
                    try:
                        export(options)
                    except GateError as error:
                        refused = error.found
                    manifest = Bundle.open(out).manifest
                    result = compare(
                        exact, answers(out, test), manifest.partition, INT8_LIMITS.margin
                    )
                    recipe = manifest.lowered.recipe if manifest.lowered is not None else None
                    records.append(
                        {
                            "model": model, "clips": count, "draw": draw, "recipe": recipe,
                            "refused": refused, "held_out": len(test), "fidelity": result.to_dict(),
                        }
                    )  # fmt: skip
                    print(line(records[-1]), flush=True)
    (RESULTS / "calibration-clips.json").write_text(json.dumps(records, indent=1) + "\n")
    lines = "\n".join(line(r) for r in records)
    (RESULTS / "calibration-clips.md").write_text(
        "# How many calibration clips suffice\n\n"
        "`python benchmarks/calibration_clips.py CORPUS`: static INT8 of the default models, "
        f"calibrated on clips of Development, half of them to measure ranges and half to judge; "
        f"run over {len(test)} clips of Test1 (unseen voices and texts) beside float32. Limits: "
        f"CCC {INT8_LIMITS.ccc:g}, mean angle {INT8_LIMITS.angle_mean_degrees:g}°.\n\n"
        f"{HEAD}\n{lines}\n"
    )


def line(record: dict[str, Any]) -> str:
    """One row of the table."""
    f = record["fidelity"]
    return (
        f"| {record['model']} | {record['clips']} | {record['draw'] + 1} | {record['recipe']} "
        f"| {min(f['ccc'].values()):.5f} | {f['angle_mean_degrees']:.2f}° | {f['vad_p99']:.4f} "
        f"| {'refused' if record['refused'] else 'passed'} |"
    )


if __name__ == "__main__":
    main()
