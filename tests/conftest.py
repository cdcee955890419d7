import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.signals import make_syllables
from hypothesis import settings
from numpy.typing import NDArray

import edge_ser
from edge_ser.bundle.bundle import Bundle
from edge_ser.bundle.golden import Golden
from edge_ser.bundle.manifest import Manifest, TensorSpec
from edge_ser.bundle.writing import seal
from edge_ser.data import DEFAULT_BUNDLE, sample_utterances
from edge_ser.emotion.decode import Outputs
from edge_ser.host.cpu import usable_cores

# of tests that import ONNX Runtime themselves
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# Properties are tried on the same examples in every run; EDGE_SER_PROPERTIES=long draws new ones, a
# hundred times as many.
settings.register_profile("ci", derandomize=True, max_examples=40, deadline=None, database=None)
settings.register_profile("long", max_examples=4000, deadline=None, print_blob=True, database=None)
settings.load_profile(os.environ.get("EDGE_SER_PROPERTIES", "ci"))

Change = Callable[[dict[str, Any]], None]


def pytest_configure(config: pytest.Config) -> None:
    """Several processes share the cores; each would otherwise start threads for all of them."""
    processes = config.getoption("numprocesses", None)
    if processes:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // processes)))


@pytest.fixture(scope="module")
def traced_once() -> Iterator[None]:
    """Exports of one model share its trace, which takes longest; `trace` itself has own tests."""
    from helpers.trace_once import trace_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge_ser_export.shared.trace", trace_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered of engines that tests build is not the user's."""
    folder = str(tmp_path_factory.mktemp("state"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_STATE_HOME", "LOCALAPPDATA"):
            patch.setenv(name, folder)
        yield


@pytest.fixture(scope="session")
def ser() -> edge_ser.Recognizer:
    """The default model."""
    return edge_ser.load(threads=1)


@pytest.fixture(scope="session")
def utterances() -> list[Path]:
    """The sample utterances of the package."""
    files = sample_utterances()
    assert len(files) >= 2
    return files


@pytest.fixture
def noise() -> NDArray[np.float32]:
    """One second at 16 kHz, which no detector of speech refuses."""
    return make_syllables(1, 16_000, seed=3)


@pytest.fixture
def bundle_dir(tmp_path: Path) -> Path:
    """A copy of the default bundle, to be spoilt."""
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


@pytest.fixture
def edit_manifest() -> Callable[[Path, Change], None]:
    """Change the manifest of a bundle as JSON, without sealing it again."""

    def edit(bundle: Path, change: Change) -> None:
        path = bundle / "manifest.json"
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")

    return edit


@pytest.fixture(scope="session")
def zip_bundle() -> Callable[..., Path]:
    """Pack a bundle's directory, below `prefix` and after `extra` entries, into a zip."""

    def pack(
        folder: Path, path: Path, prefix: str = "", extra: Iterable[tuple[str, bytes]] = ()
    ) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in extra:
                archive.writestr(name, data)
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                archive.write(file, prefix + file.relative_to(folder).as_posix())
        return path

    return pack


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Build a small sealed bundle: vad = mean of samples * weights, 8 logits of the same mean."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    template = Bundle.open(DEFAULT_BUNDLE).manifest

    def build(
        name: str = "tiny",
        *,
        location: str | None = None,
        weights: NDArray[np.float32] | None = None,
        inputs: tuple[str, str] = ("samples", "lengths"),
        sample_type: int = TensorProto.FLOAT,
        graph: str = "model.onnx",
        change: Callable[[Manifest], Manifest] = lambda m: m,
    ) -> Path:
        """`location` puts the weights into that external file, which is written inside only."""
        folder = tmp_path / name
        (folder / graph).parent.mkdir(parents=True)
        w = np.array([[0.1, 0.2, 0.3]], np.float32) if weights is None else weights
        tensor = numpy_helper.from_array(w, "w")
        if location is not None:
            inside = (folder / graph).parent / location
            if inside.resolve().is_relative_to(folder.resolve()):
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.write_bytes(w.tobytes())
            onnx.external_data_helper.set_external_data(tensor, location)
            tensor.ClearField("raw_data")
        dtype = helper.tensor_dtype_to_np_dtype(sample_type)
        model = helper.make_model(
            helper.make_graph(
                [
                    helper.make_node("ReduceMean", [inputs[0], "axes"], ["m0"], keepdims=1),
                    helper.make_node("Cast", ["m0"], ["m"], to=TensorProto.FLOAT),
                    helper.make_node("Mul", ["m", "w"], ["vad"]),
                    helper.make_node("Cast", [inputs[1]], ["l"], to=TensorProto.FLOAT),
                    helper.make_node("Mul", ["m", "ramp"], ["region_logits"]),
                ],
                "tiny",
                [
                    helper.make_tensor_value_info(inputs[0], sample_type, ["batch", "n"]),
                    helper.make_tensor_value_info(inputs[1], TensorProto.INT64, ["batch"]),
                ],
                [
                    helper.make_tensor_value_info("vad", TensorProto.FLOAT, ["batch", w.shape[1]]),
                    helper.make_tensor_value_info("region_logits", TensorProto.FLOAT, ["batch", 8]),
                ],
                [
                    tensor,
                    numpy_helper.from_array(np.array([1], np.int64), "axes"),
                    numpy_helper.from_array(np.arange(8, dtype=np.float32)[None], "ramp"),
                ],
            ),
            opset_imports=[helper.make_opsetid("", 18)],
            ir_version=9,
        )
        (folder / graph).write_bytes(model.SerializeToString())
        one = np.full(1600, 3277, np.int16)
        zeros = Outputs.of(np.zeros((1, 3), np.float32), np.zeros((1, 8), np.float32))
        Golden(["one"], [one], zeros).save(folder / "golden.npz")
        manifest = replace(
            template,
            name="tiny",
            graph=graph,
            inputs=(
                TensorSpec("samples", str(dtype), ("batch", "n")),
                TensorSpec("lengths", "int64", ("batch",)),
            ),
        )
        seal(folder, change(manifest))
        return folder

    return build
