"""Coverage of triage, and recalibration for a site, with a known truth; for trust.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from histodistill.calibration.site import align
from histodistill.calibration.triage import TriagePolicy, fit_triage
from histodistill.errors import InputError


def drawn(
    rng: np.random.Generator, n: int, share: float = 0.5, shift: float = 0.0, stretch: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities whose log odds are skewed, moved and stretched."""
    y = (rng.random(n) < share).astype(int)
    x = rng.gamma(4, 0.5, n) - 2 + 2.5 * (y - 0.5)
    return y, expit(shift + stretch * x)


def coverage(shifts: tuple[float, ...], cohorts_: int = 300) -> Iterator[dict[str, object]]:
    """How often the true risk of a certified rule is beyond its limit; truth by 50,000 patients."""
    for shift in shifts:
        rng = np.random.default_rng(1)
        new_y, new_p = drawn(rng, 50_000, shift=shift)
        risks = []
        for _ in range(cohorts_):
            y, p = drawn(rng, 400)
            rule = fit_triage(TriagePolicy(max_missed=0.05), y, p)
            assert rule.negative is not None
            risks.append(float((new_p[new_y == 1] < rule.negative.threshold).mean()))
        beyond = float(np.mean(np.array(risks) > 0.05))
        yield {
            "patients": "the same hospital" if not shift else f"log odds shifted by {shift:g}",
            "cohorts": cohorts_,
            "mean true share missed": float(np.mean(risks)),
            "beyond 5 %": beyond,
        }


# Patients of 27 hospitals, of which the large have most, as those of the real cohort.
HOSPITALS = np.maximum(np.round(100 / np.arange(1, 28) ** 1.2).astype(int), 1)


def hospital_coverage(cohorts_: int = 600) -> Iterator[dict[str, object]]:
    """How often the true risk in other hospitals is beyond its limit, by both kinds of promise.

    Scores of positive patients are normal with a standard deviation of 1 within a hospital, and the
    means of hospitals have another one, so that the true risk of a threshold is known.
    """
    hospital = np.repeat(np.arange(len(HOSPITALS)), HOSPITALS)
    policy, y = TriagePolicy(max_missed=0.05), np.ones(len(hospital), dtype=int)
    for between in (0.0, 0.3, 0.6):
        for promised, told in ((None, "patients like these"), (hospital, "other hospitals")):
            rng, risks = np.random.default_rng(2), []
            for _ in range(cohorts_):
                x = rng.normal(0, between, len(HOSPITALS))[hospital] + rng.normal(size=len(y))
                try:
                    rule = fit_triage(policy, y, expit(x), promised)
                except InputError:
                    continue
                assert rule.negative is not None
                risks.append(norm.cdf(logit(rule.negative.threshold) / np.hypot(1, between)))
            yield {
                "between hospitals": between,
                "promised to": told,
                "patients": len(y),
                "cohorts": cohorts_,
                "refused": 1 - len(risks) / cohorts_,
                "mean true share missed": float(np.mean(risks)),
                "beyond 5 %": float((np.array(risks) > 0.05).sum() / cohorts_),
            }


SITES_SIMULATED = ((-1.0, 1.0, 0.5), (-1.0, 0.8, 0.3), (-0.6, 1.2, 0.7), (0.0, 1.0, 0.5))


def recalibrated(cohorts_: int = 45) -> Iterator[dict[str, object]]:
    """Error of the sensitivity at a site before and after, from 30 labelled patients of it."""
    for shift, stretch, share in SITES_SIMULATED:
        for free in (0, 200):
            before, after, held = [], [], []
            for number in range(cohorts_):
                rng = np.random.default_rng(number)
                y, p = drawn(rng, 400)
                threshold = float(np.quantile(p[y == 1], 0.05))
                labelled = drawn(rng, 30, share, shift, stretch)
                unlabelled = drawn(rng, free, share, shift, stretch)[1]
                judged = number < cohorts_ // 3  # resamples take most of the time
                found = align(y, p, *labelled, unlabelled, resamples=40 if judged else 1)
                new_y, new_p = drawn(rng, 20_000, share, shift, stretch)
                new = new_p[new_y == 1]
                moved = float((new >= found.best.as_site([threshold])[0]).mean())
                before.append(abs(float((new >= threshold).mean()) - 0.95))
                after.append(abs(moved - 0.95))
                if judged:
                    _, low, high = found.sensitivity(p[y == 1], threshold)
                    held.append(low <= moved <= high)
            yield {
                "shift": shift,
                "stretch": stretch,
                "share positive": share,
                "labelled": 30,
                "without label": free,
                "error before": float(np.mean(before)),
                "error after": float(np.mean(after)),
                "interval holds": float(np.mean(held)),
            }
