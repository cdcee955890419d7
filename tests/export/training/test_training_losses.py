"""The objective of training."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from edge_ser.fidelity.metrics import ccc
from edge_ser_export.training.losses import auxiliary_weight, ccc_loss, class_weights


def test_ccc_loss_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)), 0.3 * rng.normal(size=(20, 3)) + 0.5
    total = 0.0
    for d in range(3):
        a, b = x[:, d], y[:, d]
        covariance = np.mean((a - a.mean()) * (b - b.mean()))
        # population variances: divided by n, not by n - 1
        variances = np.mean((a - a.mean()) ** 2) + np.mean((b - b.mean()) ** 2)
        total += 1 - 2 * covariance / (variances + (a.mean() - b.mean()) ** 2)
    found = float(ccc_loss(torch.from_numpy(x), torch.from_numpy(y)))
    assert found == pytest.approx(total, abs=1e-6)
    assert found == pytest.approx(float((1 - ccc(x, y)).sum()), abs=1e-6)  # as it is evaluated


def test_ccc_loss_at_its_ends() -> None:
    x = torch.rand(30, 3, generator=torch.Generator().manual_seed(0))
    assert float(ccc_loss(x, x)) == pytest.approx(0, abs=1e-5)
    centred = x - x.mean(0)
    assert float(ccc_loss(-centred, centred)) == pytest.approx(6, abs=1e-5)
    same = torch.full((8, 3), 0.5, requires_grad=True)
    loss = ccc_loss(same, torch.rand(8, 3))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(3, abs=1e-3)  # no variance, no agreement
    assert torch.isfinite(same.grad).all()


def test_ccc_loss_of_one_row_teaches_nothing() -> None:
    """Finite, but the same whatever is predicted; so no batch has one row."""
    guess = torch.rand(1, 3, requires_grad=True)
    loss = ccc_loss(guess, torch.rand(1, 3))
    loss.backward()
    assert float(loss.detach()) == 3
    assert not guess.grad.any()


def test_ccc_loss_descends() -> None:
    generator = torch.Generator().manual_seed(1)
    target = torch.rand(16, 3, generator=generator)
    guess = torch.rand(16, 3, generator=generator).requires_grad_(True)
    losses = []
    for _ in range(40):
        loss = ccc_loss(guess, target)
        (gradient,) = torch.autograd.grad(loss, guess)
        guess = (guess - gradient).detach().requires_grad_(True)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_class_weights_are_inverse_frequencies() -> None:
    regions = torch.tensor([0] * 6 + [1] * 3 + [7] * 1)
    expected = [10 / (8 * 6), 10 / (8 * 3), 0, 0, 0, 0, 0, 10 / 8]
    torch.testing.assert_close(class_weights(regions, 8), torch.tensor(expected))
    even = class_weights(torch.arange(8).repeat(5), 8)
    torch.testing.assert_close(even, torch.ones(8))


def test_class_weights_make_regions_equal() -> None:
    """Every region that occurs has the same share in the weighted sum."""
    regions = torch.tensor([2] * 9 + [5] * 1)
    weights = class_weights(regions, 8)
    shares = F.one_hot(regions, 8).float().sum(0) * weights
    assert shares[2] == shares[5] > 0


@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_auxiliary_weight(floor: float) -> None:
    found = [auxiliary_weight(epoch, floor) for epoch in range(8)]
    assert found == pytest.approx([1, 0.802, 0.604, 0.406, 0.208, floor, floor, floor])
