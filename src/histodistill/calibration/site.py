"""A new site: calibration and threshold from few labelled patients of it, and unlabelled ones.

A scanner or a stain moves and stretches the scores of a site (their log odds x) and leaves their
order: ``x_site = shift + stretch x_training`` within each class, and the site has a share of
positive patients of its own. These three numbers are estimated together. Labelled patients tell
them by the likelihood of score and label; unlabelled ones by that of the mixture of both classes,
whose EM for the share alone is Saerens, Latinne & Decaestecker (Neural Computation 2002). The
classes' scores are taken as those of the model's held-out patients, smoothed.
Weak priors keep a few patients from saying too much: a shift of 0 ± 2, a stretch of 1 within a
factor of 1.3, and a share of positive patients whose log odds are those of training ± 1.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from histodistill.calibration.calibrator import Floats

_SHIFT_PRIOR, _STRETCH_PRIOR, _SHARE_PRIOR = 2.0, float(np.log(1.3)), 1.5
_RESAMPLES = 200
_GRID = 400
# Log odds are read no further out than this.
_EDGE = 1e-6


@dataclass(frozen=True)
class Alignment:
    """How a site's scores lie to those of the held-out patients of training.

    Attributes:
        shift: Of log odds.
        stretch: Of log odds, above 0.
        share: Share of positive patients at the site.
    """

    shift: float
    stretch: float
    share: float

    def as_training(self, p: npt.ArrayLike) -> Floats:
        """Probabilities [n] of patients of the site as training would have given them."""
        return np.asarray(expit((log_odds(p) - self.shift) / self.stretch))

    def as_site(self, p: npt.ArrayLike) -> Floats:
        """Probabilities [n] of training as the site would have given them."""
        return np.asarray(expit(self.shift + self.stretch * log_odds(p)))


@dataclass(frozen=True)
class AlignmentWithDoubt:
    """An alignment, and those that other patients of the site might have given.

    Attributes:
        best: The estimate.
        others: Estimates of resamples of the site's patients and of those of training.
    """

    best: Alignment
    others: tuple[Alignment, ...]

    def interval(self, name: str) -> tuple[float, float]:
        """The 95 % interval of one of its numbers."""
        values = [getattr(each, name) for each in self.others]
        low, high = np.percentile(values, [2.5, 97.5])
        return float(low), float(high)

    def sensitivity(self, positives: npt.ArrayLike, threshold: float) -> tuple[float, float, float]:
        """Sensitivity at the site at the aligned threshold, with its 95 % interval.

        Args:
            positives: [n], probabilities of positive held-out patients of training.
            threshold: The threshold at training, which the alignment carries over.
        """
        p = np.asarray(positives, dtype=np.float64)
        carried = float(self.best.as_site([threshold])[0])
        expected = float((p >= threshold).mean())
        possible = [float((each.as_site(p) >= carried).mean()) for each in self.others]
        low, high = np.percentile(possible, [2.5, 97.5])
        return expected, float(low), float(high)


def align(
    training_y: npt.ArrayLike,
    training_p: npt.ArrayLike,
    labelled_y: npt.ArrayLike,
    labelled_p: npt.ArrayLike,
    unlabelled_p: npt.ArrayLike = (),
    *,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> AlignmentWithDoubt:
    """Estimate how a site's scores lie to those of training.

    Args:
        training_y: [n], 1 for positive held-out patients of training, otherwise 0.
        training_p: [n], their probabilities.
        labelled_y: [k], 1 for positive labelled patients of the site, otherwise 0.
        labelled_p: [k], theirs.
        unlabelled_p: [m], those of its patients without a label.
        resamples: Resamples of the patients, for intervals.
        seed: Of the resamples.

    Raises:
        ValueError: Training or the labelled patients have one class alone.
    """
    y, x = np.asarray(labelled_y).astype(bool), log_odds(labelled_p)
    free = log_odds(unlabelled_p)
    known, scores = np.asarray(training_y).astype(bool), log_odds(training_p)
    for classes in (known, y):
        if classes.all() or not classes.any():
            raise ValueError("one class alone cannot be aligned")
    best = _Source.of(known, scores).aligned(y, x, free)
    rng = np.random.default_rng(seed)
    others = []
    for _ in range(resamples):
        rows, more = rng.integers(0, len(x), len(x)), rng.integers(0, len(free), len(free))
        again = np.concatenate(
            [rng.choice(np.flatnonzero(known == c), (known == c).sum()) for c in (False, True)]
        )
        source = _Source.of(known[again], scores[again])
        others.append(source.aligned(y[rows], x[rows], free[more], best))
    return AlignmentWithDoubt(best, tuple(others))


def log_odds(p: npt.ArrayLike) -> Floats:
    """Log odds of probabilities, finite."""
    return np.asarray(logit(np.clip(np.asarray(p, np.float64), _EDGE, 1 - _EDGE)))


@dataclass(frozen=True)
class _Density:
    """Logarithm of a smoothed density of scores, between points of a grid linear."""

    grid: Floats
    logs: Floats

    @classmethod
    def of(cls, scores: Floats) -> _Density:
        """Gaussian kernels of Silverman's width, with a broad tail that forgives a stray score."""
        from scipy.stats import norm  # slow to import, and seldom wanted

        spread = max(float(scores.std()), 1e-3)
        width = 1.06 * spread * len(scores) ** -0.2
        grid = np.linspace(scores.min() - 8 * spread, scores.max() + 8 * spread, _GRID)
        kernels = norm.pdf(grid[:, None], scores[None, :], width).mean(axis=1)
        tail = norm.pdf(grid, scores.mean(), 4 * spread)
        return cls(grid, np.log(0.98 * kernels + 0.02 * tail))

    def at(self, scores: Floats) -> Floats:
        """The logarithm at scores [n]."""
        return np.interp(scores, self.grid, self.logs)


