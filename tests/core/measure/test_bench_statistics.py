import math

import numpy as np
import pytest

from edge_ser.measure import Estimate, claim, median, quantile, ratio
from edge_ser.measure.stats import CLAIM_CONFIDENCE, DISTURBED_SHARE, FEWEST_ROUNDS


def skewed(rng: np.random.Generator, count: int, typical: float = 0.01) -> list[float]:
    """Times as machines give them: never below a floor, with a long tail."""
    return list(typical * (1 + rng.gamma(1.5, 0.05, count)))


def test_median_of_known_values() -> None:
    # 2 * (C(10,0) + C(10,1)) / 2**10 = 0.0215: the second and the ninth enclose it at 97.9 %
    found = median([float(v) for v in range(1, 11)])
    assert (found.value, found.low, found.high, found.count) == (5.5, 2, 9, 10)
    assert found.confidence == pytest.approx(1 - 22 / 1024)
    assert found.precision == pytest.approx(3.5 / 5.5)


def test_too_few_values_give_all_of_them_and_say_how_sure_that_is() -> None:
    three = median([3.0, 1.0, 2.0])
    assert (three.low, three.high, three.confidence) == (1, 3, 0.75)
    one = median([4.0])
    assert (one.low, one.value, one.high, one.confidence) == (4, 4, 4, 0)
    assert one.precision == math.inf


@pytest.mark.parametrize("count", [12, 15, 40])
def test_interval_covers_the_true_median_as_often_as_it_says(count: int) -> None:
    rng = np.random.default_rng(count)
    true = float(np.median(skewed(np.random.default_rng(0), 400_000)))
    trials = 1500
    covered = {0.8: 0, 0.95: 0, 0.99: 0}
    for _ in range(trials):
        values = skewed(rng, count)
        for confidence in covered:
            found = median(values, confidence)
            assert found.confidence >= confidence
            covered[confidence] += found.low <= true <= found.high
    for confidence, hits in covered.items():
        slack = 3 * math.sqrt(confidence * (1 - confidence) / trials)
        assert hits / trials >= confidence - slack
    assert covered[0.8] < covered[0.95] < covered[0.99], "surer is wider"


def test_interval_widens_with_confidence_and_narrows_with_values() -> None:
    rng = np.random.default_rng(5)
    values = skewed(rng, 200)
    widths = [median(values, c).precision for c in (0.5, 0.8, 0.9, 0.95, 0.99, 0.999)]
    assert widths == sorted(widths) and widths[0] < widths[-1]
    assert median(skewed(rng, 2000)).precision < median(skewed(rng, 20)).precision / 3


def test_a_known_difference_is_found_in_noise_that_hides_it_from_unpaired_times() -> None:
    rng = np.random.default_rng(1)
    machine = np.exp(rng.normal(0, 0.3, 60))  # what else it does, the same for both of a round
    a = 0.0095 * machine * (1 + rng.normal(0, 0.01, 60))
    b = 0.0100 * machine * (1 + rng.normal(0, 0.01, 60))
    found = ratio(list(a), list(b))
    assert found.low < 0.95 < found.high and found.precision < 0.01
    assert claim(found) == "faster"
    assert claim(ratio(list(b), list(a))) == "slower"
    alone_a, alone_b = median(list(a)), median(list(b))
    assert alone_a.high > alone_b.low, "their own intervals overlap"


def test_no_winner_inside_the_noise() -> None:
    rng = np.random.default_rng(2)
    claims = [
        claim(ratio(skewed(rng, 20), skewed(rng, 20))) != "no difference" for _ in range(1000)
    ]
    # 1 % by the interval alone
    assert sum(claims) <= 20


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(0.9, 0.88, 0.92, 0.99, 20), "faster"),
        (Estimate(1.1, 1.08, 1.12, 0.99, 20), "slower"),
        (Estimate(0.9, 0.8, 1.01, 0.99, 20), "no difference"),
        (Estimate(1.1, 0.99, 1.2, 0.99, 20), "no difference"),
        (Estimate(0.995, 0.993, 0.997, 0.99, 200), "no difference"),  # sure, but not worth a word
        (Estimate(0.5, 0.49, 0.51, 0.75, 3), "too few rounds to judge"),
        (Estimate(1.0, 0.99, 1.01, 0.98, 7), "too few rounds to judge"),
    ],
)
def test_claim(estimate: Estimate, said: str) -> None:
    assert claim(estimate) == said


def test_runs_that_others_interrupted_are_not_judged() -> None:
    surely = Estimate(0.9, 0.88, 0.92, 0.99, 20)
    assert claim(surely, interrupted=DISTURBED_SHARE) == "faster"
    assert claim(surely, interrupted=DISTURBED_SHARE + 0.01) == "could not be judged"
    few = Estimate(0.5, 0.49, 0.51, 0.75, 3)
    assert claim(few, interrupted=1.0) == "too few rounds to judge"


def test_fewest_rounds_for_a_claim() -> None:
    assert median([1.0] * (FEWEST_ROUNDS - 1), CLAIM_CONFIDENCE).confidence < CLAIM_CONFIDENCE
    assert median([1.0] * FEWEST_ROUNDS, CLAIM_CONFIDENCE).confidence >= CLAIM_CONFIDENCE


def test_quantile() -> None:
    assert quantile([1.0, 2.0, 3.0], 0.5) == 2
    assert quantile(list(map(float, range(101))), 0.99) == 99
