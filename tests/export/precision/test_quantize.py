"""INT8 by measurement: what migration and exclusion repair, and which recipe is chosen.

The outlier twin is where plain INT8 fails although the model says the same: see `outlier_twin`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from helpers.outlier_twin import norms, outlier_twin
from helpers.trace_once import folder
from helpers.traced_graphs import drawn, traced, with_weights

from edge_ser.errors import GateError, UsageError
from edge_ser.fidelity.compare import Fidelity
from edge_ser.fidelity.limits import INT8_LIMITS, Limits
from edge_ser.host.cpu import integer_preset
from edge_ser_export.calibration.draw import CalibrationSet
from edge_ser_export.graph.products import find_products
from edge_ser_export.graph.rewrite import optimize_for_cpu, save
from edge_ser_export.graph.run import (
    answers,
    answers_in_pairs,
    open_graph,
    share_of,
)
from edge_ser_export.precision import int8 as quantize
from edge_ser_export.precision.int8 import (
    MIN_INTEGER_SHARE,
    Damage,
    Quantizer,
)
from edge_ser_export.precision.recipes import CPUS, Recipe
from edge_ser_export.proof.reference import Reference
from edge_ser_export.trace.capture import EXTERNAL_DATA_BYTES

KINDS = ("spectral", "wavlm-tiny")
# spectra in 8 bits lose what is quiet in them: no matter what follows, this part stays in float32
ALWAYS_KEPT = {"spectral": ("log-mel",), "wavlm-tiny": ()}
eight_bits = pytest.mark.skipif(
    integer_preset() == "x86", reason="8-bit sums saturate here, and 7 bits hide what is compared"
)


def make(
    kind: str,
    graph: Path,
    optimized: Path,
    limits: Limits = INT8_LIMITS,
    calibration: CalibrationSet | None = None,
) -> Quantizer:
    return Quantizer(
        optimized, graph, calibration or drawn(kind), traced(kind).model.config.partition, limits,
        folder(), CPUS[integer_preset() or "x86-vnni"],
    )  # fmt: skip


@cache
def original(kind: str) -> Quantizer:
    return make(kind, traced(kind).path, traced(kind).optimized)


@cache
def twin(kind: str) -> Quantizer:
    source = traced(kind)
    graph = source.load()
    with_weights(graph, source.model, outlier_twin(source.model))
    work = folder()
    save(graph, work / "traced.onnx", EXTERNAL_DATA_BYTES)
    optimize_for_cpu(graph)
    save(graph, work / "optimized.onnx", EXTERNAL_DATA_BYTES)
    return make(kind, work / "traced.onnx", work / "optimized.onnx")


def quick(kind: str, of: str) -> Quantizer:
    """A new one with two utterances: enough to rank by, in a quarter of the time, not to fit on."""
    quantizer = {"original": original, "twin": twin}[of](kind)
    some = replace(quantizer.calibration, fit=quantizer.calibration.fit[:2])
    return make(kind, quantizer.baseline, quantizer.optimized, calibration=some)


@cache
def ranking(kind: str, of: str) -> list[Damage]:
    return quick(kind, of).rank(Recipe("static"))


@cache
def judged(kind: str, of: str, recipe: Recipe) -> Fidelity:
    """The worse of alone and in batches."""
    quantizer = {"original": original, "twin": twin}[of](kind)
    path = quantizer.build(recipe, quantizer.work / "judged.onnx")
    return max(quantizer.judge(path, recipe), key=lambda f: f.vad_p99)


def static(kind: str, migrated: bool = False, kept: tuple[str, ...] = ()) -> Recipe:
    return Recipe("static", migrated=migrated, kept=(*ALWAYS_KEPT[kind], *kept))


# --- the outlier twin


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_says_the_same_in_float32(kind: str) -> None:
    """As PyTorch computes it, and as a graph with its weights does."""
    model = traced(kind).model
    other = outlier_twin(model)
    changed = [n for n, p in model.named_parameters() if not p.equal(other.get_parameter(n))]
    assert len(changed) >= 3 * len(norms(model)) >= 12
    speech = list(drawn(kind).samples(drawn(kind).judge))
    expected = [Reference(model).one(x).vad for x in speech]
    sides = [[Reference(other).one(x).vad for x in speech]]
    for graph in (twin(kind).baseline, twin(kind).optimized):
        opened = open_graph(graph)
        sides.append([answers(opened, [x]).vad for x in speech])
    for given in sides:
        np.testing.assert_allclose(np.concatenate(given), np.concatenate(expected), atol=1e-4)


@eight_bits
@pytest.mark.parametrize("kind", KINDS)
def test_plain_int8_passes_on_the_model_and_fails_on_its_twin(kind: str) -> None:
    plain = static(kind)
    before, after = judged(kind, "original", plain), judged(kind, "twin", plain)
    assert before.failures(INT8_LIMITS) == []
    assert before.vad_p99 < 0.03
    assert after.vad_p99 > 4 * before.vad_p99
    assert after.vad_mean > 4 * before.vad_mean
    assert after.failures(INT8_LIMITS)


@eight_bits
@pytest.mark.parametrize("kind", KINDS)
def test_migration_brings_the_twin_back(kind: str) -> None:
    """Factors that follow the ranges undo what the twin's factor did, exactly but for rounding."""
    migrated = static(kind, migrated=True)
    before, after = judged(kind, "original", migrated), judged(kind, "twin", migrated)
    assert after.failures(INT8_LIMITS) == []
    assert after.vad_p99 == pytest.approx(before.vad_p99, rel=0.1, abs=1e-3)
    assert after.vad_p99 < 2 * judged(kind, "original", static(kind)).vad_p99
    assert after.vad_p99 < judged(kind, "twin", static(kind)).vad_p99 / 4


