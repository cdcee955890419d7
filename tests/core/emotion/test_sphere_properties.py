"""What holds for every point of the sphere, and every grid over it."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edge_ser.emotion.scale import DIMENSIONS, scores_from_unit, unit_from_scores
from edge_ser.emotion.sphere import Partition, angular_distance, to_cartesian, to_spherical

Floats = NDArray[np.float64]


def divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def vectors(least: float, most: float) -> Any:
    return arrays(np.float64, (3,), elements=st.floats(least, most, allow_subnormal=False))


scores = vectors(1, 7)
points = vectors(-1, 1)
partitions = st.builds(
    Partition,
    st.sampled_from(divisors(360)),
    st.sampled_from(divisors(180)),
    st.none() | st.floats(0.01, 0.99),
)


def from_spherical(spherical: Floats) -> Floats:
    radius, polar, azimuth = spherical
    around = radius * np.sin(polar)
    return np.array([around * np.cos(azimuth), around * np.sin(azimuth), radius * np.cos(polar)])


@given(scores)
def test_scores_come_back_from_radius_and_angles(vad: Floats) -> None:
    x, y, z = from_spherical(to_spherical(to_cartesian(vad)))
    arousal, valence, dominance = (4 + 3 * u for u in (x, y, z))
    named = dict(zip(DIMENSIONS, vad, strict=True))
    assert abs(arousal - named["arousal"]) < 1e-12
    assert abs(valence - named["valence"]) < 1e-12
    assert abs(dominance - named["dominance"]) < 1e-12


@given(scores)
def test_scores_come_back_from_the_models_scale(vad: Floats) -> None:
    np.testing.assert_allclose(scores_from_unit(unit_from_scores(vad)), vad, atol=1e-12)


@given(points)
def test_angles_are_in_their_ranges(point: Floats) -> None:
    radius, polar, azimuth = to_spherical(point)
    assert radius >= 0 and 0 <= polar <= np.pi and -np.pi <= azimuth <= np.pi
    assert azimuth > -np.pi or point[1] < 0, "on the plane it is pi"
    assert abs(radius - np.linalg.norm(point)) < 1e-12


@given(points, partitions)
def test_a_region_holds_the_angles_of_its_points(point: Floats, partition: Partition) -> None:
    index = int(partition.index(point))
    radius, polar, azimuth = to_spherical(point)
    assert 0 <= index < len(partition.regions) and partition.regions[index].index == index
    is_neutral = partition.neutral_radius is not None and radius < partition.neutral_radius
    assert is_neutral == (index == partition.grid_size)
    if not is_neutral:
        row, column = divmod(index, 360 // partition.azimuth_step)
        within = np.degrees(azimuth) % 360 - column * partition.azimuth_step
        # the far edge of the last column is the near one of the first
        within = min(within, within + 360, key=lambda w: abs(w - partition.azimuth_step / 2))
        assert -1e-9 <= within <= partition.azimuth_step + 1e-9
        below = np.degrees(polar) - row * partition.polar_step
        assert -1e-9 <= below <= partition.polar_step + 1e-9


@given(points, partitions, vectors(-1, 1), st.floats(0, 0.999))
def test_what_is_nearer_than_the_margin_is_in_the_same_region(
    point: Floats, partition: Partition, direction: Floats, share: float
) -> None:
    margin = float(partition.margin(point))
    length = float(np.linalg.norm(direction))
    assert margin >= 0
    if np.isfinite(margin) and length > 1e-6 and margin > 1e-9:
        near = point + direction / length * margin * share
        assert partition.index(near) == partition.index(point)


@given(points, partitions, st.floats(0.1, 10))
def test_without_a_neutral_ball_only_the_direction_counts(
    point: Floats, partition: Partition, factor: float
) -> None:
    partition = Partition(partition.azimuth_step, partition.polar_step)
    if partition.margin(point) > 1e-9:
        assert partition.index(factor * point) == partition.index(point)


@given(arrays(np.float64, (7, 3), elements=st.floats(-1, 1)), partitions)
def test_many_points_are_each_as_alone(many: Floats, partition: Partition) -> None:
    alone = [int(partition.index(point)) for point in many]
    assert partition.index(many).tolist() == alone
    np.testing.assert_array_equal(partition.margin(many), [partition.margin(p) for p in many])


@given(points, points, points, st.floats(0.1, 10))
def test_angles_are_a_distance(a: Floats, b: Floats, c: Floats, factor: float) -> None:
    if min(np.linalg.norm(x) for x in (a, b, c)) > 1e-3:
        there = float(angular_distance(a, b))
        assert 0 <= there <= 180
        assert abs(there - angular_distance(b, a)) < 1e-9
        assert abs(there - angular_distance(factor * a, b)) < 1e-6
        assert there <= angular_distance(a, c) + angular_distance(c, b) + 1e-6
        assert angular_distance(a, a) < 1e-6
