"""Tables of what was derived from expression, and tables whose genes say little.

Ranks, p-values and fold changes pass every check of numbers, and a model learns from them without
complaint; it then answers nobody whose genes were measured. Judged where the values leave no doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import listed
from histodistill.genomics.quantity import Values, quantity_of

_FEWEST_GENES, _FEWEST_PATIENTS = 30, 20
# Ranks lie as evenly as a ruler's marks: what no measured sample comes near.
_EVEN = 0.01
# Genes of logarithms have medians from 0 to 15, those of z-scores 0; of fold changes 1.
_AROUND_ONE = 0.25
# Of 20,000 genes some hundreds are silent in every tumour.
_MANY_CONSTANT = 0.1
_FEW_ALIKE = 3


def derived_problems(values: Values, transform: str) -> Iterator[str]:
    """Why values that were derived from expression cannot be learned from.

    Args:
        values: [n, G], as the file has them, NaN for missing.
        transform: What is applied to them next.
    """
    whole = values[:, np.isfinite(values).all(axis=0)]
    n, n_genes = whole.shape
    if n >= _FEWEST_PATIENTS and n_genes and _even(whole.T):
        yield (
            "the values of each gene are ranks of the patients, which depend on who else is in the "
            "table, test patients and new ones included; give the values that were ranked"
        )
    elif transform == "none" and n_genes >= _FEWEST_GENES and _fold_changes(whole):
        yield (
            "the values lie around 1 in every gene and are never negative, as fold changes do: "
            "halves and doubles are not equally far from 1; give their logarithms, or the values "
            "that were divided"
        )


def derived_notes(values: Values, genes: Sequence[str]) -> Iterator[str]:
    """What is unusual about a table of expression and may be meant.

    Args:
        values: [n, G], as the file has them, NaN for missing.
        genes: The G genes.
    """
    whole = values[:, np.isfinite(values).all(axis=0)]
    if quantity_of(values) != "levels":
        enough = whole.shape[1] >= _FEWEST_GENES
        if enough and _even(whole):
            yield (
                "The values of each patient are ranks of the genes; if expression was meant, give "
                "the values that were ranked (new patients need ranks over the same genes)."
            )
        elif enough and whole.min() >= 0 and whole.max() <= 1:
            yield (
                "All values lie between 0 and 1: shares such as methylation's, or p-values, which "
                "say nothing of a patient; if expression was meant, this is another table."
            )
        yield from _alike(values, genes)
    yield from _constant(values, genes)


def _even(rows: Values) -> bool:
    """Whether the values of nearly every row lie at equal distances, but for ties."""
    ordered = np.sort(rows, axis=1)
    low, high = ordered[:, :1], ordered[:, -1:]
    varied = (high > low)[:, 0]
    if varied.mean() < 0.5:
        return False
    marks = np.linspace(low[varied], high[varied], ordered.shape[1], axis=1)[..., 0]
    off = np.abs(ordered[varied] - marks).max(axis=1) / (high - low)[varied, 0]
    return bool(np.median(off) < max(_EVEN, 1 / ordered.shape[1]))


def _fold_changes(values: Values) -> bool:
    if values.min() < 0 or quantity_of(values) == "levels":
        return False
    medians = np.median(values, axis=0)
    near = np.abs(medians - 1) < _AROUND_ONE
    return bool(near.mean() > 0.9 and np.quantile(values, 0.99) > 1 + 2 * _AROUND_ONE)


def _constant(values: Values, genes: Sequence[str]) -> Iterator[str]:
    same = _lowest(values) >= _highest(values)
    if same.mean() > _MANY_CONSTANT and len(values) >= _FEWEST_PATIENTS:
        names = [genes[place] for place in np.flatnonzero(same).tolist()]
        yield (
            f"{len(names)} of {len(genes)} genes have one value in all patients "
            f"({listed(names, 5)}): they say nothing; were they measured?"
        )


def _alike(values: Values, genes: Sequence[str]) -> Iterator[str]:
    """Genes under other names that have the same values in all patients."""
    if len(values) < _FEWEST_PATIENTS:
        return
    varied = np.flatnonzero(_highest(values) > _lowest(values))
    groups: dict[bytes, list[str]] = {}
    for place in varied.tolist():
        groups.setdefault(values[:, place].tobytes(), []).append(genes[place])
    same = [" = ".join(names[:_FEW_ALIKE]) for names in groups.values() if len(names) > 1]
    if same:
        told = listed(same, 3)
        yield f"{len(same)} groups of genes have the same values in all patients: {told}."


def _lowest(values: Values) -> NDArray[np.floating]:
    return np.asarray(np.where(np.isnan(values), np.inf, values).min(axis=0))


def _highest(values: Values) -> NDArray[np.floating]:
    return np.asarray(np.where(np.isnan(values), -np.inf, values).max(axis=0))
