"""Triage: positive, negative, or send to immunohistochemistry, from a policy that is stated.

A policy names the risk that may be taken; the thresholds follow from patients who took no part in
training, with a bound that holds with 95 % confidence whatever the distribution of the scores, as
long as new patients are like these. Conformal risk control in its high-probability form: Bates et
al., "Distribution-free, risk-controlling prediction sets", J. ACM 2021; Angelopoulos et al., "Learn
then test", Ann. Appl. Stat. 2025. The risks are conditional on the class, so that they hold at
another prevalence as well. Patients of other hospitals are not like these: where the promise is
theirs, the patients count as the fewer that ``hospitals.py`` says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveFloat, model_validator
from scipy.special import betaincinv

from histodistill.calibration.hospitals import Groups, most_worth, smallest, worth
from histodistill.errors import InputError
from histodistill.settings import Settings

Floats = npt.NDArray[np.float64]
Answer = Literal["positive", "negative", "send to IHC"]
CONFIDENCE = 0.95
# Thresholds that are looked at for a PPV; each takes its part of the 5 %.
_CANDIDATES = 20
_CANDIDATE_CONFIDENCE = 1 - (1 - CONFIDENCE) / _CANDIDATES


class Costs(Settings):
    """What each end costs, in any unit.

    Attributes:
        missed: A positive patient who is called negative.
        false_alarm: A negative patient who is called positive.
        ihc: A patient who is sent to immunohistochemistry.
    """

    missed: PositiveFloat
    false_alarm: PositiveFloat
    ihc: PositiveFloat


class TriagePolicy(Settings):
    """What may go wrong, and how often; or what it costs. What is not stated is not released.

    Attributes:
        max_missed: At most this share of the positive patients is called negative; None never
            calls anybody negative.
        max_false_alarms: At most this share of the negative patients is called positive.
        min_ppv: At least this share of those called positive is positive, at the prevalence of
            the calibration patients; instead of ``max_false_alarms``. With neither nobody is
            called positive.
        costs: Instead of all these, the costs whose expectation each answer minimises. It rests
            on calibrated probabilities, and promises no risk.
    """

    max_missed: float | None = Field(default=None, gt=0, lt=1)
    max_false_alarms: float | None = Field(default=None, gt=0, lt=1)
    min_ppv: float | None = Field(default=None, gt=0, lt=1)
    costs: Costs | None = None

    @model_validator(mode="after")
    def _something_is_stated(self) -> TriagePolicy:
        if self.max_false_alarms is not None and self.min_ppv is not None:
            raise ValueError("state `max_false_alarms` or `min_ppv`, not both")
        risks = (self.max_missed, self.max_false_alarms, self.min_ppv)
        stated = any(risk is not None for risk in risks)
        if stated and self.costs is not None:
            raise ValueError("state `costs` or the other limits, not both")
        if not stated and self.costs is None:
            raise ValueError("state `max_missed`, `max_false_alarms`, `min_ppv` or `costs`")
        return self


@dataclass(frozen=True)
class Bound:
    """One side of a triage rule.

    Attributes:
        threshold: Negative below it, or positive from it on; NaN releases nobody.
        errors: Errors among the calibration patients.
        of: Patients whom the share of errors is of.
        limit: Upper limit of the share of errors, with 95 % confidence.
        hospitals: Of how many hospitals they are, where the promise is for other ones.
        worth: How many patients, of hospitals of their own, they count as there.
    """

    threshold: float
    errors: int
    of: int
    limit: float
    hospitals: int | None = None
    worth: float | None = None

    @property
    def promise(self) -> str:
        """The limit, and for whom it holds, in words."""
        told = f"with 95 % confidence at most {self.limit:.3f}"
        if self.hospitals is None or self.worth is None:
            return told
        return (
            f"{told} in other hospitals like these {self.hospitals}, for which {self.of} patients "
            f"count as {self.worth:.0f}"
        )


@dataclass(frozen=True)
class TriageRule:
    """Thresholds with what they are certified for.

    Attributes:
        negative: Who is called negative; None where the policy does not say.
        positive: Who is called positive.
    """

    negative: Bound | None
    positive: Bound | None

    def answers(self, p: npt.ArrayLike) -> list[Answer]:
        """The answer for each probability; NaN is sent to IHC."""
        values = np.asarray(p, dtype=np.float64)
        low = self.negative.threshold if self.negative else -math.inf
        high = self.positive.threshold if self.positive else math.inf
        return [
            "positive" if value >= high else "negative" if value < low else "send to IHC"
            for value in values
        ]


def fit_triage(
    policy: TriagePolicy, y: npt.ArrayLike, p: npt.ArrayLike, hospital: Groups | None = None
) -> TriageRule:
    """Choose thresholds that keep the policy.

    Args:
        policy: The policy.
        y: [n], 1 for positive calibration patients, otherwise 0.
        p: [n], their probability of the positive class.
        hospital: [n], the hospital of each by number, for a promise to patients of other
            hospitals; None for patients like these.

    Raises:
        InputError: There are too few patients, or hospitals, for any threshold to be certified;
            says how many it would take.
    """
    known, values = np.asarray(y).astype(bool), np.asarray(p, dtype=np.float64)
    if policy.costs is not None:
        return _cheapest(policy.costs, known, values)
    negative = positive = None
    problems = unsupported(policy, int(known.sum()), int((~known).sum()))
    if policy.max_missed is not None:
        negative = _largest_below(values[known], policy.max_missed, _among(hospital, known))
        problems += _too_alike(negative, policy.max_missed, "positive")
    if policy.max_false_alarms is not None:
        mirrored = _largest_below(
            -values[~known], policy.max_false_alarms, _among(hospital, ~known)
        )
        positive = replace(mirrored, threshold=np.nextafter(-mirrored.threshold, math.inf))
        problems += _too_alike(positive, policy.max_false_alarms, "negative")
    if policy.min_ppv is not None:
        positive = _precise(known, values, policy.min_ppv, hospital)
        enough = not _too_few_for_ppv(policy.min_ppv, int(known.sum()))
        if math.isnan(positive.threshold) and enough:
            problems.append(_no_ppv(policy.min_ppv, len(known), positive))
    if problems:
        raise InputError(*problems)
    return _apart(TriageRule(negative, positive))


def _among(hospital: Groups | None, who: npt.NDArray[np.bool_]) -> Groups | None:
    return None if hospital is None else hospital[who]


def unsupported(policy: TriagePolicy, n_positive: int, n_negative: int) -> list[str]:
    """Why so many patients cannot certify a policy whatever their answers; empty if they may."""
    problems = []
    if policy.max_missed is not None:
        problems += _too_few(policy.max_missed, n_positive, "positive")
    if policy.max_false_alarms is not None:
        problems += _too_few(policy.max_false_alarms, n_negative, "negative")
    if policy.min_ppv is not None:
        problems += _too_few_for_ppv(policy.min_ppv, n_positive)
    return problems


def unsupported_elsewhere(policy: TriagePolicy, y: npt.ArrayLike, hospital: Groups) -> list[str]:
    """Why these patients cannot certify a policy for other hospitals whatever their answers.

    As how many patients they count follows from their answers, and is at most what the number and
    the sizes of their hospitals leave. What their number alone refuses is told by `unsupported`.

    Args:
        policy: What may go wrong, and how often.
        y: [n], 1 for positive patients, otherwise 0.
        hospital: [n], the hospital of each by number.
    """
    known = np.asarray(y).astype(bool)
    sides = [(policy.max_missed, known, "positive"), (policy.max_false_alarms, ~known, "negative")]
    problems = []
    for risk, own, kind in sides:
        if risk is not None:
            n, there = int(own.sum()), hospital[own]
            most = most_worth(there, CONFIDENCE) * n
            best = Bound(-math.inf, 0, n, upper_limit(0, most), len(np.unique(there)), most)
            problems += _too_alike(best, risk, kind)
    if policy.min_ppv is not None:
        problems += _too_alike_for_ppv(policy.min_ppv, int(known.sum()), hospital)
    return problems


def _too_alike_for_ppv(ppv: float, n_positive: int, hospital: Groups) -> list[str]:
    """Why so few hospitals certify no positive calls, were all of one size and no call an error."""
    k = len(np.unique(hospital))
    most = most_worth(np.arange(k), _CANDIDATE_CONFIDENCE) * n_positive
    needed = patients_needed(1 - ppv, _CANDIDATE_CONFIDENCE)
    if n_positive < needed or upper_limit(0, most, _CANDIDATE_CONFIDENCE) <= 1 - ppv:
        return []
    return [
        f"a positive predictive value of {ppv:g} cannot be certified for other hospitals by "
        f"{n_positive} positive patients of {k}: hospitals are few, so that they count as "
        f"{most:.0f} at most; it takes {needed}, or more hospitals"
    ]


def _too_few_for_ppv(ppv: float, n_positive: int) -> list[str]:
    """Why no positive calls of so many patients can be precise enough.

    At best all positive patients are called so, and nobody else; negative ones among them are
    errors, which certify no more than fewer calls without them.
    """
    needed = patients_needed(1 - ppv, _CANDIDATE_CONFIDENCE)
    if n_positive >= needed:
        return []
    reached = 1 - upper_limit(0, n_positive, _CANDIDATE_CONFIDENCE)
    return [
        f"a positive predictive value of {ppv:g} cannot be certified by {n_positive} positive "
        f"patients: all of them called positive and nobody else show no more than {reached:.3f}; "
        f"it takes {needed} or more"
    ]


def _cheapest(costs: Costs, known: npt.NDArray[np.bool_], values: Floats) -> TriageRule:
    """Thresholds on calibrated probabilities at which each answer is the cheapest expected one."""
    even = costs.false_alarm / (costs.false_alarm + costs.missed)
    low = min(costs.ihc / costs.missed, even)
    high = max(1 - costs.ihc / costs.false_alarm, even)
    missed, of_positive = int((values[known] < low).sum()), int(known.sum())
    alarms, of_negative = int((values[~known] >= high).sum()), int((~known).sum())
    return TriageRule(
        Bound(low, missed, of_positive, upper_limit(missed, of_positive)),
        Bound(high, alarms, of_negative, upper_limit(alarms, of_negative)),
    )


def upper_limit(errors: float, of: float, confidence: float = CONFIDENCE) -> float:
    """Clopper-Pearson's one-sided upper limit of a share; 0 of 60 gives .049.

    Numbers that are not whole are those of patients who count as fewer.
    """
    return 1.0 if errors >= of else float(betaincinv(errors + 1, of - errors, confidence))


def patients_needed(risk: float, confidence: float = CONFIDENCE) -> int:
    """The fewest patients without any error that certify a risk."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - risk))


