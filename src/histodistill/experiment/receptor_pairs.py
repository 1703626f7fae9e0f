"""ER and PR held against each other: exchanged columns and slipped rows break what ties them.

The progesterone receptor is made on the word of the estrogen receptor. In published cohorts some
10 to 15 % of tumours are ER positive and PR negative, 1 to 4 % the reverse (TCGA-BRCA here: 51 and
8 of 456), and of those without ER a tenth or less has PR.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from histodistill.cohort.receptors import receptors_of
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment

# Far above what cohorts have; one right at these shares would be told once in a hundred.
_REVERSE_SHARE, _PR_WITHOUT_ER = 0.5, 0.25
_CHANCE = 0.01
_STRETCHES = (1, 2, 4)


def receptor_pair_notes(experiment: Experiment, data: ExperimentData) -> Iterator[str]:
    """What is implausible about ER and PR together, in a sentence; nothing without both."""
    found = _positive_by_receptor(experiment, data)
    if "ER" not in found or "PR" not in found:
        return
    both = pd.concat([found["ER"].rename("ER"), found["PR"].rename("PR")], axis=1).dropna()
    both = both.astype(bool).reindex([p for p in data.clinical.rows if p in both.index])
    er_alone = int((both["ER"] & ~both["PR"]).sum())
    pr_alone = int((~both["ER"] & both["PR"]).sum())
    if _more(pr_alone, er_alone + pr_alone, _REVERSE_SHARE):
        yield (
            f"{pr_alone} patients are PR positive and ER negative, and {er_alone} the reverse, "
            "which is several times as frequent elsewhere: are the columns of ER and PR exchanged?"
        )
        return
    yield from _unrelated(both)


def _unrelated(both: pd.DataFrame) -> Iterator[str]:
    """The first stretch of rows in which PR does not follow ER."""
    for rows in (part for n in _STRETCHES for part in np.array_split(np.arange(len(both)), n)):
        part = both.iloc[rows]
        with_pr, without_er = int((part["PR"] & ~part["ER"]).sum()), int((~part["ER"]).sum())
        if _more(with_pr, without_er, _PR_WITHOUT_ER):
            where = "" if len(part) == len(both) else f" between {part.index[0]} and "
            where += "" if len(part) == len(both) else f"{part.index[-1]} (clinical table)"
            yield (
                f"{with_pr} of {without_er} ER-negative patients{where} are PR positive, where a "
                "tenth or less is elsewhere: do the labels belong to the same patients (a column "
                "sorted alone, rows that slipped)?"
            )
            return


def _positive_by_receptor(
    experiment: Experiment, data: ExperimentData
) -> dict[str, pd.Series[bool]]:
    """Who is positive, by receptor, where one target of two classes speaks of it."""
    found: dict[str, pd.Series[bool]] = {}
    for target in experiment.targets.values():
        receptors = list(receptors_of((target.name, target.column)))
        if len(receptors) == 1 and target.positive_index is not None:
            found[receptors[0].name] = data.labels(target.name) == target.positive_index
    return found


def _more(count: int, of: int, share: float) -> bool:
    """Whether so many cannot be by chance where the share is at most this one."""
    from scipy.special import bdtrc  # scipy.stats would cost the start of every audit a second

    return bool(bdtrc(count - 1, of, share) < _CHANCE) if count else False
