"""From a float32 graph to one of lower precision, with the evidence that it is one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx_ir as ir

from edge_ser.audio_files import decode_file
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import GateError, UsageError
from edge_ser.fidelity.limits import FP16_LIMITS, INT8_LIMITS, Limits
from edge_ser.host.cpu import integer_preset, usable_cores
from edge_ser.measure.parts import of_encoder
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.calibration.ranges import Meter
from edge_ser_export.graph.half import compute_half, float_value_names, store_weights_half
from edge_ser_export.graph.rewrite import describe, optimize_for_cpu, save, tidy
from edge_ser_export.graph.run import Samples, multiplications
from edge_ser_export.precision.int8 import SPEECH_SECONDS, Gate, Quantizer
from edge_ser_export.precision.recipes import CPUS, RECIPES, find_cpu
from edge_ser_export.proof.speed import Speed, graph_speed
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES

HalfForm = Literal["weights", "compute"]
HALF_FORMS: tuple[str, ...] = get_args(HalfForm)
# Less of the encoder's arithmetic in float16, and "FP16" would be the wrong name.
MIN_HALF_SHARE = 0.95
# How speech is made loud to look for overflow: this much too loud, and clipped.
_LOUD_UTTERANCES, _OVERDRIVE = 4, 30.0


@dataclass(frozen=True)
class PrecisionOptions:
    """How precision is lowered.

    Attributes:
        recipe: of INT8: `auto`, `dynamic` or `static`.
        cpu: of INT8: a name in `int8.CPUS`, or `auto`: what this machine is.
        half_form: of FP16: `weights` (stored so, computed in float32) or `compute`.
        sensitivity: of INT8: rank the parts of the model even where nothing has to be given up.
        force: keep a result that is slower.
    """

    recipe: str = "auto"
    cpu: str = "auto"
    half_form: str = "weights"
    sensitivity: bool = False
    force: bool = False

    def check(self) -> None:
        """Refuse unknown names, and integers that this machine would compute wrongly.

        Raises:
            UsageError: naming the option.
        """
        if self.cpu == "x86-vnni" and integer_preset() == "x86" and not self.force:
            raise UsageError(
                "--cpu x86-vnni",
                expected="a processor with VNNI, to prove the answers on",
                found="one whose sums of 8-bit products saturate",
                advice="use --cpu x86 (7-bit weights), or --force to write it unproved",
            )
        for option, value, known in (
            ("--cpu", self.cpu, ("auto", *CPUS)),
            ("--fp16-form", self.half_form, HALF_FORMS),
            ("--recipe", self.recipe, RECIPES),
        ):
            if value not in known:
                raise UsageError(option, expected=f"one of {', '.join(known)}", found=value)


@dataclass(frozen=True)
class Lowered:
    """A graph of lower precision.

    Attributes:
        precision: of the computation, for the manifest.
        storage: of the weights.
        limits: of the gate.
        max_batch: rows that may share a run, for the manifest.
        record: evidence, for the manifest.
        sensitivity: ranking of the model's parts, for the bundle; None: not asked for.
    """

    precision: str
    storage: str
    limits: Limits
    max_batch: int | None = None
    record: dict[str, Any] = field(default_factory=dict)
    sensitivity: dict[str, Any] | None = None


def lower(
    target: str,
    graph: Path,
    out: Path,
    calibration: CalibrationSet,
    partition: Partition,
    options: PrecisionOptions,
    work: Path,
    progress: Callable[[str], None] = lambda _: None,
    gate: Gate = lambda _, __: [],
) -> Lowered:
    """Write a graph of lower precision.

    Args:
        target: `onnx-fp16` or `onnx-int8`.
        graph: the traced graph in float32, with the exporter's metadata.
        out: file to write.
        calibration: speech to measure and judge on.
        partition: regions of the model.
        options: how.
        work: folder for what is tried.
        progress: called with a word per step.
        gate: what a recipe of INT8 has to pass besides.

    Raises:
        GateError: no recipe keeps the answers, too little is computed in the precision asked for,
            or the result is slower.
        UsageError: an unknown option.
    """
    options.check()
    progress("rewriting the graph")
    model = ir.load(graph)
    passes = optimize_for_cpu(model)
    optimized = work / "optimized.onnx"
    save(model, optimized, EXTERNAL_DATA_BYTES)
    del model
    if target == "onnx-int8":
        quantizer = Quantizer(
            optimized, graph, calibration, partition, INT8_LIMITS, work, find_cpu(options.cpu),
            progress, gate,
        )  # fmt: skip
        lowered = _int8(quantizer, out, options)
    elif options.half_form == "weights":
        lowered = _half_weights(optimized, graph, out, options, progress)
    else:
        lowered = _half_compute(optimized, graph, out, calibration, options, work, progress)
    record = {
        "passes": passes,
        "graph": {"before": describe(graph), "after": describe(out)},
        "calibration": calibration.to_dict(),
        **lowered.record,
    }
    return replace(lowered, record=record)


def _int8(quantizer: Quantizer, out: Path, options: PrecisionOptions) -> Lowered:
    cpu = quantizer.cpu
    path, best = quantizer.search(options.recipe)
    if options.sensitivity:
        quantizer.rank(best.recipe)
    save(ir.load(path), out, EXTERNAL_DATA_BYTES)
    if best.speed is not None:
        _check_speed("onnx-int8", best.speed, options.force, "--target onnx-fp32 or onnx-fp16")
    record = {
        "cpu": {"name": cpu.name, "instructions": cpu.instructions, "weight_bits": cpu.weight_bits},
        **best.to_dict(),
        "candidates": [trial.to_dict() for trial in quantizer.trials],
    }
    sensitivity = quantizer.sensitivity(best.recipe) if quantizer.damages else None
    return Lowered("int8", "int8", INT8_LIMITS, best.recipe.max_batch, record, sensitivity)


def _half_weights(
    optimized: Path,
    graph: Path,
    out: Path,
    options: PrecisionOptions,
    progress: Callable[[str], None],
) -> Lowered:
    model = ir.load(optimized)
    store_weights_half(model)
    tidy(model)
    save(model, out, EXTERNAL_DATA_BYTES)
    progress("timing")
    speed = graph_speed(graph, out, SPEECH_SECONDS)  # told, not judged: it is there for its size
    record = {
        "recipe": "weights",
        "gain": "half the file, unless the checkpoint is in float16 already, which onnx-fp32 "
        "stores so too; the runtime widens the weights when it loads them, so that time and "
        "memory are those of float32",
        "speed": speed.to_dict(),
    }
    return Lowered("fp32", "float16", FP16_LIMITS, None, record)


def _half_compute(
    optimized: Path,
    graph: Path,
    out: Path,
    calibration: CalibrationSet,
    options: PrecisionOptions,
    work: Path,
    progress: Callable[[str], None],
) -> Lowered:
    model = ir.load(optimized)
    progress("measuring ranges")
    speech = itertools.chain(calibration.samples(calibration.fit), loud_speech(calibration))
    names, threads = float_value_names(model), usable_cores()
    with Meter(optimized, names, work, channels=False, threads=threads) as meter:
        extremes = meter.over(speech)
    wide = compute_half(model, extremes)
    halves = {
        n.name for n in model.graph if n.outputs and n.outputs[0].dtype == ir.DataType.FLOAT16
    }
    tidy(model)
    save(model, out, EXTERNAL_DATA_BYTES)
    share = _half_share(optimized, halves)
    if share < MIN_HALF_SHARE:
        raise GateError(
            "onnx-fp16",
            expected=f"{MIN_HALF_SHARE:.0%} of the encoder's multiplications in float16",
            found=f"{share:.1%}; too loud for it: {', '.join(wide[:4])}",
            advice="use --fp16-form weights",
        )
    progress("timing")
    speed = graph_speed(graph, out, SPEECH_SECONDS)
    _check_speed("onnx-fp16", speed, options.force, "--fp16-form weights on a CPU")
    loudest = sorted(((float(e.largest.max()), n) for n, e in extremes.items()), reverse=True)
    record = {
        "recipe": "compute",
        "float16_share": {"encoder": share, "seconds": SPEECH_SECONDS},
        "kept_in_float32": wide,
        "loudest": [{"value": n, "magnitude": m} for m, n in loudest[:8]],
        "speed": speed.to_dict(),
    }
    return Lowered("fp16", "float16", FP16_LIMITS, None, record)


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


def _check_speed(target: str, speed: Speed, force: bool, instead: str) -> None:
    """Refuse what is slower beyond doubt; what a busy machine leaves open is told, not refused."""
    if speed.outcome != "slower" or force:
        return
    raise GateError(
        f"speed of {target}",
        expected="at least 1 times float32's on this machine",
        found=f"{speed.speedup:.2f} times ({speed.candidate_ms:.1f} ms against "
        f"{speed.baseline_ms:.1f} ms for {speed.seconds:g} s of speech)",
        advice=f"use {instead}, or --force to write it for another machine",
    )