def _too_few(risk: float, n_patients: int, kind: str) -> list[str]:
    needed = patients_needed(risk)
    if n_patients >= needed:
        return []
    return [
        f"errors in at most {risk:g} cannot be certified by {n_patients} {kind} patients: even "
        f"without an error they show no less than {upper_limit(0, n_patients):.3f}; it takes "
        f"{needed} or more"
    ]


def _too_alike(bound: Bound, risk: float, kind: str) -> list[str]:
    """Why enough patients do not certify a risk in other hospitals, and how many would."""
    needed = patients_needed(risk)
    if bound.limit <= risk or bound.of < needed or bound.worth is None:
        return []
    told = (
        f"errors in at most {risk:g} cannot be certified for other hospitals by {bound.of} {kind} "
        f"patients of {bound.hospitals}: "
    )
    if bound.worth < 1:
        return [f"{told}they say next to nothing of others; it takes more hospitals"]
    more = math.ceil(needed * bound.of / bound.worth)
    return [
        f"{told}hospitals are few, or differ, so that they count as {bound.worth:.0f} and even "
        f"without an error show no less than {upper_limit(0, bound.worth):.3f}; it takes {needed}, "
        f"about {more} patients of hospitals like these"
    ]


def _largest_below(scores: Floats, risk: float, hospital: Groups | None) -> Bound:
    """The largest threshold below which few of these scores lie, certified one after the other.

    From the smallest threshold on, each is tested at the same confidence until one fails: fixed
    sequence testing needs no correction, since the risk grows with the threshold.
    """
    ordered, n = np.sort(scores), len(scores)
    share, told = 1.0, Bound(-math.inf, 0, n, upper_limit(0, n))
    if hospital is not None:
        share = worth(smallest(scores, risk), hospital, CONFIDENCE)
        told = replace(told, hospitals=len(np.unique(hospital)), worth=share * n)
    best = replace(told, limit=upper_limit(0, share * n))
    for errors in range(n):
        limit = upper_limit(share * errors, share * n)
        if limit > risk:
            break
        # Below a score lie those before it; equal ones are not below it.
        if errors == 0 or ordered[errors] > ordered[errors - 1]:
            best = replace(told, threshold=float(ordered[errors]), errors=errors, limit=limit)
    return best


