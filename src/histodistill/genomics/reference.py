"""Are a new cohort's genes the quantity that the model was trained on?

Each gene's median and spread over the training patients travel with the model. New patients are
held against them one by one, over all genes at once, so that one patient is enough:

- *distance*: the median over genes of |value − training median| / training spread. The same
  quantity gives 0.7 for a single patient; a batch shift of one spread gives about 1.
- *slope*: how much further apart highly and lowly expressed genes (thirds by training median) lie
  in the patient than in training. 1 for the same quantity; ln instead of log2 gives 0.69, a
  logarithm of logarithms about 0.2, raw values against logarithms hundreds. Genes of z-scores do
  not differ in their medians, and have no slope.
- *direction*: over all new patients together, z-scores turned round lie low where training lies
  high.
- negative values where training had none, and whole numbers (copy-number levels) where training
  had fractions, or the reverse.

A hospital's batch, another platform, or a single extreme patient moves these little; another
quantity moves one of them beyond doubt. What lies between is told as a drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.errors import listed
from histodistill.genomics.quantity import LOGARITHMS, NAMES, Quantity, quantity_of

Floats = NDArray[np.float32]
_KEYS = ("centre", "spread", "negative", "whole")

# With few genes one amplified region decides, and only what no biology explains is refused.
_ENOUGH_GENES, _MANY_GENES = 30, 100
_FURTHEST = (12.0, 6.0, 4.0)  # below _ENOUGH_GENES, below _MANY_GENES, and from there up
# Raw values scale with the depth of sequencing; logarithms do not.
_STEEPEST_FEW, _STEEPEST_RAW, _STEEPEST = 100.0, 4.0, 2.5
_DRIFT_DISTANCE, _DRIFT_SLOPE, _DRIFT_SLOPE_RAW, _DRIFT_SPREAD = 0.75, 1.35, 2.0, 1.67
_DRIFT_DISTANCE_FEW = 3.0
_ENOUGH_PATIENTS, _ENOUGH_WITH_FEW, _FEWEST_GENES = 10, 20, 10
# Over halves of TCGA-BRCA the correlation is positive, and so it is of ER-negative patients with a
# reference of ER-positive ones; with signs turned round it is below in 40 patients of 40.
_DISAGREEMENT = -0.6


@dataclass(frozen=True)
class GeneReference:
    """What the training patients' values of K genes look like.

    Attributes:
        genes: Their names.
        centre: float32 [K], median of each gene.
        spread: float32 [K], standard deviation of each gene.
        negative: float32 [K], share of negative values; NaN where it was not recorded.
        whole: float32 [K], share of whole numbers; NaN where it was not recorded.
    """

    genes: list[str]
    centre: Floats
    spread: Floats
    negative: Floats
    whole: Floats

    @classmethod
    def fit(cls, values: pd.DataFrame) -> Self:
        """Describe training patients x genes; every gene has a value."""
        matrix = values.to_numpy(np.float64)
        known = np.maximum((~np.isnan(matrix)).sum(axis=0), 1)
        parts = (
            np.nanmedian(matrix, axis=0),
            np.nanstd(matrix, axis=0),
            (matrix < 0).sum(axis=0) / known,
            (matrix == np.round(matrix)).sum(axis=0) / known,
        )
        return cls(list(values.columns), *(part.astype(np.float32) for part in parts))

    def to_arrays(self) -> dict[str, Floats]:
        """The four arrays, ``reference_centre`` and so on."""
        return {f"reference_{key}": getattr(self, key) for key in _KEYS}

    @classmethod
    def from_arrays(cls, genes: list[str], arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """Restore what :meth:`to_arrays` gave; None where the arrays are not there."""
        found = [arrays.get(f"reference_{key}") for key in _KEYS]
        known = [array.astype(np.float32) for array in found if array is not None]
        if len(known) < len(_KEYS) or any(array.shape != (len(genes),) for array in known):
            return None
        return cls(genes, *known)

    @classmethod
    def from_scaling(cls, genes: list[str], centre: Floats, spread: Floats) -> Self:
        """What the fitted scaling of a model tells, which recorded no more."""
        unknown = np.full(len(genes), np.nan, np.float32)
        return cls(genes, centre, spread, unknown, unknown)


@dataclass(frozen=True)
class Comparison:
    """New patients against the training patients.

    Attributes:
        problem: Why the values cannot be the same quantity, with figures; None if they can.
        drift: What is unusual about values that can; None for nothing.
    """

    problem: str | None = None
    drift: str | None = None


def compare(reference: GeneReference, table: pd.DataFrame) -> Comparison:
    """Hold new patients against the training patients.

    Args:
        reference: The training patients.
        table: New patients x genes, after the block's transform; NaN for missing. Genes that the
            reference lacks are ignored.
    """
    values = table.reindex(columns=reference.genes).to_numpy(np.float64)
    measured = ~np.isnan(values).all(axis=1)
    values, patients = values[measured], table.index[measured]
    if not values.size:
        return Comparison()
    figures = _Figures.of(reference, values)
    off = figures.impossible(reference, values)
    if off.any():
        who = [str(patient) for patient in patients[off]]
        return Comparison(problem=_sentence(reference, values[off], who, len(values)))
    if _impossible_together(reference, values):
        who = [str(patient) for patient in patients]
        return Comparison(problem=_sentence(reference, values, who, len(values)))
    return Comparison(drift=_drift(reference, values))


def _impossible_together(reference: GeneReference, values: NDArray[np.float64]) -> bool:
    """Whether patients with few genes cannot be the reference's quantity, all of them together.

    One amplified region shifts some genes of one patient, but not the median of most genes over
    ten patients.
    """
    if len(reference.genes) >= _MANY_GENES or len(values) < _ENOUGH_PATIENTS:
        return False
    pooled, n_known = values.reshape(1, -1), np.array([(~np.isnan(values)).sum()])
    distance = _Figures.of(reference, _median(values.T)[None]).distance[0]
    return bool(distance > _FURTHEST[2] or _other_signs(reference, pooled, n_known)[0])


@dataclass(frozen=True)
class _Figures:
    """Distance [n], slope [n] (NaN where genes do not differ enough) of patients."""

    distance: NDArray[np.float64]
    slope: NDArray[np.float64]

    @classmethod
    def of(cls, reference: GeneReference, values: NDArray[np.float64]) -> Self:
        spread = _spread(reference)
        deviation = np.abs(values - reference.centre) / spread
        return cls(_median(deviation), _slopes(reference.centre, spread, values))

    def impossible(
        self, reference: GeneReference, values: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Which patients cannot be the reference's quantity."""
        known = (~np.isnan(values)).sum(axis=1)
        few, many = known < _ENOUGH_GENES, known >= _MANY_GENES
        off = self.distance > np.select([few, ~many], _FURTHEST[:2], _FURTHEST[2])
        steepest = _STEEPEST_RAW if _trained_quantity(reference) == "raw" else _STEEPEST
        steep = np.where(few, _STEEPEST_FEW, steepest)
        off |= (self.slope > steep) | (self.slope < 1 / steep)
        return np.asarray(
            off | _other_signs(reference, values, known) | _other_levels(reference, values, known)
        )


