"""The emotion sphere: octants by sign, angles, finer grids, distances to boundaries."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_ser.emotion.scale import scores_from_unit
from edge_ser.emotion.sphere import (
    Partition,
    Sphere,
    angular_distance,
    to_cartesian,
    to_spherical,
)
from edge_ser.errors import UsageError

# signs of arousal (X), valence (Y), dominance (Z); Mehrabian's name
OCTANTS = {
    "+++": "I exuberant",
    "-++": "II relaxed",
    "--+": "III disdainful",
    "+-+": "IV hostile",
    "++-": "V dependent",
    "-+-": "VI docile",
    "---": "VII bored",
    "+--": "VIII anxious",
}
FINE = [Partition(60, 60, 0.2), Partition(45, 45, 0.3), Partition(30, 30, 0.15)]
OTHERS = [
    Partition(),
    Partition(90, 90, 0.25),
    Partition(360, 180),
    Partition(180, 60),
    Partition(120, 180, 0.5),
    Partition(30, 90),
]


def region(partition: Partition, point: tuple[float, ...] | NDArray[np.float64]) -> str:
    return str(partition.regions[int(partition.index(np.asarray(point)))])


def signs(point: tuple[float, ...]) -> str:
    return "".join("+" if x >= 0 else "-" for x in point)


def cloud(count: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3))


def directions(count: int, seed: int = 1) -> NDArray[np.float64]:
    d = np.random.default_rng(seed).standard_normal((count, 3))
    return d / np.linalg.norm(d, axis=1, keepdims=True)


def test_scores_become_arousal_valence_dominance_axes() -> None:
    # scores come as arousal, dominance, valence
    assert to_cartesian([7.0, 1.0, 4.0]).tolist() == [1.0, 0.0, -1.0]
    assert to_cartesian([4.0, 4.0, 4.0]).tolist() == [0.0, 0.0, 0.0]
    assert to_cartesian([[1.0, 5.5, 2.5]]).tolist() == [[-1.0, -0.5, 0.5]]


@pytest.mark.parametrize(("sign", "name"), OCTANTS.items())
def test_octant_of_scores(sign: str, name: str) -> None:
    arousal, valence, dominance = (6.0 if s == "+" else 2.0 for s in sign)
    assert region(Partition(), to_cartesian([arousal, dominance, valence])) == name


@pytest.mark.parametrize("point", list(itertools.product((-0.7, -0.0, 0.0, 0.7), repeat=3)))
def test_zero_counts_as_non_negative(point: tuple[float, ...]) -> None:
    assert region(Partition(), point) == OCTANTS[signs(point)]


def test_octants_follow_the_signs_everywhere() -> None:
    partition = Partition()
    points = cloud(2000)
    found = [str(partition.regions[i]) for i in partition.index(points)]
    assert found == [OCTANTS[signs(p)] for p in points.tolist()]


def test_octants_follow_the_signs_one_bit_from_the_boundary() -> None:
    partition = Partition()
    half = np.float32(0.5)
    near = [np.nextafter(half, np.float32(0)), half, np.nextafter(half, np.float32(1))]
    steps = [np.float32(0), *near, np.float32(1), np.float32(0.2), np.float32(0.71)]
    vad = np.array(list(itertools.product(steps, repeat=3)), np.float32)
    points = to_cartesian(scores_from_unit(vad))
    found = [str(partition.regions[i]) for i in partition.index(points)]
    arousal, dominance, valence = (vad >= half).T
    rows = zip(arousal, valence, dominance, strict=True)
    assert found == [OCTANTS["".join("-+"[int(s)] for s in row)] for row in rows]


def test_spherical_round_trip_and_ranges() -> None:
    points = cloud(3000)
    radius, polar, azimuth = to_spherical(points).T
    back = np.stack(
        [
            radius * np.sin(polar) * np.cos(azimuth),
            radius * np.sin(polar) * np.sin(azimuth),
            radius * np.cos(polar),
        ],
        axis=-1,
    )
    np.testing.assert_allclose(back, points, atol=1e-14)
    np.testing.assert_allclose(radius, np.linalg.norm(points, axis=1), rtol=1e-14)
    assert polar.min() >= 0 and polar.max() <= np.pi
    assert azimuth.min() > -np.pi and azimuth.max() <= np.pi


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((-0.0, -0.0, -0.0), (0, 0, 0)),
        ((1, 0, 0), (1, np.pi / 2, 0)),
        ((0, 1, 0), (1, np.pi / 2, np.pi / 2)),
        ((-1, 0, 0), (1, np.pi / 2, np.pi)),
        ((-1, -0.0, 0), (1, np.pi / 2, np.pi)),
        ((0, -1, 0), (1, np.pi / 2, -np.pi / 2)),
        ((0, 0, 1), (1, 0, 0)),
        ((0, 0, -1), (1, np.pi, 0)),
        ((1, 1, 1), (np.sqrt(3), np.arccos(1 / np.sqrt(3)), np.pi / 4)),
    ],
)
def test_spherical_of_known_points(point: tuple[float, ...], expected: tuple[float, ...]) -> None:
    np.testing.assert_allclose(to_spherical(point), expected, atol=1e-15)


def test_angular_distance() -> None:
    assert angular_distance([1, 0, 0], [0, 2, 0]) == pytest.approx(90)
    assert angular_distance([1, 0, 0], [-3, 0, 0]) == pytest.approx(180)
    assert angular_distance([1, 1, 1], [2, 2, 2]) == pytest.approx(0, abs=1e-6)
    assert angular_distance([1, 0, 0], [0, 0, 0]) == 0
    # arccos of the cosine would give 0 here
    assert angular_distance([1, 0, 0], [1, 1e-9, 0]) == pytest.approx(np.degrees(1e-9), rel=1e-9)


def test_sphere_to_dict() -> None:
    assert Sphere(0.5, 1.0, -2.0).to_dict() == {"radius": 0.5, "polar": 1.0, "azimuth": -2.0}


@pytest.mark.parametrize(("partition", "count"), list(zip(FINE, (19, 33, 73), strict=True)))
def test_finer_grids_have_as_many_regions_as_published(partition: Partition, count: int) -> None:
    regions = partition.regions
    assert len(regions) == count == partition.grid_size + 1
    assert [r.index for r in regions] == list(range(count))
    assert len({r.name for r in regions}) == count
    assert str(regions[-1]) == "neutral"


@pytest.mark.parametrize("partition", [*FINE, Partition(120, 60)])
def test_the_centre_of_every_cell_lies_in_the_region_named_after_its_edges(
    partition: Partition,
) -> None:
    for cell in partition.regions[: partition.grid_size]:
        az, po = (float(part[2:]) for part in cell.name.split())
        azimuth = np.radians(az + partition.azimuth_step / 2)
        polar = np.radians(po + partition.polar_step / 2)
        ray = [
            np.sin(polar) * np.cos(azimuth),
            np.sin(polar) * np.sin(azimuth),
            np.cos(polar),
        ]
        assert partition.index(0.9 * np.array(ray)) == cell.index


def test_neutral_region_is_an_open_ball() -> None:
    partition = Partition(90, 90, 0.25)
    assert region(partition, (0, 0, 0)) == "neutral"
    assert region(partition, (-0.1, 0.1, -0.2)) == "neutral"
    assert region(partition, (0.25, 0, 0)) == "I exuberant"
    assert region(partition, (0, 0, -0.2500001)) == "V dependent"


def test_index_and_margin_keep_leading_dimensions() -> None:
    points = cloud(10).reshape(2, 5, 3)
    partition = Partition(45, 45, 0.3)
    assert partition.index(points).shape == partition.margin(points).shape == (2, 5)
    flat = points.reshape(10, 3)
    assert partition.index(points).ravel().tolist() == partition.index(flat).tolist()
    assert partition.margin(points[0, 0]).shape == ()


def test_octant_margin_is_the_smallest_coordinate() -> None:
    points = cloud(5000)
    np.testing.assert_allclose(Partition().margin(points), np.abs(points).min(1), atol=1e-14)
    assert Partition().margin([0.4, -0.0, 0.9]) == 0
    assert Partition().margin([0.0, 0.0, 0.0]) == 0


@pytest.mark.parametrize("partition", [*FINE, *OTHERS], ids=str)
def test_a_move_shorter_than_the_margin_never_changes_the_region(partition: Partition) -> None:
    rng = np.random.default_rng(5)
    # also small radii, where boundaries are near each other
    points = cloud(400) * rng.uniform(0.02, 1, (400, 1))
    margin, start = partition.margin(points), partition.index(points)
    reach = np.where(np.isfinite(margin), margin, 1.0)  # a partition of one region has no boundary
    for direction in directions(300):
        share = rng.uniform(0.5, 0.9999, (len(points), 1))
        moved = points + share * reach[:, None] * direction
        assert (partition.index(moved) == start).all()


@pytest.mark.parametrize("partition", [p for p in [*FINE, *OTHERS] if p.grid_size > 1], ids=str)
def test_a_move_slightly_longer_than_the_margin_can_change_the_region(
    partition: Partition,
) -> None:
    points = cloud(120, seed=7)
    margin, start = partition.margin(points), partition.index(points)
    changed = np.zeros(len(points), bool)
    for direction in directions(6000, seed=8):
        moved = points + 1.04 * margin[:, None] * direction
        changed |= partition.index(moved) != start
        if changed.all():
            break
    assert changed.all(), f"margin too small at {points[~changed]}"


@pytest.mark.parametrize("step", [0, -90, 7, 361, 720])
def test_azimuth_step_must_divide_the_circle(step: int) -> None:
    with pytest.raises(UsageError, match=f"azimuth step: expected .*360.* found {step}"):
        Partition(azimuth_step=step)


@pytest.mark.parametrize("step", [0, -45, 7, 360, 181])
def test_polar_step_must_divide_the_half_circle(step: int) -> None:
    with pytest.raises(UsageError, match=f"polar step: expected .*180.* found {step}"):
        Partition(polar_step=step)


@pytest.mark.parametrize("radius", [0.0, 1.0, -0.1, 1.5, float("nan"), float("inf")])
def test_neutral_radius_must_lie_inside_the_unit_ball(radius: float) -> None:
    with pytest.raises(UsageError, match="neutral radius: expected"):
        Partition(neutral_radius=radius)
