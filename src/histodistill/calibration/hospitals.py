"""What patients of some hospitals say of a patient of another one.

Patients of one hospital share its scanner, its stain and its case mix, so that their errors come
together: n patients of k hospitals say less of a new hospital than n patients who have nothing in
common. How many they count as follows Korn & Graubard, "Confidence intervals for proportions with
small expected number of positive counts estimated from survey data" (Survey Methodology 1998): the
number over the design effect, and less for each hospital that is lacking. Two things are ours. The
design effect is measured where the stated share is wrong, since few errors or none tell of none.
And hospitals count as if all were as large as the large ones (Kish 1965), or one with most of the
patients would hide behind many with one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri, stdtrit

from histodistill.calibration.calibrator import Floats

Groups = npt.NDArray[np.int64]


def other_hospitals(
    sites: pd.Series | None, patients: Sequence[str], fold: npt.ArrayLike
) -> Groups | None:
    """The hospitals of patients, by number, where each is in one fold alone.

    What is certified on some folds is then judged, and promised, for other hospitals. Patients
    whose hospital is not known count as of one.

    Args:
        sites: The hospital of each patient (the index); None where none is known.
        patients: [n], names.
        fold: [n], the fold of each.

    Returns:
        [n]; None where hospitals are in several folds, so that a promise is for patients like
        these, or where fewer than two are known.
    """
    if sites is None:
        return None
    own = sites.reindex(list(patients)).astype(object)
    pairs = pd.DataFrame({"site": own.to_numpy(), "fold": np.asarray(fold)}).dropna()
    if pairs["site"].nunique() < 2 or pairs.drop_duplicates()["site"].duplicated().any():
        return None
    return np.asarray(pd.factorize(own.fillna("").astype(str))[0], dtype=np.int64)


def worth(wrong: npt.NDArray[np.bool_], hospital: Groups, confidence: float) -> float:
    """As how many patients, of hospitals of their own, one of these counts for a new hospital.

    Args:
        wrong: [n], the errors at a threshold at which about the stated share is wrong.
        hospital: [n], the hospital of each, by number.
        confidence: Of the limit that is asked for.

    Returns:
        From 0 (one hospital, which says nothing of others) to 1.
    """
    most = most_worth(hospital, confidence)
    if not most:
        return 0.0
    _, place, sizes = np.unique(hospital, return_inverse=True, return_counts=True)
    return most / max(_design_effect(wrong, place, sizes), 1.0)


def most_worth(hospital: Groups, confidence: float) -> float:
    """The most that :func:`worth` can be, whoever of these is wrong: what the hospitals leave.

    Args:
        hospital: [n], the hospital of each, by number.
        confidence: Of the limit that is asked for.
    """
    _, sizes = np.unique(hospital, return_counts=True)
    if len(sizes) < 2:
        return 0.0
    alike = len(hospital) ** 2 / float((sizes**2).sum())  # as many hospitals of one size
    return float(ndtri(confidence) / stdtrit(alike - 1, confidence)) ** 2


def smallest(scores: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Which scores [n] are the smallest, of about this share; equal ones are together."""
    if not len(scores):
        return np.zeros(0, dtype=bool)
    last = max(int(np.ceil(share * len(scores))) - 1, 0)
    return np.asarray(scores <= np.sort(scores)[last])


def _design_effect(wrong: npt.NDArray[np.bool_], place: Groups, sizes: Groups) -> float:
    """Variance of the share that is wrong, over that of as many patients drawn one by one."""
    n, k, share = len(wrong), len(sizes), float(wrong.mean())
    if share in (0.0, 1.0):
        return 1.0
    surplus = np.bincount(place, weights=wrong) - share * sizes
    between = k / (k - 1) * float((surplus**2).sum()) / n**2
    return between / (share * (1 - share) / n)
