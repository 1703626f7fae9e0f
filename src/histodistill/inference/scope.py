"""Whether slides look like those that a model has learnt from.

The distance of a feature vector is Mahalanobis', with a covariance that is shrunk as probabilistic
principal components shrink it (Tipping & Bishop, J. R. Stat. Soc. B 1999): the leading directions
with their own variances, all others with the mean of the rest. It is measured twice: of a patient's
mean patch, and of each patch, the mean of the logarithm over the patient's patches. A slide of
another organ, of glass or of a marker lies far from training in at least one of them.

The limits are set on patients of training, each measured by a model of the others: with conformal
quantiles, at most a stated share of new patients like them lies beyond (Bates et al., "Testing for
outliers with conformal p-values", Ann. Stat. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import eigh

from histodistill.errors import InputError, listed
from histodistill.features import BagStore

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float32] | Floats

# Of patients like those of training, at most this share is out of scope, half by each measure.
FALSE_ALARMS = 0.02
# Leading directions at most; patients or patches are many times more.
_DIRECTIONS = 64
# Parts of the training patients that are measured by a model of the others.
_PARTS = 5
# Patches of a patient that teach, and patches that are measured where the limit is set.
_TAUGHT, _MEASURED = 32, 256
# Of all patients together; they are in memory at once.
_MOST_PATCHES = 200_000
LEAST_PATIENTS = 5


@dataclass(frozen=True)
class Region:
    """Where vectors of F features lie.

    Attributes:
        centre: Their mean [F].
        scale: Standard deviation of each feature [F].
        directions: Leading directions of the standardised features, rows of unit length [d, F].
        variances: Variance along each [d].
        rest: Mean variance of all other directions.
    """

    centre: Floats
    scale: Floats
    directions: Floats
    variances: Floats
    rest: float

    @classmethod
    def fit(cls, vectors: Floats) -> Region:
        """Fit to vectors [n, F], n > 1."""
        n, width = vectors.shape
        centre, scale = vectors.mean(axis=0), vectors.std(axis=0)
        # A feature that never varies is measured by what varies least of the others.
        scale = np.maximum(scale, 1e-3 * max(float(scale.mean()), 1e-12))
        standard = (vectors - centre) / scale
        d = max(1, min(_DIRECTIONS, n // 3, width - 1))
        directions, variances = _leading(standard, d)
        total = float((standard**2).sum() / (n - 1))
        rest = max((total - float(variances.sum())) / max(width - d, 1), 1e-6)
        return cls(centre, scale, directions, np.maximum(variances, rest), rest)

    def distances(self, vectors: Numbers) -> Floats:
        """Mean squared Mahalanobis distance a feature, [n] of vectors [n, F]; 1 is usual."""
        standard = (vectors - self.centre) / self.scale
        along = standard @ self.directions.T
        beside = np.maximum((standard**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        far = (along**2 / self.variances).sum(axis=1) + beside / self.rest
        return np.asarray(far / standard.shape[1])


@dataclass(frozen=True)
class Scope:
    """Where the patients of training lie, and how far from them is too far.

    Attributes:
        pooled: Of mean patches.
        patches: Of patches.
        pooled_limit: Largest usual distance of a mean patch.
        patches_limit: Largest usual mean of the log distance of a patient's patches.
        patients: Patients behind it.
    """

    pooled: Region
    patches: Region
    pooled_limit: float
    patches_limit: float
    patients: int

    @classmethod
    def fit(cls, bags: BagStore, patients: Sequence[str], seed: int = 0) -> Scope:
        """Fit to the slides of training patients.

        Args:
            bags: Bags of at least these patients.
            patients: Who; in any order.
            seed: Of the patches that are drawn.

        Raises:
            InputError: There are fewer than five patients.
        """
        known = sorted(patients)
        if len(known) < LEAST_PATIENTS:
            raise InputError(
                f"{len(known)} patients with slides ({listed(known)}) cannot tell what slides of "
                f"others should look like; it takes {LEAST_PATIENTS} or more"
            )
        generator = torch.Generator().manual_seed(seed)
        measured = int(np.clip(_MOST_PATCHES // len(known), _TAUGHT, _MEASURED))
        drawn = [bags.sample(p, measured, generator).float().cpu().numpy() for p in known]
        means = bags.mean_patches(known)
        part = np.random.default_rng(seed).permutation(len(known)) % min(_PARTS, len(known))
        pooled, patches = np.empty(len(known)), np.empty(len(known))
        for number in np.unique(part):
            here = np.flatnonzero(part == number)
            others = np.flatnonzero(part != number)
            regions = Region.fit(means[others]), Region.fit(_taught(drawn, others))
            pooled[here] = regions[0].distances(means[here])
            patches[here] = [_log_distance(regions[1], drawn[row]) for row in here]
        everybody = np.arange(len(known))
        return cls(
            Region.fit(means),
            Region.fit(_taught(drawn, everybody)),
            limit_of(pooled, FALSE_ALARMS / 2),
            limit_of(patches, FALSE_ALARMS / 2),
            len(known),
        )

    @property
    def width(self) -> int:
        """Size F of a patch feature."""
        return len(self.pooled.centre)

    def reason(self, bag: Floats) -> str:
        """Why a patient with this bag [n, F] is out of scope; empty where they are not."""
        pooled = float(self.pooled.distances(bag.mean(axis=0, keepdims=True))[0])
        patches = _log_distance(self.patches, bag)
        told = []
        if pooled > self.pooled_limit:
            told.append(
                f"their mean is {pooled / self.pooled_limit:.1f} times as far from training as "
                "is usual there at most"
            )
        if patches > self.patches_limit:
            times = math.exp(min(patches - self.patches_limit, 100.0))
            told.append(f"patch by patch they are {times:.1f} times as far")
        return " and ".join(told)

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Float64 tensors from which :meth:`from_tensors` restores it."""
        regions = {
            f"{name}.{key}": torch.tensor(np.asarray(value), dtype=torch.float64)
            for name, region in (("pooled", self.pooled), ("patches", self.patches))
            for key, value in vars(region).items()
        }
        limits = [self.pooled_limit, self.patches_limit, float(self.patients)]
        return regions | {"limits": torch.tensor(limits, dtype=torch.float64)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> Scope:
        """Restore what :meth:`to_tensors` gave.

        Raises:
            ValueError, KeyError: It is something else.
        """
        arrays = {name: value.double().numpy() for name, value in tensors.items()}
        pooled, patches, patients = (float(value) for value in arrays["limits"])
        regions = [_region(arrays, name) for name in ("pooled", "patches")]
        if len(regions[0].centre) != len(regions[1].centre):
            raise ValueError("regions of different widths")
        return cls(regions[0], regions[1], pooled, patches, int(patients))


def limit_of(usual: Floats, share: float) -> float:
    """The distance beyond which at most this share of new patients lies, if they are like these.

    The conformal quantile; fewer patients than ``1 / share`` give none, and the largest of their
    distances is taken.
    """
    rank = math.ceil((len(usual) + 1) * (1 - share))
    return float(np.sort(usual)[min(rank, len(usual)) - 1])


def _leading(standard: Floats, d: int) -> tuple[Floats, Floats]:
    """The d leading directions [d, F] of centred vectors [n, F], and their variances [d]."""
    n, width = standard.shape
    few = n < width
    products = standard @ standard.T if few else standard.T @ standard
    last = len(products) - 1
    found, vectors = eigh(products / (n - 1), subset_by_index=[max(0, last - d + 1), last])
    if few:  # of the patients; their sums are the directions
        vectors = standard.T @ vectors
    lengths = np.linalg.norm(vectors, axis=0)
    kept = lengths > 1e-9
    directions = (vectors[:, kept] / lengths[kept]).T[::-1]
    return np.ascontiguousarray(directions), found[kept][::-1].copy()


def _taught(drawn: Sequence[Numbers], rows: npt.NDArray[np.int64]) -> Floats:
    """The same number of patches of each of some patients, evenly from those drawn."""
    some = [drawn[row][:: max(1, len(drawn[row]) // _TAUGHT)] for row in rows]
    return np.concatenate(some).astype(np.float64)


def _log_distance(region: Region, bag: Numbers) -> float:
    return float(np.log(region.distances(bag) + 1e-9).mean())


def _region(arrays: dict[str, Floats], name: str) -> Region:
    centre, scale, directions, variances, rest = (
        arrays[f"{name}.{key}"] for key in ("centre", "scale", "directions", "variances", "rest")
    )
    n_directions, width = directions.shape
    if centre.shape != (width,) or scale.shape != (width,) or variances.shape != (n_directions,):
        raise ValueError(f"the region of {name} has parts of different sizes")
    if min(scale.min(), variances.min(), rest.min()) <= 0:
        raise ValueError(f"the region of {name} has a variance that is not positive")
    return Region(centre, scale, directions, variances, float(rest))
