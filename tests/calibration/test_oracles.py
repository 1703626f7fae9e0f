"""Calibration, triage and scope beside the libraries that compute the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from histodistill.calibration.triage import TriagePolicy, fit_triage
from histodistill.calibration.venn_abers import VennAbersCalibrator
from histodistill.inference.scope import limit_of


def patients(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    return y, expit(rng.normal(0, 1, n) + 2.5 * (y - 0.5))


def test_venn_abers_is_that_of_its_authors() -> None:
    library = pytest.importorskip("venn_abers")
    y, p = patients(150)
    new = patients(60, seed=1)[1]
    oracle = library.VennAbers()
    oracle.fit(np.column_stack([1 - p, p]), y)
    merged, limits = oracle.predict_proba(np.column_stack([1 - new, new]))
    own = VennAbersCalibrator.fit(y, p)
    assert own.transform(new) == pytest.approx(merged[:, 1], abs=1e-9)
    assert np.column_stack(own.limits(new)) == pytest.approx(limits, abs=1e-9)


def test_the_limit_of_the_scope_is_where_crepes_p_values_fall_below_the_share() -> None:
    crepes = pytest.importorskip("crepes")
    rng = np.random.default_rng(0)
    usual, new = rng.gamma(2, 1, 250), rng.gamma(2, 2, 400)
    # Where an outlier is a patient who conforms to nothing, a p-value is of one class.
    conforming = crepes.ConformalClassifier().fit(usual)
    chances = conforming.predict_p(new[:, None], smoothing=False)[:, 0]
    assert ((new > limit_of(usual, 0.02)) == (chances <= 0.02)).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_exact_rule_releases_all_that_mapie_certifies_and_little_more(seed: int) -> None:
    control = pytest.importorskip("mapie.risk_control")
    y, p = patients(600, seed)
    rule = fit_triage(TriagePolicy(max_missed=0.1), y, p)
    assert rule.negative is not None
    grid = np.sort(p[y == 1])[:60]
    controller = control.BinaryClassificationController(
        lambda X: np.column_stack([1 - X[:, 0], X[:, 0]]),
        risk="recall",
        target_level=0.9,
        confidence_level=0.95,
        list_predict_params=grid,
        fwer_method="fixed_sequence",
    )
    controller.calibrate(p[:, None], y)
    certified = np.asarray(controller.valid_predict_params)
    assert len(certified)
    assert certified.max() <= rule.negative.threshold
    # Its bound is not the exact one; it gives away a few patients.
    positive = p[y == 1]
    given_away = (positive < rule.negative.threshold).sum() - (positive < certified.max()).sum()
    assert given_away <= 6
