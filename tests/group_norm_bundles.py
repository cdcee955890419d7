"""Bundles of a small encoder of the base style (group normalisation over time), random weights.

python tests/group_norm_bundles.py FOLDER

Writes one of each precision, for `bare_group_norm.py` to open where only a device's packages are.
"""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
from helpers.tiny_models import random_run
from helpers.trace_once import trace_once

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.files import GOLDEN
from edge_ser.bundle.writing import seal
from edge_ser.cli import main as edge_ser
from edge_ser.fidelity.compare import concatenate
from edge_ser.fidelity.limits import INT8_LIMITS
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.graph.integers import quantize_products
from edge_ser_export.graph.rewrite import optimize_for_cpu, save, tidy
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES
from edge_ser_runtimes.registry import open_session

# of lower precision a model this small need not be faster
FORMS = {
    "fp32": ["--target", "onnx-fp32"],
    "fp16-weights": ["--target", "onnx-fp16", "--fp16-form", "weights", "--force"],
    "fp16-compute": ["--target", "onnx-fp16", "--fp16-form", "compute", "--force"],
}


def write_int8(run: Path, plain: Path, folder: Path) -> None:
    """All products in integers, with their own answers recorded.

    Not by `edge-ser export`: what a model with random weights says hangs on details that the gate
    of a lower precision does not let go.

    Args:
        run: directory of the model.
        plain: its bundle in float32.
        folder: to write.
    """
    shutil.copytree(plain, folder)
    bundle = Bundle.open(plain)
    manifest, golden = bundle.manifest, bundle.golden()
    rules = manifest.preprocessing
    path = folder / manifest.graph
    trace_once(load_checkpoint(str(run)).model, path, rules.max_samples, rules.min_samples)
    model = ir.load(path)
    optimize_for_cpu(model)
    quantize_products(model, lambda _: True)
    tidy(model)
    save(model, path, EXTERNAL_DATA_BYTES)
    # rows share no run, as every run measures its scales
    manifest = replace(
        manifest, target="onnx-int8", precision="int8", max_batch=1, limits=INT8_LIMITS
    )
    session = open_session(Bundle(folder, manifest), "onnx", 1)
    rows = [rules.normalize(x.astype(np.float32) / 32768) for x in golden.samples]
    outputs = concatenate([session.run(x[None], np.array([len(x)])) for x in rows])
    replace(golden, reference=outputs, own={"onnx": outputs}).save(folder / GOLDEN)
    # the record of the proof is of the graph in float32
    (folder / "parity.json").unlink()
    seal(folder, manifest)


def main(folder: Path) -> None:
    run = folder / "run"
    # a front end wide enough that nearly all products are where precision is lowered
    random_run("group", conv_dim=[8, *[48] * 6]).save(run)
    for name, options in FORMS.items():
        code = edge_ser(["export", str(run), *options, "--out", str(folder / name)])
        if code:
            sys.exit(f"export of {name}: exit code {code}")
    write_int8(run, folder / "fp32", folder / "int8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
