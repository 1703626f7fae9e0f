"""Baselines of other packages, fitted once before hours of work end at them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from histodistill.baselines.registry import BASELINES, build_baseline
from histodistill.registry import line_at_fault

_ASKED = 3


def rehearsal_problems(
    name: str, inputs: Sequence[str], n_training: int, n_classes: int
) -> Iterator[str]:
    """A sentence where a baseline of another package cannot be fitted, and answer.

    It is fitted on as many patients and values as it will be, all of them random. Baselines of this
    package are tested with it, and are not run.

    Args:
        name: The baseline's.
        inputs: Names of the d values of a patient.
        n_training: Patients of the smallest training part.
        n_classes: Number C of classes.
    """
    if BASELINES.package_of(name) is None:
        return
    try:
        wrong = _fitted_and_asked(name, inputs, n_training, n_classes)
    except Exception as error:  # whatever somebody's baseline does
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        wrong = f"{what} ({line_at_fault(error, [BASELINES.load(name)])})"
    if wrong:
        yield f"baseline `{name}`: fitted on toy patients, it fails: {wrong}"


def _fitted_and_asked(name: str, inputs: Sequence[str], n_training: int, n_classes: int) -> str:
    """What is wrong with its answers; empty where nothing is."""
    numbers = np.random.default_rng(0)
    x = numbers.standard_normal((max(n_training, 2 * n_classes), len(inputs)))
    fitted = build_baseline(name, inputs, n_classes).fit(x, np.arange(len(x)) % n_classes)
    if not hasattr(fitted, "predict_proba"):
        return f"`fit` gives a {type(fitted).__name__} and not the baseline itself"
    answer = np.asarray(fitted.predict_proba(x[:_ASKED]), dtype=np.float64)
    if answer.shape != (_ASKED, n_classes):
        return f"`predict_proba` gives {list(answer.shape)} and not {[_ASKED, n_classes]}"
    if not (answer >= 0).all() or not np.allclose(answer.sum(axis=1), 1):
        return "`predict_proba` gives no probabilities: 0 or more, of each patient together 1"
    return ""
