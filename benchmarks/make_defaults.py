"""Make the default checkpoints, the embedded bundle and the sample utterances from nothing.

    python benchmarks/make_defaults.py WORK

Runs the commands a user would type, prints each, and copies the results into the source tree:
a synthetic corpus, the spectral model, the tiny WavLM model (which learns from the spectral one's
frames), their evaluation, and the default bundle. Everything is seeded. Needs the extras `export`
and `synth`, the system package `flite`, 3 GB of disk and about an hour on two quiet cores (an
estimate: in parts, on one thread of a busy machine, the corpus took 4 minutes, spectral 25,
wavlm-tiny 73, evaluation and export 1).
Steps that WORK holds already are not repeated.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "export" / "edge_ser_export_data"
MAKE_CORPUS = ROOT / "benchmarks" / "make_corpus.py"
RESULTS = ROOT / "benchmarks" / "results" / "default-checkpoints.json"
SAMPLES = ("rms_iv_hostile", "slt_vi_docile", "slt_vii_bored")

SHARED = (
    "--batch-size 32 --accumulate 1 --learning-rate 1e-3 --schedule cosine --crop-seconds 3.5 "
    "--auxiliary-floor 0.05 --ema 0.998 --half --threads 2 --licence Apache-2.0 --seed 7"
)
RECIPES = {
    "spectral": f"--encoder spectral --epochs 14 {SHARED}",
    "wavlm-tiny": f"--encoder wavlm-tiny --epochs 6 --stem-steps 8000 {SHARED}",
}


def call(command: str) -> str:
    """Run one command line; its output is shown and returned."""
    print(f"$ {command}", flush=True)
    lines = []
    with subprocess.Popen(shlex.split(command), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(f"failed with exit code {process.returncode}: {command}")
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for corpus and runs")
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    started = time.time()
    corpus, cache = work / "corpus", work / "cache"
    python, tool = shlex.quote(sys.executable), f"{shlex.quote(sys.executable)} -m edge_ser"
    if not corpus.exists():
        call(f"{python} {MAKE_CORPUS} {corpus} --seed 7")
    if not (work / "samples").exists():
        call(f"{python} {MAKE_CORPUS} --samples {work / 'samples'}")
    data = f"{corpus / 'labels.csv'} --audio {corpus / 'audio'} --cache {cache}"
    results = {}
    (DATA / "checkpoints").mkdir(exist_ok=True)
    for name, recipe in RECIPES.items():
        run = work / name
        teacher = "" if name == "spectral" else f"--teacher {work / 'spectral/best.safetensors'}"
        if not (run / "best.safetensors").exists():
            call(f"{tool} train {data} -o {run} {recipe} {teacher}")
        shutil.copy(run / "best.safetensors", DATA / "checkpoints" / f"{name}.safetensors")
        results[name] = {
            split: json.loads(call(f"{tool} train {data} --evaluate {name} --split {split} --json"))
            for split in ("Test1", "Test2")
        }
    samples = ROOT / "edge_ser" / "data" / "samples"
    samples.mkdir(exist_ok=True)
    for name in SAMPLES:
        shutil.copy(work / "samples" / f"{name}.flac", samples)
    (DATA / "calibration").mkdir(exist_ok=True)
    for clip in (work / "samples").iterdir():
        shutil.copy(clip, DATA / "calibration")
    call(f"{tool} export spectral -o {ROOT / 'edge_ser' / 'data' / 'default'}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"recipes": RECIPES, "results": results}, indent=1) + "\n")
    print(f"done in {(time.time() - started) / 60:.0f} minutes; figures in {RESULTS.name}")


if __name__ == "__main__":
    main()
