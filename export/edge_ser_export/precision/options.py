"""What can be asked about lower precision; nothing here needs the libraries that do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edge_ser.errors import UsageError, unknown_name
from edge_ser.host.cpu import sums_saturate
from edge_ser_export.precision.recipes import CPUS, RECIPES

HalfForm = Literal["weights", "compute"]
HALF_FORMS: tuple[str, ...] = get_args(HalfForm)


@dataclass(frozen=True)
class PrecisionOptions:
    """How precision is lowered.

    Attributes:
        recipe: of INT8: `auto`, `dynamic` or `static`.
        cpu: of INT8: a name in `recipes.CPUS`, or `auto`: what this machine is.
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
        if (
            self.cpu in CPUS
            and CPUS[self.cpu].weight_bits == 8
            and sums_saturate()
            and not self.force
        ):
            raise UsageError(
                f"--cpu {self.cpu}",
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
                raise unknown_name(option, value, known)
