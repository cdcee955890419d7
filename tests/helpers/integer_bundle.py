"""The default model in integers, without the search and the proof of an export."""

from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE
from edge_ser_export.checkpoints.load import load_checkpoint
from edge_ser_export.graph.integers import quantize_products
from edge_ser_export.graph.rewrite import optimize_for_cpu, save, tidy
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES
from helpers.trace_once import folder, trace_once


def dynamic_bundle() -> Path:
    """A bundle whose scales every run measures, without golden answers."""
    manifest = Bundle.open(DEFAULT_BUNDLE).manifest
    rules = manifest.preprocessing
    work = folder()
    trace_once(
        load_checkpoint("spectral").model, work / "model.onnx", rules.max_samples, rules.min_samples
    )
    model = ir.load(work / "model.onnx")
    optimize_for_cpu(model)
    quantize_products(model, lambda group: group != "log-mel")
    tidy(model)
    save(model, work / "model.onnx", EXTERNAL_DATA_BYTES)
    seal(work, replace(manifest, max_batch=1))
    return work