def _precise(
    known: npt.NDArray[np.bool_], values: Floats, ppv: float, hospital: Groups | None
) -> Bound:
    """The smallest threshold whose positive calls are certified to be right often enough.

    Precision is not monotone in the threshold, so a fixed set of shares called positive is
    tested, with Bonferroni's correction.
    """
    ordered = np.sort(values)[::-1]
    shares = np.arange(1, _CANDIDATES + 1) / _CANDIDATES
    thresholds = [ordered[max(round(share * len(ordered)) - 1, 0)] for share in shares]
    share = _worth_of_calls(known, values, thresholds, ppv, hospital)
    best = Bound(math.nan, 0, 0, 1.0)
    for threshold in thresholds:
        called = values >= threshold
        errors, of = int((called & ~known).sum()), int(called.sum())
        limit = upper_limit(share * errors, share * of, _CANDIDATE_CONFIDENCE)
        found = Bound(float(threshold), errors, of, limit)
        if hospital is not None:
            found = replace(found, hospitals=len(np.unique(hospital[called])), worth=share * of)
        if limit <= 1 - ppv:
            best = found
        elif math.isnan(best.threshold) and limit < best.limit:
            best = replace(found, threshold=math.nan)
    return best


def _worth_of_calls(
    known: npt.NDArray[np.bool_],
    values: Floats,
    thresholds: list[float],
    ppv: float,
    hospital: Groups | None,
) -> float:
    """As how many patients one who is called positive counts, where the stated share is wrong."""
    if hospital is None:
        return 1.0
    called = [values >= threshold for threshold in thresholds]
    wrong = next((who for who in called if (~known[who]).mean() >= 1 - ppv), called[-1])
    return worth(~known[wrong], hospital[wrong], _CANDIDATE_CONFIDENCE)


def _no_ppv(ppv: float, n_patients: int, closest: Bound) -> str:
    needed = patients_needed(1 - ppv, _CANDIDATE_CONFIDENCE)
    return (
        f"a positive predictive value of {ppv:g} cannot be certified by these {n_patients} "
        f"patients: the best that is certified is {1 - closest.limit:.3f} "
        f"({closest.errors} of {closest.of} called positive are not{_counted(closest)}); it takes "
        f"{needed} or more patients called positive without an error"
    )


def _counted(bound: Bound) -> str:
    return "" if bound.worth is None else f", who count as {bound.worth:.0f} for other hospitals"


def _apart(rule: TriageRule) -> TriageRule:
    """A rule in which nobody is called both: where both would be allowed, the middle decides."""
    negative, positive = rule.negative, rule.positive
    if negative is None or positive is None or negative.threshold <= positive.threshold:
        return rule
    middle = (negative.threshold + positive.threshold) / 2
    return TriageRule(replace(negative, threshold=middle), replace(positive, threshold=middle))
