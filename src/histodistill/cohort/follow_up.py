"""Whether times and events can be the follow-up of patients, all in one unit."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from histodistill.cohort.receptors import name_words
from histodistill.errors import listed

_FEWEST_PATIENTS = 20
_FEWEST_OF_A_GROUP = 5
# Nobody is followed for longer than 60 years after a diagnosis of breast cancer.
_LONGEST = {"days": 21_915.0, "weeks": 3_131.0, "months": 720.0, "years": 60.0}
_WORDS = {"day": "days", "week": "weeks", "month": "months", "mo": "months", "year": "years"}
# Months and years differ by 12, days and months by 30. Hospitals differ by less than this in how
# long they follow their patients; the median of TCGA's by a factor of 6 at most.
_RATIO = 10
_MANY_ZEROS = 0.1


def follow_up_problems(survival: pd.DataFrame, column: str) -> Iterator[str]:
    """Times that cannot be what the column's name says, in ends of sentences.

    Args:
        survival: ``time`` and ``event`` of the patients who have both.
        column: The column of the times.
    """
    times = survival["time"]
    if len(times) >= _FEWEST_PATIENTS and times.between(1900, 2100).all():
        yield f"column '{column}' holds calendar years; give the time from diagnosis"
        return
    unit = _unit(column)
    if unit is None:
        return
    beyond = times[times > _LONGEST[unit]]
    if len(beyond):
        names = listed([str(patient) for patient in beyond.index], 5)
        yield (
            f"column '{column}' is in {unit} by its name, and {len(beyond)} of {len(times)} times "
            f"are above {_LONGEST[unit]:g} ({names}): in days, or in days and {unit} mixed; bring "
            "all to one unit and name the column after it"
        )


def follow_up_notes(
    survival: pd.DataFrame, sites: pd.Series[str], ages: pd.Series[float] | None, column: str
) -> Iterator[str]:
    """What is unusual about follow-up and may be meant, in sentences.

    Args:
        survival: ``time`` and ``event`` of the patients who have both.
        sites: Their hospitals; NaN where unknown.
        ages: Their ages in years, where known.
        column: The column of the times.
    """
    times, n = survival["time"], len(survival)
    if n < _FEWEST_PATIENTS:
        return
    yield from _of_events(survival, n)
    if times.min() == times.max():
        yield f"column '{column}' holds one time for all patients; is it the follow-up?"
        return
    zeros = int((times == 0).sum())
    if zeros > _MANY_ZEROS * n:
        yield f"{zeros} of {n} times in column '{column}' are 0; is 0 written for unknown?"
    if ages is not None and times.reindex(ages.index).corr(ages) > 0.999:
        yield f"column '{column}' goes with the age of the patients; is it the follow-up?"
    yield from _mixed_units(times, sites, column)


def _of_events(survival: pd.DataFrame, n: int) -> Iterator[str]:
    events = int(survival["event"].sum())
    if events == 0:
        yield f"none of {n} patients had the event: nothing can be learned from their follow-up"
    elif events > n / 2:
        yield (
            f"{events} of {n} patients had the event, where most patients with breast cancer are "
            "censored; if 1 means alive in this table, turn the codes round"
        )


def _mixed_units(times: pd.Series[float], sites: pd.Series[str], column: str) -> Iterator[str]:
    """Times of some hospitals, or those without decimals, that are many times the others'."""
    groups = sites.reindex(times.index)
    far = [str(site) for site, own in times.groupby(groups) if _far(own, times.drop(own.index))]
    if far:
        yield (
            f"times in column '{column}' of {listed(far, 5)} are more than {_RATIO} times as long "
            "or as short as those of the other hospitals: days beside months? Bring all to one unit"
        )
        return
    whole = times[times == times.round()]
    rest = times.drop(whole.index)
    # Some of the whole numbers are of the other unit.
    if _far(whole, rest, at=0.75) and whole.mean() > rest.mean():
        names = listed([str(patient) for patient in whole.index], 5)
        yield (
            f"{len(whole)} of {len(times)} times in column '{column}' are whole numbers, and more "
            f"than {_RATIO} times as long as the others ({names}): days beside months? Bring all "
            "to one unit"
        )


def _far(some: pd.Series[float], others: pd.Series[float], at: float = 0.5) -> bool:
    if min(len(some), len(others)) < _FEWEST_OF_A_GROUP:
        return False
    middle, other = float(some.quantile(at)), float(others.quantile(at))
    return middle > _RATIO * other > 0 or other > _RATIO * middle > 0


def _unit(column: str) -> str | None:
    """The unit that a column's name tells."""
    for word in name_words(column):
        unit = _WORDS.get(word.removesuffix("s"))
        if unit is not None:
            return unit
    return None
