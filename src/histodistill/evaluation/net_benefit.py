"""Decision curves: what acting on a model's probabilities is worth.

A. J. Vickers and E. B. Elkin, "Decision curve analysis: a novel method for evaluating prediction
models", Medical Decision Making 26 (2006) 565-574: at a threshold t, a false positive costs
t / (1 - t) of what a true positive is worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histodistill.evaluation.answers import FloatArray
from histodistill.evaluation.intervals import resamples
from histodistill.evaluation.runs import Runs

THRESHOLDS = np.arange(1, 100) / 100
_RESAMPLES = 500
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit, in true positives a patient, with its pointwise 95 % bootstrap interval.

    Attributes:
        thresholds: [g] probabilities from which a patient is treated as positive.
        net_benefit: [g] of the model; that of treating nobody is 0.
        low: [g] lower limit.
        high: [g] upper limit.
        treat_all: [g] of treating everybody.
    """

    thresholds: FloatArray
    net_benefit: FloatArray
    low: FloatArray
    high: FloatArray
    treat_all: FloatArray


def decision_curve(
    runs: Runs,
    thresholds: FloatArray = THRESHOLDS,
    *,
    n_resamples: int = _RESAMPLES,
    seed: int = 0,
) -> DecisionCurve:
    """The decision curve of two classes, the mean over runs; the bootstrap draws patients.

    Args:
        runs: Answers, at least one patient.
        thresholds: [g] ascending, within 0 to 1, neither of them.
        n_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    everybody = np.ones((1, len(runs)))
    drawn = np.concatenate(
        [_net_benefit(runs, w, thresholds) for w in resamples(runs.y, n_resamples, seed)]
    )
    low, high = np.quantile(drawn, _TAILS, axis=0)
    prevalence = float((runs.y == 1).mean())
    return DecisionCurve(
        thresholds,
        _net_benefit(runs, everybody, thresholds)[0],
        low,
        high,
        prevalence - (1 - prevalence) * _price(thresholds),
    )


def _price(thresholds: FloatArray) -> FloatArray:
    """What a false positive costs, in true positives."""
    return thresholds / (1 - thresholds)


def _net_benefit(runs: Runs, weights: FloatArray, thresholds: FloatArray) -> FloatArray:
    """[B, g] net benefit under each row of the patients' weights [B, n], the mean over runs."""
    of_runs = []
    for run, own in runs.weighted(weights):
        called = run.positive[:, None] >= thresholds
        case = (run.y == 1)[:, None]
        true, false = own @ (called & case), own @ (called & ~case)
        of_runs.append((true - false * _price(thresholds)) / own.sum(axis=1, keepdims=True))
    return np.asarray(np.mean(of_runs, axis=0))
