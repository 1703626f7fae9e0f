"""The table of patients: how wrong and how sure each answer is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from histodistill.viewer.cohort import Cohort
from histodistill.viewer.reviews import Review


def patients_table(cohort: Cohort, reviews: Mapping[str, Review]) -> pd.DataFrame:
    """A row a patient.

    ``error`` is 1 less the probability of the true class. ``uncertainty`` is 1 less the distance
    between the two most probable classes: 1 where they are alike.

    Args:
        cohort: The patients.
        reviews: The verdict on each, where there is one.

    Returns:
        ``number``, ``patient``, ``truth``, ``call``, ``probability`` (of the positive class, or of
        the called one), ``error``, ``uncertainty``, ``verdict``, ``answered by``, ``site``,
        ``slides``, ``out of scope`` (why), each network's probabilities, and ``remark``; NaN where
        nothing is known.
    """
    known, probabilities = cohort.table, cohort.probabilities
    empty = Review("", "", "", "", "agree", "", "")
    table = pd.DataFrame(
        {
            "number": range(len(known)),
            "patient": known["PATIENT"],
            "truth": known["truth"],
            "call": known["call"],
            "probability": _shown(cohort),
            "error": 1 - _of_class(known["truth"], cohort),
            "uncertainty": 1
            - np.abs(np.diff(np.sort(probabilities, axis=1)[:, -2:], axis=1))[:, 0],
            "verdict": [reviews[p].verdict if p in reviews else "" for p in cohort.patients],
            "answered by": known["answered_by"],
            "site": known["site"],
            "slides": [len(cohort.slides.get(p, ())) for p in cohort.patients],
            "out of scope": known["scope"],
        }
    )
    for network in cohort.networks:
        table[network] = known[network]
    table["remark"] = [reviews.get(p, empty).remark for p in cohort.patients]
    return table


def _shown(cohort: Cohort) -> pd.Series[float]:
    if cohort.positive is None:
        return _of_class(cohort.table["call"], cohort)
    return pd.Series(cohort.probabilities[:, cohort.classes.index(cohort.positive)])


def _of_class(names: pd.Series[str], cohort: Cohort) -> pd.Series[float]:
    """The probability of a class of each patient, NaN where none is named."""
    place = {name: column for column, name in enumerate(cohort.classes)}
    values = [
        row[place[name]] if name in place else np.nan
        for name, row in zip(names, cohort.probabilities, strict=True)
    ]
    return pd.Series(values, dtype=np.float64)
