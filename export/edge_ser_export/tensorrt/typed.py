"""The precision-typed graph that an engine is built from, and the one that proves it on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edge_ser.emotion.decode import Outputs
from edge_ser.emotion.sphere import Partition
from edge_ser.errors import GateError
from edge_ser.fidelity.compare import compare
from edge_ser.fidelity.limits import LIMITS, Limits
from edge_ser.host.cpu import usable_cores
from edge_ser.measure.parts import of_front_end
from edge_ser_export.calibration.draw import CalibrationSet, Utterance
from edge_ser_export.calibration.ranges import Meter
from edge_ser_export.graph.half import HALF_MAX, HEADROOM, compute_half, float_value_names
from edge_ser_export.graph.integers import Extremes
from edge_ser_export.graph.names import name_nodes
from edge_ser_export.graph.rewrite import describe, save, save_beside, tidy
from edge_ser_export.graph.run import answers, open_graph
from edge_ser_export.memory import forget_weights
from edge_ser_export.precision.job import Lowered, Lowering
from edge_ser_export.precision.lower import loud_speech
from edge_ser_export.precision.search import Outcome, Parts, count_multiplications, give_back
from edge_ser_export.tensorrt.explicit import float_types, spell_out
from edge_ser_export.tensorrt.qdq import check_symmetric, find_targets, insert_qdq
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES
from edge_ser_runtimes.engines.census import MIN_SHARE, SECONDS
from edge_ser_runtimes.engines.plan import GRAPH

_STORAGE = {
    "fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8", "fp8": "float8e4m3",
}  # fmt: skip
_EIGHT = {"int8": ir.DataType.INT8, "fp8": ir.DataType.FLOAT8E4M3FN}
# Operators that TensorRT's parser takes in float32 and float16 alone.
_NOT_IN_BF16 = {"Mish"}
# Utterances to rank the model's parts by, where not all of them bear eight bits.
_RANKING_UTTERANCES = 4


@dataclass(frozen=True)
class Typed:
    """A typed graph.

    Attributes:
        precision: that was asked for.
        storage: of the weights.
        limits: of the gate.
        explicit: the form that the gate runs; the typed graph itself under fp32.
        record: evidence, for the manifest.
    """

    precision: str
    storage: str
    limits: Limits
    explicit: Path
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Typing:
    """What decides about a typed graph.

    Attributes:
        precision: "fp32", "fp16", "bf16", "int8" or "fp8".
        calibration: speech to measure and judge on; None under fp32.
        partition: regions of the model.
        narrow_front_end: whether the log-mel front end is in float16 too, for GPUs without
            float32 matrix products. Elsewhere it stays in float32: powers of quiet speech are
            smaller than what float16 holds.
    """

    precision: str
    calibration: CalibrationSet | None
    partition: Partition
    narrow_front_end: bool = False


def write_typed(
    typing: Typing,
    traced: Path,
    out: Path,
    work: Path,
    progress: Callable[[str], None] = lambda _: None,
) -> Typed:
    """Type a traced graph and write it.

    Args:
        typing: how.
        traced: float32 graph with the exporter's metadata.
        out: file to write; large weights go beside it.
        work: folder for what is tried, and for the explicit form.
        progress: called with a word per step.

    Raises:
        GateError: a GPU without float32 products would need some.
    """
    progress("typing the graph")
    model = ir.load(traced)
    name_nodes(model)
    tidy(model)
    precision = typing.precision
    record: dict[str, Any] = {"recipe": precision}
    if typing.calibration is None:
        save(model, out, EXTERNAL_DATA_BYTES)
        return Typed(precision, _STORAGE[precision], LIMITS[precision], out, record)
    named = work / "named.onnx"
    save_beside(model, named, traced, EXTERNAL_DATA_BYTES)
    names = float_value_names(model)
    del model
    progress("measuring ranges")
    calibration = typing.calibration
    threads = 1 if precision in _EIGHT else usable_cores()
    with Meter(named, names, work, channels=False, threads=threads) as meter:
        extremes = meter.over(calibration.samples(calibration.fit))
        loud = _louder(extremes, meter, typing)
    explicit = work / "explicit.onnx"
    writer = _Writer(typing, named, extremes, loud, out, explicit)
    in_float16: list[str] = []
    if precision in _EIGHT:
        progress("choosing what is in eight bits")
        in_float16 = _search(writer)
        record |= {"recipe": str(precision), "kept_in_float16": in_float16}
    writer.write(in_float16)
    loudest = sorted(((float(e.largest.max()), n) for n, e in loud.items()), reverse=True)
    record |= {
        "kept_in_float32": writer.kept,
        "loudest": [{"value": n, "magnitude": m} for m, n in loudest[:8]],
        "graph": {"before": describe(traced), "after": describe(out)},
        "calibration": calibration.to_dict(),
    }
    return Typed(precision, _STORAGE[precision], LIMITS[precision], explicit, record)


def _louder(extremes: dict[str, Extremes], meter: Meter, typing: Typing) -> dict[str, Extremes]:
    """Extremes over overdriven speech too: it decides what stays in float32, but sets no scale."""
    if typing.calibration is None or typing.precision == "bf16":
        return extremes
    over = meter.over(loud_speech(typing.calibration))
    return {n: e.joined(over[n]) for n, e in extremes.items()}


@dataclass
class _Writer:
    """Writes typed graphs of one model, and their explicit forms."""

    typing: Typing
    named: Path
    extremes: dict[str, Extremes]
    loud: dict[str, Extremes]
    out: Path
    explicit: Path
    kept: list[str] = field(default_factory=list)

    def write(self, in_float16: Iterable[str]) -> None:
        """Write both forms, with parts of the model left in float16."""
        model = self._typed(in_float16)
        for file in self.out.parent.glob(f"{self.out.name}*"):
            file.unlink()
        save(model, self.out, EXTERNAL_DATA_BYTES)
        self._spell_out(model)

    def try_out(self, in_float16: Iterable[str]) -> Path:
        """Write and return the explicit form alone."""
        self._spell_out(self._typed(in_float16))
        return self.explicit

    def _typed(self, in_float16: Iterable[str]) -> ir.Model:
        model = ir.load(self.named)
        precision = self.typing.precision
        if precision in _EIGHT:
            in_float16 = set(in_float16)
            targets = [t for t in find_targets(model) if t.group not in in_float16]
            insert_qdq(model, targets, self.extremes, _EIGHT[precision])
            check_symmetric(model, self.out.name)
        low = ir.DataType.BFLOAT16 if precision == "bf16" else ir.DataType.FLOAT16
        self.kept = compute_half(model, self.loud, low, self._wide)
        if self.typing.narrow_front_end:
            _check_products(model)
        tidy(model)
        return model

    def _spell_out(self, model: ir.Model) -> None:
        spell_out(model)
        tidy(model)
        save(model, self.explicit, EXTERNAL_DATA_BYTES)
        forget_weights(model)

    def _wide(self, node: ir.Node) -> bool:
        """Nodes that stay in float32 whatever their range is."""
        if self.typing.precision == "bf16" and node.op_type in _NOT_IN_BF16:
            return True
        front = of_front_end(node.name or "")
        return front and not self.typing.narrow_front_end


def _check_products(model: ir.Model) -> None:
    """Refuse float32 products for a GPU that has none, before its builder does in its own words."""
    types = float_types(model)
    offenders = [
        n.name or n.op_type
        for n in model.graph
        if n.op_type in ("MatMul", "Conv", "Gemm") and types.get(n.outputs[0]) == ir.DataType.FLOAT
    ]
    if offenders:
        raise GateError(
            "float16 products of sm75",
            expected="activations that float16 holds everywhere, as it has no float32 products",
            found=f"values beyond {HALF_MAX / HEADROOM:.0f} around {', '.join(offenders[:3])}",
            advice="use an onnx target there, or a model without a log-mel front end",
        )


def _search(writer: _Writer) -> list[str]:
    """Quantise as much as the limits bear; returns the parts to leave in float16.

    Where all of it is too much, every part is quantised alone, and those go back to float16 first
    that do most damage for the multiplications they save; no more of them than the gate on
    precision lets pass. Where that is not enough, everything is quantised, and the gate on
    answers says so. All cores are used: what differs in the last digit is judged the same.
    """
    typing = writer.typing
    calibration = typing.calibration
    assert calibration is not None  # write_typed has asked
    limits = LIMITS[typing.precision]

    def exact(part: Sequence[Utterance]) -> Outputs:
        return answers(open_graph(writer.named, usable_cores()), calibration.samples(part))

    def typed(in_float16: Iterable[str], part: Sequence[Utterance]) -> Outputs:
        return answers(
            open_graph(writer.try_out(in_float16), usable_cores()), calibration.samples(part)
        )

    expected = exact(calibration.judge)

    def passes(in_float16: list[str]) -> bool:
        outputs = typed(in_float16, calibration.judge)
        return not compare(expected, outputs, typing.partition, limits.margin).failures(limits)

    if passes([]):
        return []
    part_of = {t.node.name or "": t.group for t in find_targets(ir.load(writer.named))}
    parts = list(dict.fromkeys(part_of.values()))
    counted = count_multiplications(writer.named, part_of, SECONDS)
    few = calibration.fit[:_RANKING_UTTERANCES]
    exact_outputs = exact(few)
    damage = {}
    for part in parts:
        quantised = typed((p for p in parts if p != part), few)
        damage[part] = compare(exact_outputs, quantised, typing.partition).mean
    worst = sorted(parts, key=lambda p: -damage[p] / (1 + counted.parts.get(p, 0)))

    def attempt(in_float16: Parts) -> Outcome:
        if counted.encoder_share(in_float16) > 1 - MIN_SHARE:
            return Outcome.TOO_LITTLE
        return Outcome.PASSES if passes(list(in_float16)) else Outcome.FAILS

    return list(give_back(worst, attempt, doubling=True) or ())


def write_graphs(job: Lowering) -> tuple[Lowered, Path]:
    """Write the graphs of a bundle: what the engine is built from, and what a CPU runs.

    Args:
        job: with the plan of an engine; its calibration is None under fp32.

    Returns:
        what the manifest says of it, and the graph that the gate has to judge.
    """
    plan = job.plan
    assert plan is not None  # targets.TARGETS says which have an engine
    typing = Typing(plan.precision, job.calibration, job.partition, plan.narrow_front_end)
    typed = write_typed(typing, job.traced, job.folder / plan.graph, job.scratch, job.progress)
    judged = typed.explicit
    if plan.graph != GRAPH:
        judged = job.folder / GRAPH
        save(ir.load(typed.explicit), judged, EXTERNAL_DATA_BYTES)
    record = {} if job.calibration is None else typed.record
    return Lowered(typed.precision, typed.storage, typed.limits, None, record), judged
