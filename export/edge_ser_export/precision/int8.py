"""INT8: which products become integers is decided by measurement.

Recipes are tried, each is judged by the gate's limits on utterances that ranges were not measured
on, then by the gate itself, and the fastest that passes is kept. Where a recipe fails, the parts of
the model are quantised one at a time, ranked by the damage they do, and the worst stay in float32
until the gate holds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edge_ser.emotion.sphere import Partition
from edge_ser.errors import GateError, unknown_name
from edge_ser.fidelity.compare import Fidelity, compare
from edge_ser.fidelity.limits import Limits
from edge_ser_export.calibration.draw import ENOUGH_CLIPS, CalibrationSet
from edge_ser_export.calibration.ranges import measure, migration_factors
from edge_ser_export.graph.integers import Extremes, Scheme, quantize_products
from edge_ser_export.graph.products import find_products
from edge_ser_export.graph.rewrite import save, tidy
from edge_ser_export.graph.run import (
    Share,
    answers,
    answers_in_pairs,
    open_graph,
    share_of,
)
from edge_ser_export.memory import forget_weights
from edge_ser_export.precision.job import Gate
from edge_ser_export.precision.pace import Pace
from edge_ser_export.precision.recipes import RECIPES, Cpu, Recipe
from edge_ser_export.precision.search import Outcome, Parts, count_multiplications, give_back
from edge_ser_export.proof.speed import SAME_SPEED, Speed, graph_speed
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES

_log = logging.getLogger(__name__)
# Less of the encoder's arithmetic in integers, and "INT8" would be the wrong name.
MIN_INTEGER_SHARE = 0.95
# Length of the utterance that shares and times are taken for.
SPEECH_SECONDS = 5.0
# Of the calibration utterances, enough to rank parts of a model by.
_RANKING_UTTERANCES = 8


@dataclass(frozen=True)
class Trial:
    """A quantised graph and what was found about it.

    Attributes:
        recipe: that made it.
        bytes: size of the graph with its weights.
        fidelity: on the utterances to judge on, run one by one.
        padded: the same utterances in the batches that the recipe allows, of two if any.
        failures: broken limits, in words; those of the gate only where all others hold.
        share: of the arithmetic in integers.
        speed: against the float32 graph; None: not timed, as it failed.
    """

    recipe: Recipe
    bytes: int
    fidelity: Fidelity
    padded: Fidelity
    failures: tuple[str, ...]
    share: Share
    speed: Speed | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {
            "recipe": str(self.recipe),
            "scales": "run" if self.recipe.scales_in_the_run else "constant",
            "kept_in_float32": list(self.recipe.kept),
            "bytes": self.bytes,
            "passed": not self.failures,
            "failures": list(self.failures),
            "integer_share": self.share.to_dict(),
            "speed": None if self.speed is None else self.speed.to_dict(),
            "ccc": self.fidelity.ccc,
            "angle_mean_degrees": self.fidelity.angle_mean_degrees,
            "vad_p99": self.fidelity.p99,
            "vad_max": self.fidelity.largest,
            "vad_max_padded": self.padded.largest,
        }


@dataclass(frozen=True)
class Damage:
    """What quantising one part of the model alone does to what it answers on 0..1."""

    name: str
    mean: float
    p99: float
    flips: int
    macs: int


class Quantizer:
    """Makes and judges INT8 graphs of one model.

    Args:
        optimized: the model's graph after `optimize_for_cpu`, in float32.
        baseline: the float32 graph that a candidate has to agree with, and to be faster than.
        calibration: utterances to measure ranges on, and others to judge on.
        partition: regions of the model.
        limits: of the gate.
        work: folder for candidates.
        cpu: what the integers are made for.
        progress: called with a word per step.
        gate: what else a graph has to pass; it hears more than the calibration's speech.
    """

    def __init__(
        self,
        optimized: Path,
        baseline: Path,
        calibration: CalibrationSet,
        partition: Partition,
        limits: Limits,
        work: Path,
        cpu: Cpu,
        progress: Callable[[str], None] = lambda _: None,
        gate: Gate = lambda _, __: [],
    ) -> None:
        self.optimized, self.baseline, self.work = optimized, baseline, work
        self.calibration, self.partition, self.limits = calibration, partition, limits
        self.cpu, self.progress, self.gate = cpu, progress, gate
        self.trials: list[Trial] = []
        self.damages: list[Damage] = []
        products = find_products(ir.load(optimized))
        self.groups = list(dict.fromkeys(p.group for p in products))
        self._extremes: dict[str, Extremes] | None = None
        self._giving_back: Pace | None = None
        session = open_graph(baseline)
        self.expected = answers(session, calibration.samples(calibration.judge))

    def search(self, name: str = "auto") -> tuple[Path, Trial]:
        """The fastest recipe that passes; within the noise, one whose rows may share a run.

        Args:
            name: one of `RECIPES`.

        Raises:
            UsageError: no such recipe.
            GateError: none passes, whatever is left in float32.
        """
        if name not in RECIPES:
            raise unknown_name("--recipe", name, RECIPES)
        names = ("dynamic", "static") if name == "auto" else (name,)
        best: tuple[Path, Trial] | None = None
        for recipe in [Recipe(n, scores) for n in names for scores in (False, True)]:
            passing = self._repair(recipe)
            if passing is None:
                continue
            path, trial = passing
            self.progress(f"timing: {trial.recipe}")
            speed = graph_speed(self.baseline, path, SPEECH_SECONDS)
            trial = replace(trial, speed=speed)
            _log.debug("%s: %.2f times float32", trial.recipe, speed.speedup)
            self.trials[-1] = trial
            if best is None or _worth(trial) > _worth(best[1]):
                best = path, trial
        if best is None:
            raise self._none_passes(name)
        return best

    def build(self, recipe: Recipe, path: Path, only: str | None = None) -> Path:
        """Write a quantised graph.

        Args:
            recipe: how.
            path: of the file.
            only: quantise this part alone.
        """
        model = ir.load(self.optimized)
        static = recipe.name == "static"
        extremes = self._measured() if static or recipe.migrated else None
        factors = {}
        if recipe.migrated and extremes is not None:
            chosen = [p for p in find_products(model) if recipe.chosen(p.group)]
            factors = migration_factors(chosen, extremes)
        scheme = Scheme(extremes if static else None, factors, self.cpu.weight_bits)
        quantize_products(model, lambda g: recipe.chosen(g) if only is None else g == only, scheme)
        tidy(model)
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        save(model, path, EXTERNAL_DATA_BYTES)
        forget_weights(model)
        return path

    def judge(self, path: Path, recipe: Recipe) -> tuple[Fidelity, Fidelity]:
        """How far a graph is from the baseline on the utterances to judge on: alone, in batches."""
        session = open_graph(path)
        judged = self.calibration.judge
        runs = (answers, answers if recipe.max_batch == 1 else answers_in_pairs)
        given = [run(session, self.calibration.samples(judged)) for run in runs]
        alone, batches = (
            compare(self.expected, g, self.partition, self.limits.margin) for g in given
        )
        return alone, batches

    def rank(self, recipe: Recipe) -> list[Damage]:
        """Parts of the model by the damage that quantising each alone does, worst first."""
        if self.damages:
            return self.damages
        some = self.calibration.fit[:_RANKING_UTTERANCES]
        expected = answers(open_graph(self.baseline), self.calibration.samples(some))
        part_of = {p.node.name or "": p.group for p in find_products(ir.load(self.optimized))}
        macs = count_multiplications(self.optimized, part_of, SPEECH_SECONDS).parts
        damages = []
        pace = Pace(len(self.groups))
        for group in self.groups:
            self.progress(f"sensitivity of {pace.next()}: {group}")
            path = self.build(replace(recipe, kept=(), scores=True), self.work / "one.onnx", group)
            given = answers(open_graph(path), self.calibration.samples(some))
            result = compare(expected, given, self.partition)
            damages.append(
                Damage(group, result.mean, result.p99, result.changed, macs.get(group, 0))
            )
        self.damages = sorted(damages, key=lambda d: (-d.p99, -d.mean))
        return self.damages

    def sensitivity(self, recipe: Recipe) -> dict[str, Any]:
        """The ranking as JSON-ready data, with what became of each part."""
        rows = [
            {
                "name": d.name,
                "vad_mean": d.mean,
                "vad_p99": d.p99,
                "flips": d.flips,
                "macs": d.macs,
                "kept": "int8" if recipe.chosen(d.name) else "float32",
            }
            for d in self.damages
        ]
        return {"recipe": str(recipe), "groups": rows}

    def _repair(self, recipe: Recipe) -> tuple[Path, Trial] | None:
        """Give up parts of the model until the gate holds, or too little is left in integers."""
        path = self.work / f"{recipe.name}-{'all' if recipe.scores else 'weights'}.onnx"
        plain = self._try(recipe, path)
        if not plain.failures:
            return path, plain
        if plain.share.encoder < MIN_INTEGER_SHARE:
            return None
        # first without giving anything up
        migrated = self._try(replace(recipe, migrated=True), path)
        if not migrated.failures:
            return path, migrated

        def attempt(kept: Parts) -> Outcome:
            # what migration does shows only once the worst part is out
            for migrated in (False, True):
                trial = self._try(replace(recipe, kept=kept, migrated=migrated), path)
                if trial.share.encoder < MIN_INTEGER_SHARE:
                    return Outcome.TOO_LITTLE
                if not trial.failures:
                    return Outcome.PASSES
            return Outcome.FAILS

        worst = [d.name for d in self.rank(recipe) if recipe.chosen(d.name)]
        _log.debug("parts by the damage of eight bits, worst first: %s", ", ".join(worst))
        self._giving_back = Pace(2 * len(worst))
        try:
            passed = give_back(worst, attempt) is not None
        finally:
            self._giving_back = None
        return (path, self.trials[-1]) if passed else None

    def _try(self, recipe: Recipe, path: Path) -> Trial:
        self.progress(f"trying {recipe} (attempt {len(self.trials) + 1}{self._search_left()})")
        self.build(recipe, path)
        share = share_of("int8", path, SPEECH_SECONDS)
        fidelity, padded = self.judge(path, recipe)
        failures = fidelity.failures(self.limits)
        failures += [f"in padded batches {f}" for f in padded.failures(self.limits)]
        if share.encoder < MIN_INTEGER_SHARE:
            failures.insert(
                0, f"{share.encoder:.1%} of the encoder in integers, limit {MIN_INTEGER_SHARE:.0%}"
            )
        if not failures:
            failures = [f"at the gate, {f}" for f in self.gate(path, recipe.max_batch)]
        size = sum(f.stat().st_size for f in path.parent.glob(f"{path.name}*"))
        trial = Trial(recipe, size, fidelity, padded, tuple(failures), share)
        self.trials.append(trial)
        _log.debug("%s: %s", recipe, "; ".join(failures) or "passes")
        return trial

    def _search_left(self) -> str:
        return "" if self._giving_back is None else f", at most {self._giving_back.next()}"

    def _measured(self) -> dict[str, Extremes]:
        if self._extremes is None:
            self.progress("measuring ranges")
            model = ir.load(self.optimized)
            names = [o.source.name or "" for p in find_products(model) for o in p.operands]
            fit = self.calibration.samples(self.calibration.fit)
            self._extremes = measure(self.optimized, names, fit, self.work)
        return self._extremes

    @property
    def nearest(self) -> Trial:
        """Of the trials that failed, the one with the fewest broken limits."""
        return min(self.trials, key=lambda t: (len(t.failures), t.fidelity.p99))

    def _none_passes(self, name: str) -> GateError:
        nearest = self.nearest
        more = len(nearest.failures) - 1
        found = f"{len(self.trials)} attempts, the nearest ({nearest.recipe}): "
        found += nearest.failures[0] + (f", and {more} more" if more else "")
        return GateError(
            "onnx-int8",
            expected="a recipe that gives the float32 model's answers",
            found=found,
            advice=" or ".join(self._remedies(name)),
        )

    def _remedies(self, name: str) -> list[str]:
        clips = len(self.calibration.fit) + len(self.calibration.judge)
        # ranges are not what is wrong where integers do not reach
        fitted = any(t.share.encoder >= MIN_INTEGER_SHARE for t in self.trials)
        more = fitted and clips < 2 * ENOUGH_CLIPS
        return [
            *(["try --recipe auto"] if name != "auto" else []),
            *([f"calibrate on more than {clips} clips"] if more else []),
            "export with --target onnx-fp16 or onnx-fp32",
        ]


def _worth(trial: Trial) -> float:
    """Its speed; of two within the noise, that whose rows may share a run is the better one."""
    speedup = 0.0 if trial.speed is None else trial.speed.speedup
    return speedup if trial.recipe.max_batch == 1 else speedup * (1 + SAME_SPEED)