@eight_bits
@pytest.mark.parametrize("kind", KINDS)
def test_leaving_damaged_parts_in_float32_repairs_the_twin(kind: str) -> None:
    damaged = tuple(norms(traced(kind).model))
    kept = static(kind, kept=damaged)
    after = judged(kind, "twin", kept)
    assert after.failures(INT8_LIMITS) == []
    assert after.vad_p99 == pytest.approx(judged(kind, "original", kept).vad_p99, rel=0.1, abs=1e-3)
    # as many others do not help
    groups = [g for g in twin(kind).groups if g not in (*damaged, *ALWAYS_KEPT[kind])]
    others = static(kind, kept=tuple(groups[: len(damaged)]))
    assert judged(kind, "twin", others).failures(INT8_LIMITS)


@eight_bits
@pytest.mark.parametrize("kind", KINDS)
def test_sensitivity_finds_the_damaged_parts(kind: str) -> None:
    damaged = set(norms(traced(kind).model))
    ranked = ranking(kind, "twin")
    assert {d.name for d in ranked} == set(twin(kind).groups)
    assert [d.p99 for d in ranked] == sorted((d.p99 for d in ranked), reverse=True)
    # some parts are delicate by nature; of the rest the worst are damaged ones
    own = [d for d in ranked if d.name not in ALWAYS_KEPT[kind]]
    assert {d.name for d in own[:2]} <= damaged
    mean = {True: [], False: []}  # type: dict[bool, list[float]]
    for d in own:
        mean[d.name in damaged].append(d.p99)
    assert np.mean(mean[True]) > 4 * np.mean(mean[False])


@eight_bits
def test_sensitivity_of_a_part_is_its_own() -> None:
    """Damaged parts do several times the damage they did, all others what they did."""
    kind = "spectral"
    damaged = set(norms(traced(kind).model))
    before, after = ({d.name: d for d in ranking(kind, of)} for of in ("original", "twin"))
    assert set(before) == set(after)
    for name in damaged:
        assert after[name].p99 > 4 * before[name].p99, name
    for name in set(after) - damaged:
        assert after[name].p99 == pytest.approx(before[name].p99, rel=0.1, abs=1e-4), name


def test_multiplications_belong_to_one_part_each() -> None:
    """Attention's own products are not its projections."""
    kind = "spectral"
    macs = {d.name: d.macs for d in ranking(kind, "original")}
    assert all(m > 0 for m in macs.values())
    width, frames = traced(kind).model.config.encoder.hidden_size, 125
    projections, scores = macs["layer 0 attention"], macs["layer 0 attention scores"]
    assert projections == pytest.approx(4 * frames * width * width, rel=0.02)
    assert scores == pytest.approx(2 * frames * frames * width, rel=0.02)
    assert sum(macs.values()) == pytest.approx(
        share_of("int8", original(kind).optimized).macs, rel=1e-3
    )


