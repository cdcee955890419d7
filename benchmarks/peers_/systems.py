"""What runs in the peers' environments. Each function imports only what its environment has.

`build` functions run in a process that ends, as exporting takes more memory than running. `load`
functions return what runs one utterance, and give its scores where the weights are the model's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_ser.host.offline import import_nncf, import_onnxruntime, import_openvino

Run = Callable[[], Any]
THREADS = 1


def _samples(arguments: dict[str, Any]) -> Any:
    return np.load(arguments["samples"])  # [1, n] float32, normalised


# --- ONNX Runtime, as used directly


def _options(ort: Any) -> Any:
    """Those that edge-ser sets."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    return options


def load_onnx(arguments: dict[str, Any]) -> Run:
    """A graph in ONNX Runtime, with the options that edge-ser sets."""
    ort = import_onnxruntime()
    session = ort.InferenceSession(
        arguments["graph"], _options(ort), providers=["CPUExecutionProvider"]
    )
    samples = _samples(arguments)
    inputs = {session.get_inputs()[0].name: samples}
    if len(session.get_inputs()) > 1:
        inputs["lengths"] = np.array([samples.shape[1]])
    return lambda: session.run(None, inputs)[0]


def build_stock(arguments: dict[str, Any]) -> None:
    """`quantize_dynamic` of ONNX Runtime, as its documentation shows it."""
    quantization = import_onnxruntime("onnxruntime.quantization")

    quantization.quantize_dynamic(
        arguments["graph"], arguments["out"], weight_type=quantization.QuantType.QInt8,
        nodes_to_exclude=arguments["kept"], use_external_data_format=arguments["big"],
    )  # fmt: skip


# --- PyTorch


def load_eager(arguments: dict[str, Any]) -> Run:
    """The checkpoint in PyTorch, with Transformers' own encoder."""
    return _torch(arguments, lambda model: model)


def load_compiled(arguments: dict[str, Any]) -> Run:
    """The same through `torch.compile`, for this length alone."""
    import torch

    return _torch(arguments, torch.compile)


def _torch(arguments: dict[str, Any], wrap: Callable[[Any], Any]) -> Run:
    import torch

    from edge_ser_export.checkpoints.load import load_checkpoint

    torch.set_num_threads(THREADS)
    model = wrap(load_checkpoint(arguments["checkpoint"]).model.eval())
    samples = torch.from_numpy(_samples(arguments))
    lengths = torch.tensor([samples.shape[1]])

    def run() -> Any:
        with torch.inference_mode():
            return model(samples, lengths)[0].numpy()

    return run


# --- Optimum


def build_optimum(arguments: dict[str, Any]) -> None:
    """The encoder through Optimum's exporter."""
    from optimum.exporters.onnx import main_export

    main_export(
        arguments["encoder"], output=Path(arguments["out"]), task="feature-extraction",
        do_validation=False,
    )  # fmt: skip


def build_optimum_int8(arguments: dict[str, Any]) -> dict[str, Any]:
    """Optimum's dynamic quantizer with its preset for AVX-512 VNNI on what it exported.

    Where the preset fails, as at convolutions whose weights are computed in the graph, its products
    of matrices alone are quantised, and a note says so.
    """
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    out = Path(arguments["out"])

    def quantize(**options: Any) -> None:
        preset = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False, **options)
        ORTQuantizer.from_pretrained(out, file_name="model.onnx").quantize(
            save_dir=out, quantization_config=preset, use_external_data_format=arguments["big"]
        )

    try:
        quantize()
    except ValueError as error:
        quantize(operators_to_quantize=["MatMul"])
        return {"note": "encoder only; the preset fails, so MatMul alone", "preset": str(error)}
    return {}


# --- OpenVINO


def build_openvino(arguments: dict[str, Any]) -> None:
    """NNCF's post-training quantisation of the float32 graph, with the same calibration speech."""
    openvino, nncf = import_openvino(), import_nncf()
    nncf.set_log_level(40)
    with np.load(arguments["calibration"]) as archive:
        rows = [
            {"samples": archive[name][None], "lengths": np.array([archive[name].size])}
            for name in archive.files
        ]
    quantized = nncf.quantize(
        openvino.Core().read_model(arguments["graph"]),
        nncf.Dataset(rows),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(rows),
        ignored_scope=nncf.IgnoredScope(names=arguments["kept"]),
    )
    openvino.save_model(quantized, arguments["out"], compress_to_fp16=False)


def load_openvino(arguments: dict[str, Any]) -> Run:
    """A model of OpenVINO's, compiled for latency."""
    openvino = import_openvino()

    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(arguments["graph"]),
        "CPU",
        {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"},
    )
    request = compiled.create_infer_request()
    samples = _samples(arguments)
    inputs = {"samples": samples, "lengths": np.array([samples.shape[1]])}
    return lambda: request.infer(inputs)["vad"]


# --- audonnx


def build_audonnx(arguments: dict[str, Any]) -> None:
    """The float32 graph with a batch of one: audonnx takes one dynamic dimension a tensor."""
    import onnx

    utilities = import_onnxruntime("onnxruntime.tools.onnx_model_utils")

    model = onnx.load(arguments["graph"], load_external_data=False)  # weights stay where they are
    utilities.make_dim_param_fixed(model.graph, "batch", 1)
    onnx.save(model, arguments["out"])


def load_audonnx(arguments: dict[str, Any]) -> Run:
    """The float32 graph in audonnx, from the signal."""
    import audonnx

    options = _options(import_onnxruntime())
    model = audonnx.Model(arguments["graph"], device="cpu", session_options=options)
    samples = _samples(arguments)
    inputs = {"samples": samples, "lengths": np.array([samples.shape[1]])}
    return lambda: model(inputs, 16_000, outputs="vad")


# --- the tiny class


def build_tiny(arguments: dict[str, Any]) -> dict[str, Any]:
    """Export an architecture with random weights to ONNX, for this length."""
    import torch

    from peers_.tiny import MODELS

    torch.manual_seed(0)
    model = MODELS[arguments["model"]]().eval()
    samples = torch.from_numpy(_samples(arguments))
    with torch.inference_mode():
        expected = model(samples).numpy()
    with contextlib.redirect_stdout(None):
        torch.onnx.export(
            model, (samples,), arguments["out"], dynamo=True, external_data=False, verbose=False
        )
    found = load_onnx({**arguments, "graph": arguments["out"]})()
    difference = float(np.abs(found - expected).max())
    if not difference < 1e-3:
        raise RuntimeError(f"the exported graph differs from the module by {difference}")
    return {"parameters": sum(p.numel() for p in model.parameters())}
