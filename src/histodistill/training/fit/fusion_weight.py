"""How much the slide counts beside the genes, where a model adds up the answers of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.inference import Probabilities
from histodistill.model.teachers.multimodal.experts import SLIDE_WEIGHT, Experts
from histodistill.training.fit.fitted_model import FittedModel

Matrix = NDArray[np.float64]

# The weight is expected about its default, give or take this much, before patients have a say.
_SPREAD = 0.3
_MOST = 2.0
# Logits of the sum are multiplied by e to this power at most, either way.
_STEEPEST = 3.0
_LEAST_PROBABILITY = 1e-6


def weigh_experts(
    models: Sequence[FittedModel],
    held_out: Sequence[Sequence[str]],
    answers: Sequence[Probabilities],
    labels: pd.Series[int],
) -> bool:
    """Give the experts of all models the weight that their held-out patients call for.

    Args:
        models: Models whose probabilities are averaged; those of another kind stay as they are.
        held_out: Patients whom each model was not fitted on.
        answers: What each says of them.
        labels: Class indices, by patient.

    Returns:
        Whether a weight was set, so that answers of the multimodal networks are others now.
    """
    experts = [model.member.networks.multimodal for model in models]
    if not all(isinstance(each, Experts) for each in experts):
        return False
    if not all({"student", "genomic"} <= set(answer) for answer in answers):
        return False
    slide, genes = (np.concatenate([a[name] for a in answers]) for name in ("student", "genomic"))
    known = np.asarray(labels.loc[[p for part in held_out for p in part]], dtype=np.int64)
    weight = learnt_weight(slide, genes, known)
    for each in experts:
        assert isinstance(each, Experts)
        each.slide_weight.fill_(weight)
    return True


def learnt_weight(slide: Matrix, genes: Matrix, labels: NDArray[np.int64]) -> float:
    """The weight of the slide's logits, those of the genes counting 1.

    Stacking: the most likely weight, under a normal prior about the default, in a logistic model
    of the label with the weighted sum of both logits, a common factor and a constant for each
    class. Factor and constants are of no further use: what is added up is calibrated elsewhere.
    Where genes say nearly all, the weight stays small; where they are few or noisy, it grows.

    Args:
        slide: Class probabilities from slides, [n, C]; NaN where there are none.
        genes: From genes, [n, C].
        labels: Class indices, [n].

    Returns:
        Between 0 and 2; the default where nobody has both.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    both = ~np.isnan(slide).any(axis=1) & ~np.isnan(genes).any(axis=1)
    if not both.any():
        return SLIDE_WEIGHT
    own, other = (np.log(p[both].clip(_LEAST_PROBABILITY)) for p in (slide, genes))
    rows, right = np.arange(both.sum()), labels[both]

    def unlikely(values: NDArray[np.float64]) -> float:
        weight, factor = values[0], np.exp(values[1])
        logits = factor * (other + weight * own)
        logits[:, 1:] += values[2:]
        likelihood = log_softmax(logits, axis=1)[rows, right].sum()
        return float(((weight - SLIDE_WEIGHT) / _SPREAD) ** 2 / 2 - likelihood)

    start = np.array([SLIDE_WEIGHT, 0.0, *np.zeros(own.shape[1] - 1)])
    bounds = [(0.0, _MOST), (-_STEEPEST, _STEEPEST), *[(-10.0, 10.0)] * (own.shape[1] - 1)]
    return float(minimize(unlikely, start, method="L-BFGS-B", bounds=bounds).x[0])
