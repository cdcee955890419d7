"""The systems that stand side by side: ours, PyTorch's, and what a user would pick instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import int8_speed
import numpy as np
import onnx

from edge_ser.bench.speech import speech
from edge_ser.session import pad_batch
from edge_ser_export.graph.rewrite import store_half, strip_metadata
from edge_ser_export.precision.recipes import Recipe
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES
from peers_.environments import Environment
from peers_.link import build

# length of the utterance that is timed
SECONDS = 5.0
# utterances that ranges are measured on, the same for everybody who does; random weights have no
# answers to preserve, and a few will do
CALIBRATION = {"default": 8, "wavlm-base": 4, "wavlm-large": 4}


@dataclass(frozen=True)
class Peer:
    """A system of the comparison.

    Attributes:
        name: in the table.
        environment: key of `ENVIRONMENTS`, to run in.
        load: function of `peers_.systems`.
        arguments: of `load`, beside the samples.
        files: whose sizes are the model's on disk.
        prepare: builds those files; returns facts.
        note: what a reader must know.
        other_model: whether its weights are not the model's.
        refused: why this peer has no answer for the model; "" where it has.
        made_in: environment to build the files in; "": the one that they run in.
    """

    name: str
    environment: str
    load: str
    arguments: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()
    prepare: Callable[[Environment], dict[str, Any]] | None = None
    note: str = ""
    other_model: bool = False
    refused: str = ""
    made_in: str = ""


def peers_of(size: str, work: Path, samples: Path) -> list[Peer]:
    """Graphs of a size, and every system that runs them or something like them.

    Args:
        size: key of `CALIBRATION`.
        work: for files.
        samples: normalised speech that is written here, `[1, n]` as `.npy`.
    """
    built = int8_speed.build(size, work, CALIBRATION[size])
    preprocessing = built.checkpoint.config.preprocessing()
    x = preprocessing.normalize(speech(SECONDS, preprocessing.sample_rate))
    np.save(samples, pad_batch([x])[0])
    rows = built.calibration.samples(built.calibration.fit)
    calibration = work / "calibration.npz"
    np.savez(calibration, **{f"row{i:03}": row for i, row in enumerate(rows)})
    ours = {}
    for scores in (False, True):
        recipe = Recipe("static", scores, False, built.kept)
        ours[scores] = built.quantizer.build(recipe, work / f"ours-{scores}.onnx")
    clean = work / "clean.onnx"
    big = _without_notes(built.plain, clean)
    for graph in (built.graph, *ours.values()):
        _finish(graph)
    log = work / "messages.log"
    single, optimum = work / "single.onnx", work / "optimum"
    weights = (
        [Path(f) for f in sorted(Path(built.source).glob("best_*.pt"))]
        if size != "default" else [_builtin(built.source)]
    )  # fmt: skip

    def builder(function: str, **arguments: Any) -> Callable[[Environment], dict[str, Any]]:
        return lambda environment: build(
            environment.python, log, function, {**arguments, "samples": str(samples)}
        )

    checkpoint = {"checkpoint": built.source}
    peers = [
        Peer("PyTorch eager", "torch", "load_eager", checkpoint, tuple(weights)),
        Peer("PyTorch torch.compile", "torch", "load_compiled", checkpoint, tuple(weights)),
        Peer("edge-ser fp32", "edge-ser", "load_onnx", {"graph": str(built.graph)}, (built.graph,)),
        Peer("edge-ser INT8", "edge-ser", "load_onnx", {"graph": str(ours[False])}, (ours[False],)),
        Peer("edge-ser INT8 with integer attention", "edge-ser", "load_onnx",
             {"graph": str(ours[True])}, (ours[True],)),
        Peer("edge-ser INT8 in OpenVINO", "openvino", "load_openvino",
             {"graph": str(ours[False])}, (ours[False],)),
        Peer("audonnx fp32", "audonnx", "load_audonnx", {"graph": str(single)}, (built.graph,),
             builder("build_audonnx", graph=str(built.graph), out=str(single))),
    ]  # fmt: skip
    front = _front_end(clean)
    for kept in [[], front] if front else [[]]:
        rest = " except log-mel" if kept else ""
        stem = "kept" if kept else "stock"
        stock, xml = work / f"{stem}.onnx", work / f"{stem}.xml"
        peers += [
            Peer(f"ONNX Runtime's own dynamic INT8{rest}", "edge-ser", "load_onnx",
                 {"graph": str(stock)}, (stock,),
                 builder("build_stock", graph=str(clean), out=str(stock), big=big, kept=kept),
                 made_in="optimum"),
            Peer(f"OpenVINO + NNCF INT8{rest}", "openvino", "load_openvino", {"graph": str(xml)},
                 (xml, xml.with_suffix(".bin")),
                 builder("build_openvino", graph=str(clean), out=str(xml), kept=kept,
                         calibration=str(calibration))),
        ]  # fmt: skip
    return [*peers, *_optimum(size, built, optimum, big, builder), *_tiny(size, work, builder)]


def _optimum(size: str, built: int8_speed.Built, out: Path, big: bool, builder: Any) -> list[Peer]:
    """The encoder as Optimum exports it; it knows no pooling and no heads of ours."""
    if size == "default":
        reason = "no export: Optimum knows architectures of Transformers only"
        return [Peer("Optimum", "optimum", "load_onnx", refused=reason)]
    encoder = out.with_name("encoder")
    built.checkpoint.model.encoder.model.save_pretrained(encoder)
    return [
        Peer(f"Optimum {kind}", "optimum", "load_onnx", {"graph": str(out / file)}, (out / file,),
             builder(function, encoder=str(encoder), out=str(out), big=big), "encoder only",
             other_model=True)
        for kind, file, function in (("fp32", "model.onnx", "build_optimum"),
                                     ("INT8", "model_quantized.onnx", "build_optimum_int8"))
    ]  # fmt: skip


def _tiny(size: str, work: Path, builder: Any) -> list[Peer]:
    """Other architectures of the default model's class."""
    if size != "default":
        return []
    return [
        Peer(f"{label} fp32 in ONNX Runtime", "edge-ser", "load_onnx", {"graph": str(path)},
             (path,), builder("build_tiny", model=model, out=str(path)),
             "other model, random weights", other_model=True, made_in="timm")
        for label, model in (("Wav2Small", "wav2small"), ("MobileNetV4-small", "mobilenetv4"))
        if (path := work / f"{model}.onnx")
    ]  # fmt: skip


def _front_end(graph: Path) -> list[str]:
    """Names of the products of the log-mel front end, which our recipes leave in float32, too."""
    nodes = onnx.load(graph, load_external_data=False).graph.node
    return [n.name for n in nodes if n.op_type == "MatMul" and any("log_mel" in i for i in n.input)]


def _without_notes(graph: Path, out: Path) -> bool:
    """Copy a graph without the exporter's notes, at which stock shape inference stops."""
    model = onnx.load(graph)
    strip_metadata(model)
    big = bool(model.ByteSize() > EXTERNAL_DATA_BYTES)
    onnx.save(model, out, save_as_external_data=big, location=f"{out.name}.data")
    return big


def _finish(graph: Path) -> None:
    """Write a graph as a bundle holds it: without notes, and as small as the weights allow."""
    model = onnx.load(graph, load_external_data=False)  # weights stay where they are
    strip_metadata(model)
    store_half(model)
    onnx.save(model, graph)


def _builtin(name: str) -> Path:
    from edge_ser_export.builtin import find_checkpoint

    return find_checkpoint(name)
