"""The manifest's record of a TensorRT engine: what it is for, and what is known about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from edge_ser.errors import UsageError

# The module that builds and runs an engine: TensorRT for RTX, or TensorRT itself.
BackendName = Literal["rtx", "tensorrt"]


@dataclass(frozen=True)
class Profile:
    """Least, most common and largest input of an engine.

    Attributes:
        batch: rows: least, most common, largest.
        samples: of a row, after padding: least, most common, largest.

    Raises:
        UsageError: sizes below 1, or not in ascending order.
    """

    batch: tuple[int, int, int]
    samples: tuple[int, int, int]

    def __post_init__(self) -> None:
        for name, sizes in (("batch", self.batch), ("samples", self.samples)):
            if sizes[0] < 1 or list(sizes) != sorted(sizes):
                raise UsageError(
                    name, expected="[least, most common, largest], from 1 on", found=f"{sizes}"
                )

    def shapes(self, name: str) -> tuple[tuple[int, ...], ...]:
        """Least, most common and largest shape of an input."""
        if name == "lengths":
            return tuple((b,) for b in self.batch)
        return tuple(zip(self.batch, self.samples, strict=True))

    def __str__(self) -> str:
        sizes = zip(self.batch, self.samples, strict=True)
        return ":".join(f"{b}x{n / 16000:g}s" for b, n in sizes)


@dataclass(frozen=True)
class EngineTensor:
    """An input or output of an engine: its name, numpy's name of its type, "input" or "output"."""

    name: str
    dtype: str
    mode: str


@dataclass(frozen=True)
class Census:
    """Layers and multiplications of a network by precision.

    Attributes:
        layers: number of layers by type of their outputs.
        encoder: share of the encoder's multiply-accumulates by precision.
        everything: the same of the whole model.
        share: of the encoder's, in the precision asked for.
        elsewhere: layers of the encoder that multiply otherwise, the largest first.
        macs: multiply-accumulates of the whole model for `seconds` of speech.
        seconds: of the utterance that was counted for.
        fused_attention: kernels of fused attention that the plan seems to name, for all its GPUs
            together; None: not built. A guess from an undocumented format: no gate depends on it.
    """

    layers: dict[str, int] = field(default_factory=dict)
    encoder: dict[str, float] = field(default_factory=dict)
    everything: dict[str, float] = field(default_factory=dict)
    share: float = 0.0
    elsewhere: tuple[str, ...] = ()
    macs: int = 0
    seconds: float = 5.0
    fused_attention: int | None = None


@dataclass(frozen=True)
class Engine:
    """An engine, or what one is still to be built from.

    Attributes:
        file: path of the engine; "" in a build bundle, whose device has yet to build it.
        graph: path of the precision-typed ONNX file that it is built from.
        graph_sha256: of that file and its weights.
        backend: module that builds and runs it.
        version: of the module that built it; "" before.
        precision: of the computation.
        sm: compute capabilities that it is for, such as `sm86`.
        device: their names by the user.
        profiles: batches and lengths that it is for.
        io: tensors of the network.
        build_seconds: that parsing and building took.
        weight_bytes: of its weights on the device; 0: not told.
        activation_bytes: on the device at the largest shapes; 0: not told.
        census: what its network computes in which precision; as made by `Census()`: not taken.
        share: of the encoder's multiplications, in the precision asked for.
        verified: whether it gave the recorded answers on its device.

    Raises:
        UsageError: no compute capability, or no profile.
    """

    file: str
    graph: str
    graph_sha256: str
    backend: BackendName
    version: str
    precision: str
    sm: tuple[str, ...]
    device: str
    profiles: tuple[Profile, ...]
    io: tuple[EngineTensor, ...]
    build_seconds: float
    weight_bytes: int
    activation_bytes: int
    census: Census
    share: float
    verified: bool

    def __post_init__(self) -> None:
        if not self.sm:
            raise UsageError("sm", expected="names such as sm86", found="none")
        if not self.profiles:
            raise UsageError("profiles", expected="at least one", found="none")

    @property
    def made_for(self) -> str:
        """The GPUs, for people."""
        return f"{self.device} ({', '.join(self.sm)})"

    @property
    def library(self) -> str:
        """Name of what builds and runs it, for people."""
        return "TensorRT for RTX" if self.backend == "rtx" else "TensorRT"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data; a census that was not taken is empty."""
        return asdict(self) | ({} if self.census != Census() else {"census": {}})
