"""Parts of a manifest: an engine, and any part from the JSON that a bundle holds of it."""

from typing import Any, TypeVar

from edge_ser.bundle.engine import Census, Engine, Profile
from edge_ser.errors import BundleError
from edge_ser.typed_json import Reader

T = TypeVar("T")

ENGINE = Engine(
    file="a.engine",
    graph="model.onnx",
    graph_sha256="0" * 64,
    backend="rtx",
    version="1.7.1",
    precision="fp16",
    sm=("sm86",),
    device="rtx-3060",
    profiles=(Profile((1, 1, 4), (800, 16_000, 48_000)),),
    io=(),
    build_seconds=1.0,
    weight_bytes=0,
    activation_bytes=0,
    census=Census(),
    share=1.0,
    verified=False,
)


def part(kind: type[T], data: dict[str, Any]) -> T:
    return Reader(BundleError).read(kind, data, kind.__name__)
