"""ONNX Runtime: on the CPU, or on a GPU through one of its execution providers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_ser.bundle.bundle import Bundle
from edge_ser.emotion.decode import Outputs
from edge_ser.errors import BundleError, EdgeSerError
from edge_ser.host.cpu import usable_cores
from edge_ser.host.offline import import_onnxruntime
from edge_ser_runtimes.base import BaseSession
from edge_ser_runtimes.onnxruntime.arithmetic import warn_of_other_arithmetic
from edge_ser_runtimes.onnxruntime.providers import check_provider, open_graph


class OrtSession(BaseSession):
    """A bundle in ONNX Runtime.

    Args:
        bundle: verified model.
        threads: for one operator; None: as many as the machine has physical cores.
        provider: "cpu" (default), or one that computes on a GPU: a name in `providers.PROVIDERS`.
        rewrites: whether ONNX Runtime may rewrite the graph; otherwise it runs node by node.

    Raises:
        UsageError: no such provider.
        MissingExtraError: onnxruntime or the provider's plugin is not installed.
        LibraryError: it is, and does not load.
        DeviceError: the provider is not in this ONNX Runtime, or does not start here.
        BundleError: ONNX Runtime cannot load the graph.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int | None = None,
        provider: str | None = None,
        rewrites: bool = True,
    ) -> None:
        super().__init__(bundle)
        provider = check_provider(provider)
        if provider == "cpu":
            warn_of_other_arithmetic(bundle)
        ort = import_onnxruntime()
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong comes as an exception, in our words
        # It would keep a plan of its memory for every length that it ever met, without end; a run
        # without one takes a twentieth of a millisecond more.
        options.enable_mem_pattern = False
        if not rewrites:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            if threads > usable_cores():  # or those that wait keep those that work from running
                options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = bundle.graph()
        try:
            self.session = open_graph(ort, graph, options, provider)
            if not isinstance(graph, bytes):
                bundle.check_unchanged()
        except EdgeSerError:
            raise
        except Exception as error:  # the binding's exception classes are not exported
            if "bad_alloc" in str(error):
                raise MemoryError(f"{bundle.graph_path} does not fit into free memory") from error
            if not isinstance(graph, bytes):
                bundle.check_unchanged()
            raise BundleError(
                bundle.graph_path,
                expected=f"a graph that ONNX Runtime {ort.__version__} can load",
                found=str(error).splitlines()[0],
                advice="upgrade onnxruntime, or export again",
            ) from error
        types = {"tensor(float)": "float32", "tensor(int64)": "int64"}
        graph_inputs = {i.name: types.get(i.type, i.type) for i in self.session.get_inputs()}
        if graph_inputs != self._input_types:
            raise BundleError(
                bundle.graph_path, expected=self._expected_inputs(), found=f"{graph_inputs}"
            )
        missing = set(self._output_names) - {o.name for o in self.session.get_outputs()}
        if missing:
            raise BundleError(
                bundle.graph_path,
                expected=f"outputs {self._output_names}",
                found=f"no {sorted(missing)}",
            )

    def _run(self, samples: NDArray[np.float32], lengths: NDArray[np.int64]) -> Outputs:
        try:
            values = self.session.run(self._output_names, self._feed(samples, lengths))
        except Exception as error:  # the binding's exception classes are not exported
            self._check_open()  # another thread may have closed it since
            raise BundleError(
                self.bundle.graph_path,
                expected="a graph that runs",
                found=str(error),
                advice="export again",
            ) from error
        return Outputs(dict(zip(self._output_names, values, strict=True)))

    def _release(self) -> None:
        del self.session