def _spread(reference: GeneReference) -> NDArray[np.float64]:
    """Spread of each gene; a constant or nearly constant gene is given a tenth of the usual."""
    spread = reference.spread.astype(np.float64)
    usual = np.median(spread[spread > 0]) if (spread > 0).any() else 1.0
    return np.maximum(spread, 0.1 * usual)


def _slopes(
    centre: Floats, spread: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Difference between high and low genes in each patient, over that in training.

    The grouping estimate of a slope (Nair and Shrivastava, Sankhya 1942), with medians.
    """
    low, high = np.quantile(centre, [1 / 3, 2 / 3])
    lower, upper = centre <= low, centre >= high
    trained = float(np.median(centre[upper]) - np.median(centre[lower]))
    if trained < 2 * np.median(spread):
        return np.full(len(values), np.nan)
    return (_median(values[:, upper]) - _median(values[:, lower])) / trained


def _other_signs(
    reference: GeneReference, values: NDArray[np.float64], known: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Patients with negative values where training has none, or none where it has many."""
    share = (values < 0).sum(axis=1) / np.maximum(known, 1)
    trained = _share(reference.negative)
    if trained < 0.001:
        return np.asarray((known >= _ENOUGH_GENES) & (share > 0.1))
    # A patient without copy-number changes has levels of 0 alone.
    if trained > 0.2 and _share(reference.whole) < 0.5:
        return np.asarray((known >= _MANY_GENES) & (share < 0.02))
    return np.zeros(len(values), bool)


def _other_levels(
    reference: GeneReference, values: NDArray[np.float64], known: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Patients with levels where training has fractions, or the reverse."""
    trained = _share(reference.whole)
    whole = (values == np.round(values)).sum(axis=1) / np.maximum(known, 1)
    enough = known >= _ENOUGH_GENES
    small = np.abs(reference.centre).max() <= 3
    if trained > 0.999 and small:
        return np.asarray(enough & (whole < 0.9))
    if trained < 0.5 and _share(reference.negative) > 0.01:
        return np.asarray(enough & (whole > 0.999))
    return np.zeros(len(values), bool)


def _sentence(
    reference: GeneReference, values: NDArray[np.float64], who: list[str], n_patients: int
) -> str:
    figures = _Figures.of(reference, values)
    parts = [f"{np.median(figures.distance):.3g} standard deviations in the median gene"]
    slope = float(np.median(figures.slope))
    if np.isfinite(slope):
        parts.append(f"differences between genes {slope:.2g} times as large")
    whom = f"all {n_patients} patients" if len(who) == n_patients else f"patients {listed(who, 5)}"
    trained = _trained_quantity(reference)
    causes = [f"They look like {NAMES[quantity_of(values)]}, training like {NAMES[trained]}"]
    causes += [
        f"{name} fits" for name, factor in LOGARITHMS.items() if abs(slope / factor - 1) < 0.1
    ]
    return (
        f"the values of {whom} are on another scale than the training patients' "
        f"({', '.join(parts)}). {'; '.join(causes)}. Give the quantity that the model was trained "
        "on, without or with the same transform"
    )


def _trained_quantity(reference: GeneReference) -> Quantity:
    """What the training values are, from each gene's median and values around it."""
    if _share(reference.whole) > 0.999:
        return quantity_of(np.round(reference.centre.astype(np.float64)))
    around = np.stack([reference.centre + step * reference.spread for step in (-2, -1, 0, 1, 2)])
    lowest = 0.0 if _share(reference.negative) == 0 or (reference.centre > 0).all() else -np.inf
    return quantity_of(np.maximum(around.astype(np.float64), lowest))


def _share(shares: Floats) -> float:
    """Mean over the genes; NaN where it was not recorded."""
    return float(shares.mean())


def _drift(reference: GeneReference, values: NDArray[np.float64]) -> str | None:
    """What is unusual about the patients together, beyond what their number explains."""
    n = len(values)
    profile = _median(values.T)
    figures = _Figures.of(reference, profile[None])
    raw = _trained_quantity(reference) == "raw"
    steepest = _DRIFT_SLOPE_RAW if raw else _DRIFT_SLOPE
    parts = list(_drift_parts(float(figures.distance[0]), float(figures.slope[0]), n, steepest))
    if n >= _ENOUGH_PATIENTS and not raw:
        widths = np.nanmedian(_spread_of(values) / _spread(reference))
        if not 1 / _DRIFT_SPREAD < widths < _DRIFT_SPREAD:
            parts.append(f"a spread {widths:.2g} times as large")
    # One amplified region moves a few genes, but not most of them in most patients, by so much.
    few = len(reference.genes) < _MANY_GENES and n < _ENOUGH_WITH_FEW
    few |= len(reference.genes) < _FEWEST_GENES
    if few and figures.distance[0] < _DRIFT_DISTANCE_FEW:
        return None
    if not parts:
        return _turned(reference, profile) if n >= _ENOUGH_PATIENTS else None
    return (
        f"the values differ from the training patients' by {' and by '.join(parts)}: another "
        "platform, normalisation or batch; thresholds and performance may not hold"
    )


def _turned(reference: GeneReference, profile: NDArray[np.float64]) -> str | None:
    """Whether genes that lie above 0 in training lie below, and the reverse.

    Medians of z-scores are not 0: genes are skewed, and one subtype is the most frequent.
    """
    known = ~np.isnan(profile)
    centred = _trained_quantity(reference) == "centred"
    if not centred or known.sum() < _FEWEST_GENES or np.std(profile[known]) == 0:
        return None
    spread = _spread(reference)[known]
    pair = np.stack([reference.centre[known] / spread, profile[known] / spread])
    agreement = float(np.asarray(np.corrcoef(pair))[0, 1])
    if not agreement < _DISAGREEMENT:
        return None
    return (
        f"genes that are high in the training patients are low in these (correlation "
        f"{agreement:.2f}): patients of another subtype, or signs turned round"
    )


def _spread_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation of each gene; NaN where fewer than two patients have a value."""
    enough = (~np.isnan(values)).sum(axis=0) > 1
    spread = np.full(values.shape[1], np.nan)
    spread[enough] = np.nanstd(values[:, enough], axis=0)
    return spread


def _drift_parts(distance: float, slope: float, n_patients: int, steepest: float) -> Iterator[str]:
    # A median of n patients strays by about 0.85 / sqrt(n) spreads in the median gene.
    if distance > _DRIFT_DISTANCE + 0.85 / np.sqrt(n_patients):
        yield f"{distance:.2g} standard deviations in the median gene"
    if slope > steepest or slope < 1 / steepest:
        fits = [name for name, factor in LOGARITHMS.items() if abs(slope / factor - 1) < 0.05]
        yield f"a factor of {slope:.2g} between genes" + (f" ({fits[0]})" if fits else "")


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of each row over the values that are there; NaN where none is."""
    known = ~np.isnan(values).all(axis=1)
    medians = np.full(len(values), np.nan)
    medians[known] = np.nanmedian(values[known], axis=1)
    return medians