def test_rows_of_the_sensitivity_report() -> None:
    quantizer = quick("spectral", "original")
    quantizer.damages = ranking("spectral", "original")
    report = quantizer.sensitivity(Recipe("static", scores=False, kept=("log-mel",)))
    kept = {row["name"] for row in report["groups"] if row["kept"] == "float32"}
    scores = {g for g in quantizer.groups if g.endswith(" scores")}
    assert kept == {"log-mel", *scores} and len(scores) == 4


# --- recipes


def test_what_a_recipe_quantises(tmp_path: Path) -> None:
    quantizer = original("spectral")
    products = find_products(ir.load(quantizer.optimized))
    for recipe in (
        Recipe("dynamic"),
        Recipe("static", scores=False),
        Recipe("dynamic", scores=False, kept=("stem 1", "VAD head")),
    ):
        graph = ir.load(quantizer.build(recipe, tmp_path / "built.onnx"))
        left = {p.group for p in find_products(graph)}
        assert left == {p.group for p in products if not recipe.chosen(p.group)}
        operators = {n.op_type for n in graph.graph}
        assert ("DynamicQuantizeLinear" in operators) is (recipe.name == "dynamic")
        assert ("QuantizeLinear" in operators) is (recipe.name == "static")
    only = ir.load(quantizer.build(Recipe("static"), tmp_path / "built.onnx", "stem 2"))
    assert {p.group for p in products} - {p.group for p in find_products(only)} == {"stem 2"}


def test_only_dynamic_scales_let_a_neighbour_in(tmp_path: Path) -> None:
    """Why a dynamic bundle runs rows alone, and a static one need not."""
    quantizer = original("spectral")
    speech = list(quantizer.calibration.samples(quantizer.calibration.judge))[:4]
    # every other one much louder than its neighbour
    rows = [x * level for x, level in zip(speech, (0.05, 1, 0.05, 1), strict=True)]
    for name, least, most in (("dynamic", 1e-3, 1.0), ("static", 0.0, 1e-5)):
        recipe = Recipe(name, kept=("log-mel",))
        opened = open_graph(quantizer.build(recipe, tmp_path / f"{name}.onnx"))
        apart = np.abs(answers(opened, rows).vad - answers_in_pairs(opened, rows).vad).max()
        assert least <= apart < most, name


def test_weights_of_7_bits(tmp_path: Path) -> None:
    quantizer = make("spectral", original("spectral").baseline, original("spectral").optimized)
    for cpu, most in (("x86-vnni", 127), ("x86", 63), ("arm64", 127)):
        quantizer.cpu = CPUS[cpu]
        graph = ir.load(quantizer.build(Recipe("dynamic"), tmp_path / "bits.onnx"))
        packed = [
            v.const_value.numpy().astype(int)
            for v in graph.graph.initializers.values()
            if v.const_value is not None and v.const_value.dtype == ir.DataType.INT8
        ]
        assert max(np.abs(x).max() for x in packed) == most


# --- the search


def test_the_search_finds_a_recipe_that_passes() -> None:
    quantizer = make("spectral", traced("spectral").path, traced("spectral").optimized)
    quantizer.damages = ranking("spectral", "original")
    path, best = quantizer.search("static")
    assert best in quantizer.trials
    assert best.failures == ()
    assert best.recipe.name == "static"
    assert best.share.encoder >= MIN_INTEGER_SHARE
    assert best.speed is not None and best.speed.speedup > 0
    # the file is that recipe's, not that of a later try
    assert share_of("int8", path) == best.share
    alone, padded = quantizer.judge(path, best.recipe)
    assert alone == best.fidelity and padded == best.padded
    assert alone.vad_p99 < INT8_LIMITS.vad_p99
    assert path.stat().st_size == best.bytes < 0.5 * traced("spectral").path.stat().st_size


