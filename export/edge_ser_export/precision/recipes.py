"""How a graph can be quantised, and for which processors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edge_ser.errors import UsageError
from edge_ser.host.cpu import integer_preset

RecipeName = Literal["auto", "dynamic", "static"]
RECIPES: tuple[str, ...] = get_args(RecipeName)


@dataclass(frozen=True)
class Cpu:
    """What a bundle's integers are made for.

    Attributes:
        name: for the command line.
        weight_bits: 7 where the processor adds pairs of products in 16 bits that saturate.
        instructions: that were in mind.
    """

    name: str
    weight_bits: int
    instructions: str


# The two weight widths are those of Optimum's AutoQuantizationConfig (avx512_vnni, arm64: 8 bits;
# avx2, avx512: reduced range).
CPUS = {
    c.name: c
    for c in (
        Cpu("x86-vnni", 8, "AVX-512 VNNI or AVX-VNNI"),
        Cpu("x86", 7, "AVX2 or AVX-512 without VNNI"),
        Cpu("arm64", 8, "ARMv8.2 dot product or i8mm"),
    )
}


def find_cpu(name: str) -> Cpu:
    """The processor to make integers for: one of `CPUS`, or for "auto" this machine's kind.

    Raises:
        UsageError: "auto" where nothing tells what this machine's processor can do.
    """
    if name != "auto":
        return CPUS[name]
    preset = integer_preset()
    if preset is None:
        raise UsageError(
            "--cpu auto",
            expected="a system that tells what its processor can do, as Linux in /proc/cpuinfo",
            found="none of that here",
            advice="name the device's processor: --cpu x86-vnni, --cpu arm64, or --cpu x86, "
            "which holds on every x86",
        )
    return CPUS[preset]


@dataclass(frozen=True)
class Recipe:
    """How a graph is quantised.

    Attributes:
        name: "dynamic": every run measures its activations; "static": scales are constants.
        scores: whether attention's own products are integers too.
        migrated: whether range was moved from activations into weights.
        kept: parts that stay in float32, in the order they were given up.
    """

    name: str
    scores: bool = True
    migrated: bool = False
    kept: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [self.name, *(["migrated"] if self.migrated else [])]
        words += [] if self.scores else ["attention scores in float32"]
        return ", ".join([*words, *(f"{k} in float32" for k in self.kept)])

    @property
    def scales_in_the_run(self) -> bool:
        """Whether every run measures its activations."""
        return self.name == "dynamic"

    @property
    def max_batch(self) -> int | None:
        """Rows that may share a run; None: any number.

        Scales that are measured in the run are measured on the whole batch: a loud neighbour would
        change a quiet row's answer.
        """
        return 1 if self.scales_in_the_run else None

    def chosen(self, group: str) -> bool:
        """Whether a part of the model is quantised."""
        return group not in self.kept and (self.scores or not group.endswith(" scores"))
