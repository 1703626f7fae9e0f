"""A shifted site is aligned from few labelled patients, and more without a label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from histodistill.calibration.site import Alignment, align


def patients(
    n: int, share: float = 0.5, shift: float = 0.0, stretch: float = 1.0, seed: int = 0
) -> tuple[Any, Any]:
    """Skewed scores of both classes, moved and stretched."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    x = rng.gamma(4, 0.5, n) - 2 + 2.5 * (y - 0.5)
    return y, expit(shift + stretch * x)


def test_there_and_back() -> None:
    moved = Alignment(0.7, 1.4, 0.3)
    p = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(moved.as_training(moved.as_site(p)), p)
    np.testing.assert_allclose(Alignment(0, 1, 0.3).as_site(p), p)


@pytest.mark.parametrize(("shift", "stretch", "share"), [(-1.2, 0.8, 0.3), (1.0, 1.2, 0.7)])
def test_the_three_numbers_are_found(shift: float, stretch: float, share: float) -> None:
    training = patients(1500)
    labelled = patients(300, share, shift, stretch, seed=1)
    _, free = patients(2000, share, shift, stretch, seed=2)
    found = align(*training, *labelled, free, resamples=0).best
    assert found.shift == pytest.approx(shift, abs=0.15)
    assert found.stretch == pytest.approx(stretch, abs=0.12)
    assert found.share == pytest.approx(share, abs=0.05)


def test_thirty_patients_halve_the_error_of_the_sensitivity() -> None:
    errors = []
    for seed in range(8):
        y, p = patients(400, seed=seed)
        threshold = np.quantile(p[y == 1], 0.05)
        labelled = patients(30, 0.4, -1.0, 0.9, seed=100 + seed)
        _, free = patients(150, 0.4, -1.0, 0.9, seed=200 + seed)
        found = align(y, p, *labelled, free, resamples=0).best
        new_y, new_p = patients(5000, 0.4, -1.0, 0.9, seed=300 + seed)
        new = new_p[new_y == 1]
        moved = found.as_site([threshold])[0]
        errors.append([abs((new >= t).mean() - 0.95) for t in (threshold, moved)])
    before, after = np.mean(errors, axis=0)
    assert before > 0.1
    assert after < before / 2


def test_fewer_patients_leave_more_open() -> None:
    training = patients(400)
    widths = []
    for n in (20, 200):
        found = align(*training, *patients(n, 0.5, -1.0, seed=1), resamples=30)
        low, high = found.interval("shift")
        assert low < found.best.shift < high
        widths.append(high - low)
        expected, least, most = found.sensitivity(training[1][training[0] == 1], 0.3)
        assert 0 <= least <= expected <= most <= 1
    assert widths[1] < widths[0]


def test_the_same_patients_give_the_same_answer() -> None:
    training, labelled = patients(200), patients(30, seed=1)
    assert align(*training, *labelled, resamples=3) == align(*training, *labelled, resamples=3)


def test_one_class_alone_is_no_site() -> None:
    y, p = patients(100)
    with pytest.raises(ValueError, match="one class alone"):
        align(y, p, [1] * 10, np.linspace(0.1, 0.9, 10))