def test_the_search_repairs_the_twin() -> None:
    """Only migration and exclusion together pass: neither does alone, and nor does plain INT8."""
    kind = "spectral"
    quantizer = make(kind, twin(kind).baseline, twin(kind).optimized)
    quantizer.damages = ranking(kind, "twin")
    _, best = quantizer.search("static")
    assert best.failures == ()
    assert best.recipe.migrated
    assert best.recipe.kept == ("log-mel",)
    tried = {c.recipe: bool(c.failures) for c in quantizer.trials}
    assert tried[Recipe("static")]
    assert tried[Recipe("static", migrated=True)]
    assert tried[Recipe("static", kept=("log-mel",))]


def test_too_few_integers_are_refused() -> None:
    """Attention's products are an eighth of this encoder: INT8 without them is not INT8."""
    quantizer = original("spectral")
    candidate = quantizer._try(Recipe("static", scores=False), quantizer.work / "few.onnx")
    assert candidate.share.encoder < MIN_INTEGER_SHARE
    assert any("% of the encoder in integers, limit 95%" in f for f in candidate.failures)
    # whatever its answers are
    lenient = make("spectral", quantizer.baseline, quantizer.optimized, Limits(9, 99))
    assert lenient._repair(Recipe("static", scores=False)) is None
    assert lenient._repair(Recipe("static")) is not None


def test_a_model_that_cannot_pass_is_refused() -> None:
    kind = "wav2vec2-group"
    absurd = Limits(vad=1e-7, region_logits=1e-7)
    quantizer = make(kind, traced(kind).path, traced(kind).optimized, absurd)
    with pytest.raises(GateError, match="onnx-int8: expected a recipe that gives the float32") as e:
        quantizer.search()
    assert e.value.exit_code == 1
    assert e.value.advice == "export with --target onnx-fp16 or onnx-fp32"
    with pytest.raises(GateError, match="; try --recipe auto or export with"):
        quantizer.search("dynamic")
    assert all(c.failures for c in quantizer.trials)
    assert {c.recipe.name for c in quantizer.trials} == {"dynamic", "static"}


def test_giving_parts_up_ends_where_too_little_is_left() -> None:
    quantizer = original("spectral")
    absurd = make(
        "spectral", quantizer.baseline, quantizer.optimized, replace(INT8_LIMITS, vad=1e-7)
    )
    absurd.damages = sorted(ranking("spectral", "original"), key=lambda d: -d.macs)
    assert absurd._repair(Recipe("static")) is None
    last = absurd.trials[-1]
    assert last.share.encoder < MIN_INTEGER_SHARE
    assert all(c.share.encoder >= MIN_INTEGER_SHARE for c in absurd.trials[:-1])
    # in the order given, one more at a time
    assert len(last.recipe.kept) > 1
    names = [d.name for d in absurd.damages]
    assert last.recipe.kept == tuple(names[: len(last.recipe.kept)])


@pytest.mark.parametrize("name", ["", "AUTO", "int4"])
def test_an_unknown_recipe(name: str) -> None:
    with pytest.raises(UsageError, match="--recipe: expected one of auto, dynamic, static, found"):
        original("spectral").search(name)


@pytest.fixture(autouse=True, scope="module")
def _forget() -> Iterator[None]:
    """Graphs and answers of this module are shared by its tests alone."""
    yield
    for cached in (original, twin, judged, ranking, drawn):
        cached.cache_clear()


def test_the_search_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """Steps with their number and the time that is left; with -v the outcome of each."""
    quantizer = quick("spectral", "original")
    words: list[str] = []
    quantizer.progress = words.append
    with caplog.at_level("DEBUG", logger="edge_ser_export.precision.int8"):
        assert quantizer._repair(Recipe("dynamic")) is not None
    assert words[0] == "trying dynamic (attempt 1)"
    ranked = [w for w in words if w.startswith("sensitivity of ")]
    parts = len(quantizer.groups)
    assert ranked[0].startswith(f"sensitivity of 1 of {parts}: ")
    assert re.match(rf"sensitivity of {parts} of {parts}, \d+ s left: ", ranked[-1])
    again = [w for w in words if "in float32 (attempt " in w]
    assert again and f"(attempt 3, at most 1 of {2 * parts})" in again[0]
    told = [r.getMessage() for r in caplog.records if r.name == quantize.__name__]
    assert told[0].startswith("dynamic: VAD differs by ")
    assert any(line.startswith("parts by the damage of eight bits, worst first: ") for line in told)
    assert told[-1] == f"{quantizer.trials[-1].recipe}: passes"
