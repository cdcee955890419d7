"""The search that gives back the worst parts, and what it counts."""

from pathlib import Path

import onnx_ir as ir
from helpers.traced_graphs import traced

from edge_ser.measure.parts import of_encoder, of_front_end
from edge_ser_export.graph.names import name_nodes
from edge_ser_export.graph.rewrite import save, tidy
from edge_ser_export.graph.run import multiplications
from edge_ser_export.precision.search import (
    Multiplied,
    Outcome,
    Parts,
    count_multiplications,
    give_back,
)
from edge_ser_export.tensorrt.qdq import find_targets
from edge_ser_runtimes.engines.census import MIN_SHARE, SECONDS

WORST = ["a", "b", "c", "d", "e"]


def attempts(
    passes_without: str | None, dear: str = "", doubling: bool = False
) -> tuple[Parts | None, list[int]]:
    tried: list[int] = []

    def attempt(parts: Parts) -> Outcome:
        tried.append(len(parts))
        if dear and dear in parts:
            return Outcome.TOO_LITTLE
        return Outcome.PASSES if passes_without in parts else Outcome.FAILS

    return give_back(WORST, attempt, doubling), tried


def test_parts_are_given_up_until_the_answers_hold() -> None:
    assert attempts("c") == (("a", "b", "c"), [1, 2, 3])
    assert attempts("e") == (tuple(WORST), [1, 2, 3, 4, 5])
    assert attempts(None) == (None, [1, 2, 3, 4, 5])


def test_twice_as_many_each_time_and_never_all() -> None:
    assert attempts("c", doubling=True) == (("a", "b", "c", "d"), [1, 2, 4])
    assert attempts("e", doubling=True) == (None, [1, 2, 4])


def test_it_ends_where_too_little_is_left() -> None:
    assert attempts("e", dear="c") == (None, [1, 2, 3])
    assert attempts("e", dear="c", doubling=True) == (None, [1, 2, 4])


def test_one_definition_of_the_encoder() -> None:
    assert of_encoder("encoder.layers.0.q_proj/MatMul") and not of_front_end("encoder.layers.0")
    assert of_front_end("encoder.log_mel/MatMul") and not of_encoder("encoder.log_mel/MatMul")
    assert not of_encoder("pooling.fc/MatMul") and not of_encoder("")


def counted(kind: str, folder: Path) -> tuple[Path, dict[str, str], Multiplied]:
    model = ir.load(traced(kind).path)
    name_nodes(model)
    tidy(model)
    graph = folder / "named.onnx"
    save(model, graph, 1 << 30)
    part_of = {t.node.name or "": t.group for t in find_targets(ir.load(graph))}
    return graph, part_of, count_multiplications(graph, part_of, SECONDS)


def test_the_search_counts_what_the_gate_counts(tmp_path: Path) -> None:
    graph, part_of, found = counted("spectral", tmp_path)
    rows = multiplications(graph, SECONDS)
    front = sum(m.macs for m in rows if m.node.startswith("encoder.log_mel"))
    assert front > 0.2 * found.encoder_total, "what used to be counted in"
    both = sum(m.macs for m in rows if m.node.startswith("encoder"))
    assert found.encoder_total == both - front
    # as the census of the shipped model's engine has it
    assert round(found.encoder_total / 1e6, 1) == 97.8
    assert found.encoder_share([]) == 0
    # attention's own products are nobody's to give back
    assert 0.8 < found.encoder_share(list(found.parts)) < MIN_SHARE
    pooling = [p for p in found.parts if p.startswith("pooling")]
    assert pooling and found.encoder_share(pooling) == 0, "the gate does not ask about the pooling"
    assert sum(found.parts.values()) == sum(
        m.macs for m in rows if any(m.node.startswith(n) for n in part_of)
    )