@dataclass(frozen=True)
class _Source:
    """Scores of the held-out patients of training: densities of (negative, positive)."""

    densities: tuple[_Density, _Density]
    share: float

    @classmethod
    def of(cls, positive: npt.NDArray[np.bool_], scores: Floats) -> _Source:
        densities = _Density.of(scores[~positive]), _Density.of(scores[positive])
        return cls(densities, float(positive.mean()))

    def aligned(
        self,
        y: npt.NDArray[np.bool_],
        x: Floats,
        free: Floats,
        start: Alignment | None = None,
    ) -> Alignment:
        """The most probable alignment of labelled scores x [k] and unlabelled ones [m]."""
        usual = float(logit(np.clip(self.share, 0.01, 0.99)))

        def loss(values: Floats) -> float:
            shift, log_stretch, odds = values
            prior = (
                (shift / _SHIFT_PRIOR) ** 2
                + (log_stretch / _STRETCH_PRIOR) ** 2
                + ((odds - usual) / _SHARE_PRIOR) ** 2
            )
            stretch = float(np.exp(log_stretch))
            back = (x - shift) / stretch, (free - shift) / stretch
            likelihood = self._log_likelihood(y, *back, odds) - log_stretch * (len(x) + len(free))
            return float(0.5 * prior - likelihood)

        first = np.array([0.0, 0.0, usual])
        if start is not None:
            first = np.array([start.shift, np.log(start.stretch), logit(start.share)])
        found = minimize(loss, first, method="L-BFGS-B", options={"eps": 1e-4}).x
        return Alignment(float(found[0]), float(np.exp(found[1])), float(expit(found[2])))

    def _log_likelihood(
        self, y: npt.NDArray[np.bool_], x: Floats, free: Floats, odds: float
    ) -> float:
        """Of scores that were taken back to those of training, at these odds of being positive."""
        shares = -np.logaddexp(0, [odds, -odds])  # of negative and positive, as logarithms
        negative, positive = self.densities
        labelled = np.where(y, positive.at(x) + shares[1], negative.at(x) + shares[0])
        both = np.logaddexp(negative.at(free) + shares[0], positive.at(free) + shares[1])
        return float(labelled.sum() + both.sum())
