"""What holds for every answer of a model, alone and in a batch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edge_ser.emotion.decode import Emotion, Outputs, decode
from edge_ser.emotion.sphere import Partition, to_cartesian, to_spherical

Floats = NDArray[np.float32]
ROWS = 5
OCTANTS = Partition()
vads = arrays(np.float32, (ROWS, 3), elements=st.floats(-0.5, 1.5, width=32))
logits = arrays(np.float32, (ROWS, 8), elements=st.floats(-1000, 1000, width=32))


def decoded(vad: Floats, region_logits: Floats) -> list[Emotion]:
    seconds = [float(row) for row in range(len(vad))]
    return decode(Outputs.of(vad, region_logits), OCTANTS, seconds, [str(s) for s in seconds])


@given(vads, logits, st.permutations(range(ROWS)))
def test_the_order_of_a_batch_changes_nothing(
    vad: Floats, region_logits: Floats, order: list[int]
) -> None:
    in_order = decode(
        Outputs.of(vad, region_logits).rows(np.ones(ROWS, bool)), OCTANTS, [1.0] * ROWS, [""] * ROWS
    )
    shuffled = decode(
        Outputs.of(vad[order], region_logits[order]), OCTANTS, [1.0] * ROWS, [""] * ROWS
    )
    assert [in_order[row] for row in order] == shuffled


@given(vads, logits)
def test_a_row_of_a_batch_is_as_alone(vad: Floats, region_logits: Floats) -> None:
    for row, emotion in enumerate(decoded(vad, region_logits)):
        (alone,) = decode(
            Outputs.of(vad[row : row + 1], region_logits[row : row + 1]),
            OCTANTS, [float(row)], [str(float(row))],
        )  # fmt: skip
        assert alone == emotion


@given(vads, logits)
def test_what_is_said_of_a_point_fits_together(vad: Floats, region_logits: Floats) -> None:
    for row, emotion in enumerate(decoded(vad, region_logits)):
        scores = [emotion.arousal, emotion.dominance, emotion.valence]
        assert all(1 <= score <= 7 for score in scores)
        point = to_cartesian(scores)
        sphere = [emotion.sphere.radius, emotion.sphere.polar, emotion.sphere.azimuth]
        np.testing.assert_allclose(sphere, to_spherical(point), atol=1e-12)
        assert emotion.region.index == OCTANTS.index(point)
        assert emotion.boundary_margin == OCTANTS.margin(point)
        assert emotion.region_probabilities is not None and emotion.region_head is not None
        shares = list(emotion.region_probabilities.values())
        assert abs(sum(shares) - 1) < 1e-6 and min(shares) >= 0
        assert region_logits[row, emotion.region_head.index] == region_logits[row].max()
