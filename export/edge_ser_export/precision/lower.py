"""From a float32 graph to one of lower precision, with the evidence that it is one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from edge_ser.audio.files import decode_file
from edge_ser.errors import GateError
from edge_ser.fidelity.limits import FP16_LIMITS, INT8_LIMITS
from edge_ser.host.cpu import usable_cores
from edge_ser.measure.parts import of_encoder
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.calibration.ranges import Meter
from edge_ser_export.graph.half import compute_half, float_value_names, store_weights_half
from edge_ser_export.graph.rewrite import describe, optimize_for_cpu, save, tidy
from edge_ser_export.graph.run import Samples, multiplications
from edge_ser_export.precision.int8 import SPEECH_SECONDS, Quantizer
from edge_ser_export.precision.job import Lowered, Lowering
from edge_ser_export.precision.recipes import find_cpu
from edge_ser_export.proof.speed import Speed, graph_speed
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES
from edge_ser_runtimes.engines.plan import GRAPH

# Less of the encoder's arithmetic in float16, and "FP16" would be the wrong name.
MIN_HALF_SHARE = 0.95
# How speech is made loud to look for overflow: this much too loud, and clipped.
_LOUD_UTTERANCES, _OVERDRIVE = 4, 30.0


def lower(job: Lowering) -> tuple[Lowered, Path]:
    """Write a graph of lower precision for CPUs.

    Args:
        job: for `onnx-fp16` or `onnx-int8`.

    Returns:
        what the manifest says of it, and the graph, which the gate judges. It is refused where no
        recipe keeps the answers (of INT8 it is the one that came nearest), where too little is
        computed in the precision asked for, or where it is slower.

    Raises:
        UsageError: an unknown option.
    """
    job.options.check()
    job.progress("rewriting the graph")
    model = ir.load(job.traced)
    passes = optimize_for_cpu(model)
    optimized, out = job.scratch / "optimized.onnx", job.folder / GRAPH
    save(model, optimized, EXTERNAL_DATA_BYTES)
    del model
    if job.target == "onnx-int8":
        quantizer = Quantizer(
            optimized, job.traced, job.speech, job.partition, INT8_LIMITS, job.scratch,
            find_cpu(job.options.cpu), job.progress, job.gate,
        )  # fmt: skip
        lowered = _int8(quantizer, out, job)
    elif job.options.half_form == "weights":
        lowered = _half_weights(optimized, out, job)
    else:
        lowered = _half_compute(optimized, out, job)
    record = {
        "passes": passes,
        "graph": {"before": describe(job.traced), "after": describe(out)},
        "calibration": job.speech.to_dict(),
        **lowered.record,
    }
    return replace(lowered, record=record), out


def _int8(quantizer: Quantizer, out: Path, job: Lowering) -> Lowered:
    cpu, options = quantizer.cpu, job.options
    refusal = None
    try:
        path, best = quantizer.search(options.recipe)
    except GateError as error:
        refusal, best = error, quantizer.nearest
        path = quantizer.build(best.recipe, quantizer.work / "nearest.onnx")
    if options.sensitivity:
        quantizer.rank(best.recipe)
    save(ir.load(path), out, EXTERNAL_DATA_BYTES)
    if best.speed is not None and not options.force:
        refusal = too_slow(job.target, best.speed, "--target onnx-fp32 or onnx-fp16")
    record = {
        "cpu": {"name": cpu.name, "instructions": cpu.instructions, "weight_bits": cpu.weight_bits},
        **best.to_dict(),
        "candidates": [trial.to_dict() for trial in quantizer.trials],
    }
    sensitivity = quantizer.sensitivity(best.recipe) if quantizer.damages else None
    return Lowered("int8", "int8", INT8_LIMITS, best.recipe.max_batch, record, sensitivity, refusal)


def _half_weights(optimized: Path, out: Path, job: Lowering) -> Lowered:
    model = ir.load(optimized)
    store_weights_half(model)
    tidy(model)
    save(model, out, EXTERNAL_DATA_BYTES)
    job.progress("timing")
    speed = graph_speed(
        job.traced, out, SPEECH_SECONDS
    )  # told, not judged: it is there for its size
    record = {
        "recipe": "weights",
        "gain": "half the file, unless the checkpoint is in float16 already, which onnx-fp32 "
        "stores so too; the runtime widens the weights when it loads them, so that time and "
        "memory are those of float32",
        "speed": speed.to_dict(),
    }
    return Lowered("fp32", "float16", FP16_LIMITS, None, record)


def _half_compute(optimized: Path, out: Path, job: Lowering) -> Lowered:
    model = ir.load(optimized)
    job.progress("measuring ranges")
    speech = itertools.chain(job.speech.samples(job.speech.fit), loud_speech(job.speech))
    names, threads = float_value_names(model), usable_cores()
    with Meter(optimized, names, job.scratch, channels=False, threads=threads) as meter:
        extremes = meter.over(speech)
    kept_in_float32 = compute_half(model, extremes)
    halves = {
        n.name for n in model.graph if n.outputs and n.outputs[0].dtype == ir.DataType.FLOAT16
    }
    tidy(model)
    save(model, out, EXTERNAL_DATA_BYTES)
    share = _half_share(optimized, halves)
    refusal = None
    if share < MIN_HALF_SHARE:
        refusal = GateError(
            job.target,
            expected=f"{MIN_HALF_SHARE:.0%} of the encoder's multiplications in float16",
            found=f"{share:.1%}; too loud for it: {', '.join(kept_in_float32[:4])}",
            advice="use --fp16-form weights",
        )
    job.progress("timing")
    speed = graph_speed(job.traced, out, SPEECH_SECONDS)
    if refusal is None and not job.options.force:
        refusal = too_slow(job.target, speed, "--fp16-form weights on a CPU")
    loudest = sorted(((float(e.largest.max()), n) for n, e in extremes.items()), reverse=True)
    record = {
        "recipe": "compute",
        "float16_share": {"encoder": share, "seconds": SPEECH_SECONDS},
        "kept_in_float32": kept_in_float32,
        "loudest": [{"value": n, "magnitude": m} for m, n in loudest[:8]],
        "speed": speed.to_dict(),
    }
    return Lowered("fp16", "float16", FP16_LIMITS, None, record, None, refusal)


def loud_speech(calibration: CalibrationSet) -> Iterator[Samples]:
    """The loudest that a few calibration utterances can be: overdriven to full scale."""
    rules = calibration.preprocessing
    for utterance in calibration.fit[:_LOUD_UTTERANCES]:
        x = decode_file(utterance.path, rules.sample_rate, rules.max_seconds)
        yield rules.normalize(np.clip(x * np.float32(_OVERDRIVE), -1, 1))


def _half_share(optimized: Path, halves: set[str | None]) -> float:
    """Share of the encoder's multiplications whose nodes were given float16.

    Counted in the float32 graph, whose nodes have the same names: a CPU computes float16 by way of
    float32, so its own account would say nothing about the devices that the form is for.
    """
    encoder = [m for m in multiplications(optimized, SPEECH_SECONDS) if of_encoder(m.node)]
    # the runtime adds to a name what it fused the node with
    half = [
        m for m in encoder if any(n and (m.node == n or m.node.startswith(f"{n}/")) for n in halves)
    ]
    return sum(m.macs for m in half) / max(1, sum(m.macs for m in encoder))


def too_slow(target: str, speed: Speed, instead: str) -> GateError | None:
    """A refusal of what is slower beyond doubt; what a busy machine leaves open is told alone.

    Args:
        target: that was timed.
        speed: against float32.
        instead: what to export, in words.
    """
    if speed.outcome != "slower":
        return None
    return GateError(
        f"speed of {target}",
        expected="at least 1 times float32's on this machine",
        found=f"{speed.speedup:.2f} times ({speed.candidate_ms:.1f} ms against "
        f"{speed.baseline_ms:.1f} ms for {speed.seconds:g} s of speech)",
        advice=f"use {instead}, or --force to write it for another machine",
    )
