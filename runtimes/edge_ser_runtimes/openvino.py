"""OpenVINO on the CPU: the faster runtime for large INT8 models where there is bfloat16."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError, EdgeSerError
from edge_ser.host.cpu import BFLOAT16, integer_preset
from edge_ser.host.finding import Finding
from edge_ser.host.offline import import_openvino
from edge_ser.host.packages import version
from edge_ser.host.survey import Survey
from edge_ser.install import pip_extra
from edge_ser_runtimes.base import BaseSession

# OpenVINO prepares its kernels anew for every length it meets, a tenth of a large model's run.
# Rows are padded to a multiple of this, 0.25 s at 16 kHz, so that there are few lengths to meet.
GRID_SAMPLES = 4000
# Kernels that are kept, of those lengths and numbers of rows that were met last: about enough for
# one row of every length up to 12 s. OpenVINO's own limit is five times that, gigabytes of code.
KEPT_KERNELS = 1000
# Rows of one run: a batch is run in parts of these sizes, so that there are few numbers of rows to
# meet, too. More rows at once than the largest are no faster.
PART_ROWS = (8, 4, 2, 1)


class OpenVinoSession(BaseSession):
    """A bundle in OpenVINO.

    What is not integers is computed in float32, unless the export has proved the bundle in bfloat16
    (`edge-ser export --runtime openvino`): left to itself, OpenVINO computes float32 graphs in
    bfloat16 wherever the processor has it, and says nothing.

    Args:
        bundle: verified model.
        threads: for one run; None: as many as the machine has physical cores.

    Raises:
        MissingExtraError: openvino is not installed.
        LibraryError: it is, and does not load.
        BundleError: OpenVINO cannot load the graph, or would compute it otherwise.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        super().__init__(bundle)
        openvino = import_openvino()
        lowered = bundle.manifest.lowered
        if lowered is not None and lowered.scales_in_the_run:
            raise BundleError(
                bundle.root,
                expected="INT8 with constant scales, as OpenVINO measures them otherwise",
                found=f"recipe {lowered.recipe}",
                advice="use runtime onnx, or export with --runtime openvino",
            )
        _check_processor(bundle)
        core = openvino.Core()
        self.precision = _precision(bundle, core)
        options: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self.precision,
            "CPU_RUNTIME_CACHE_CAPACITY": str(KEPT_KERNELS),
        }
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            # as ONNX, whatever it is: `Core.read_model` would go by what the file looks like
            frontend = openvino.frontend.FrontEndManager().load_by_framework("onnx")
            model = frontend.convert(frontend.load(str(bundle.held_graph_path())))
            bundle.check_unchanged()
            graph_inputs = {i.any_name: i.element_type.get_type_name() for i in model.inputs}
            outputs = {o.any_name for o in model.outputs}
            self.compiled = core.compile_model(model, "CPU", options)
        except EdgeSerError:
            raise
        except Exception as error:  # the binding raises RuntimeError and its own kinds
            bundle.check_unchanged()
            raise BundleError(
                bundle.graph_path,
                expected=f"a graph that OpenVINO {openvino.__version__} can load",
                found=str(error).strip().splitlines()[-1],
                advice="use runtime onnx, or upgrade openvino",
            ) from error
        short = {"float32": "f32", "int64": "i64"}
        expected = {name: short[kind] for name, kind in self._input_types.items()}
        if graph_inputs != expected:
            words = ", ".join(f"{name} {kind}" for name, kind in expected.items())
            raise BundleError(bundle.graph_path, expected=words, found=f"{graph_inputs}")
        missing = set(self._output_names) - outputs
        if missing:
            raise BundleError(
                bundle.graph_path,
                expected=f"outputs {self._output_names}",
                found=f"no {sorted(missing)}",
            )
        self.computation = "openvino" if self.precision == "f32" else "openvino-bf16"
        self._request = self.compiled.create_infer_request()
        self._lock = threading.Lock()

    def _run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        padding = -samples.shape[1] % GRID_SAMPLES
        if padding:
            samples = np.pad(samples, ((0, 0), (0, padding)))
        try:
            with self._lock:  # a request has one place for its answers
                parts = [
                    self._infer(samples[first:last], lengths[first:last])
                    for first, last in part_rows(lengths.size)
                ]
        except Exception as error:  # as above
            self._check_open()  # another thread may have closed it since
            raise BundleError(
                self.bundle.graph_path,
                expected="a graph that runs",
                found=str(error).strip().splitlines()[-1],
                advice="use runtime onnx",
            ) from error
        return Outputs({n: np.concatenate([p[n] for p in parts]) for n in self._output_names})

    def tensors(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        """As `BaseSession.tensors`, unpadded: shapes are those of other runtimes."""
        self._check_open()
        with self._lock:
            return Outputs(self._infer(samples, lengths))

    def _infer(
        self, samples: NDArray[np.float32], lengths: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        results = self._request.infer(self._feed(samples, lengths))
        return {name: results[name].copy() for name in self._output_names}

    def _release(self) -> None:
        with self._lock:  # not while another thread runs
            del self._request, self.compiled


def _check_processor(bundle: Bundle) -> None:
    """Refuse integers on arm64, where OpenVINO's region logits are wrong.

    Off by 2.0 on emulated processors, where x86 is off by 0.17 to 0.53 and the gate allows 1.5.

    Raises:
        BundleError: as said.
    """
    if bundle.manifest.precision == "int8" and integer_preset() == "arm64":
        raise BundleError(
            bundle.root,
            expected="a bundle without integers, which OpenVINO computes wrongly on arm64",
            found=f"target {bundle.manifest.target}",
            advice="use --runtime onnx",
        )


def part_rows(rows: int) -> Iterable[tuple[int, int]]:
    """First row, and the one after the last, of each part that a batch is run in.

    Args:
        rows: of the batch.
    """
    first = 0
    for size in PART_ROWS:
        while rows - first >= size:
            yield first, first + size
            first += size


def _precision(bundle: Bundle, core: Any) -> str:
    """What is not integers is computed in: "bf16" where that was proved and is there, or "f32"."""
    parity = bundle.manifest.parity
    proof = parity.runtimes.get("openvino") if parity is not None else None
    proved = proof.precision if proof is not None else None
    has = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if proved == "bf16" and has else "f32"


def diagnose(survey: Survey) -> Iterable[Finding]:
    """Whether it is installed, and whether the processor has bfloat16.

    Args:
        survey: this machine.
    """
    flags = [f for f in survey.instructions if f in BFLOAT16]
    has = f"bfloat16 ({', '.join(flags)})" if flags else "no bfloat16"
    release = version("openvino")
    if release:
        yield Finding("runtime", "openvino", "ok", f"OpenVINO {release}, processor has {has}")
        return
    if survey.integers == "arm64":
        gain = "which takes no INT8 bundle on arm64"
    else:
        gain = "faster for large INT8 models here" if flags else "faster where there is bfloat16"
    yield Finding(
        "runtime", "openvino", "missing", f"not installed; processor has {has}",
        f"only for --runtime openvino, {gain}: {pip_extra('openvino')}",
    )  # fmt: skip
