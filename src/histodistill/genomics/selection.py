"""Which genes a model sees, in order of rank; ranked on the training patients of a fold alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import PositiveInt, model_validator

from histodistill.errors import InputError, listed
from histodistill.genomics.cox import cox_z_scores
from histodistill.genomics.gene_names import normalised
from histodistill.settings import Settings

SelectionMethod = Literal["cox", "univariate", "variance", "list", "all"]
Floats = NDArray[np.float64]


class SelectionSettings(Settings):
    """Which genes of a block are read, chosen on the training patients of a fold.

    Attributes:
        method: ``cox`` (p-value against survival, the paper's choice), ``univariate`` (association
            with the label), ``variance``, ``list`` (named genes, in their order) or ``all`` (in
            the order of the table).
        n_genes: How many of the best; None keeps all that can be ranked, in order of rank.
        genes: Names for ``list``.
        exclude: Genes never read, such as the ones that encode the label itself.
    """

    method: SelectionMethod = "variance"
    n_genes: PositiveInt | None = 8192
    genes: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _genes_go_with_a_list(self) -> SelectionSettings:
        if self.genes and self.method != "list":
            raise ValueError(
                "`genes` are read by `method: list` alone; write it, or leave them out"
            )
        return self


def select_genes(
    values: pd.DataFrame,
    method: SelectionMethod,
    n_genes: int | None,
    *,
    labels: pd.Series | None = None,
    survival: pd.DataFrame | None = None,
    genes: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> list[str]:
    """Choose genes, best first.

    A ranking is by Wald p-value of a univariate Cox model (``cox``), by p-value of the analysis of
    variance between classes (``univariate``) or by falling variance. Genes that are equally good
    come in alphabetical order; genes that cannot be ranked (constant, or without values) are left
    out. Missing values are left out gene by gene.

    Args:
        values: Patients x genes of the training patients, NaN for missing.
        method: See :class:`SelectionSettings`.
        n_genes: How many to keep; None for all that can be ranked.
        labels: Class of each patient (index: patients; missing = unknown), for ``univariate``.
        survival: Columns ``time`` and ``event`` (0 or 1), index: patients, for ``cox``. Patients
            without both do not take part.
        genes: The named genes, for ``list``.
        exclude: Genes not to use; they need not be in the table.

    Returns:
        Gene symbols in order of rank.

    Raises:
        InputError: The method lacks what it needs, or no gene is left.
    """
    if n_genes is not None and n_genes < 1:
        raise InputError(f"The number of genes to select must be 1 or more, not {n_genes}.")
    candidates = _candidates(values, exclude)
    if method == "list":
        chosen = _named(candidates, genes, exclude)
    elif method == "all":
        chosen = list(candidates.columns[candidates.notna().any()])
    else:
        chosen = _ranked(candidates, method, labels, survival)
    if not chosen:
        raise _no_gene(values, method)
    return chosen[:n_genes]


def check_selection(
    values: pd.DataFrame,
    method: SelectionMethod,
    *,
    survival: pd.DataFrame | None = None,
    genes: Sequence[str] | None = None,
    exclude: Sequence[str] = (),
) -> None:
    """Refuse what :func:`select_genes` would refuse of a whole cohort, without ranking any gene.

    What depends on the labels is not looked at: every fold has them of its own.

    Raises:
        InputError: See :func:`select_genes`, whose arguments these are.
    """
    candidates = _candidates(values, exclude)
    if method == "list":
        _named(candidates, genes, exclude)
        return
    if method == "cox":
        _known_survival(candidates, survival)
    array = candidates.to_numpy(np.float64)
    useless = np.isnan(array).all(axis=0) if method == "all" else _constant(array)
    if useless.all():
        raise _no_gene(values, method)


def _candidates(values: pd.DataFrame, exclude: Sequence[str]) -> pd.DataFrame:
    excluded = {normalised(gene) for gene in exclude}
    return values.drop(columns=[gene for gene in values.columns if gene in excluded])


def _no_gene(values: pd.DataFrame, method: SelectionMethod) -> InputError:
    return InputError(
        f"The selection {method!r} leaves no gene: all {values.shape[1]} are excluded, "
        "constant or without values in the training patients."
    )


def _named(values: pd.DataFrame, genes: Sequence[str] | None, exclude: Sequence[str]) -> list[str]:
    if not genes:
        raise InputError("The selection 'list' needs the names of the genes.")
    excluded = {normalised(gene) for gene in exclude}
    wanted = [gene for gene in dict.fromkeys(map(normalised, genes)) if gene not in excluded]
    absent = [gene for gene in wanted if gene not in values.columns]
    if absent:
        raise InputError(
            f"The gene list names {len(absent)} genes that the table lacks: {listed(absent)}; "
            "take them off the list."
        )
    empty = [gene for gene in wanted if values[gene].isna().all()]
    if empty:
        raise InputError(
            f"{len(empty)} genes of the gene list have no value in the training patients: "
            f"{listed(empty)}; take them off the list."
        )
    return wanted


def _ranked(
    values: pd.DataFrame,
    method: SelectionMethod,
    labels: pd.Series | None,
    survival: pd.DataFrame | None,
) -> list[str]:
    if method == "cox":
        keys = [-np.abs(_cox(values, survival))]
    elif method == "univariate":
        keys = _univariate(values, labels)
    else:
        variance = values.to_numpy(np.float64)
        keys = [-_variance(variance)]
    usable = np.flatnonzero(~np.isnan(keys[0]))
    names = values.columns.to_numpy(dtype=str)[usable]
    # Single precision, so that rounding noise does not decide between equally good genes.
    order = np.lexsort([names, *(key[usable].astype(np.float32) for key in reversed(keys))])
    return [str(name) for name in names[order]]


def _variance(values: Floats) -> Floats:
    """Variance of each gene over the values that are there; NaN where they are all equal."""
    constant = _constant(values)
    variance = np.full(values.shape[1], np.nan)
    variance[~constant] = np.nanvar(values[:, ~constant], axis=0)
    return variance


def _constant(values: Floats) -> NDArray[np.bool_]:
    """Whether a gene has fewer than two different values."""
    highest = np.where(np.isnan(values), -np.inf, values).max(axis=0, initial=-np.inf)
    lowest = np.where(np.isnan(values), np.inf, values).min(axis=0, initial=np.inf)
    return np.asarray(highest <= lowest)


def _cox(values: pd.DataFrame, survival: pd.DataFrame | None) -> Floats:
    """Wald z score of each gene."""
    known = _known_survival(values, survival)
    return cox_z_scores(
        values.loc[known.index].to_numpy(np.float64),
        known["time"].to_numpy(),
        known["event"].to_numpy(dtype=bool),
    )


def _known_survival(values: pd.DataFrame, survival: pd.DataFrame | None) -> pd.DataFrame:
    """Time and event of the patients who have both."""
    if survival is None or not {"time", "event"} <= set(survival.columns):
        raise InputError(
            "The selection 'cox' needs survival: the columns 'time' and 'event' for the training "
            "patients. Without them choose 'univariate' or 'variance'."
        )
    known = survival.reindex(values.index)[["time", "event"]].astype(np.float64).dropna()
    problems = [
        f"Survival: patients {listed(list(known.index[wrong].astype(str)), 5)} have {what}."
        for what, wrong in (
            ("a negative or infinite time", ~known["time"].between(0, np.finfo(np.float64).max)),
            ("an event other than 0 or 1", ~known["event"].isin([0, 1])),
        )
        if wrong.any()
    ]
    if problems:
        raise InputError(*problems)
    n_events = int(known["event"].sum())
    if n_events < 2:
        raise InputError(
            f"The selection 'cox' needs 2 events or more; of the {len(known)} training patients "
            f"with genomics and survival {n_events} had one."
        )
    return known


def _univariate(values: pd.DataFrame, labels: pd.Series | None) -> list[Floats]:
    """P-value and falling F statistic of each gene, NaN where it is constant."""
    if labels is None:
        raise InputError("The selection 'univariate' needs the labels of the training patients.")
    known = labels.reindex(values.index).dropna()
    counts = known.value_counts()
    if (counts >= 2).sum() < 2:
        seen = listed([f"{label}: {count}" for label, count in counts.sort_index().items()])
        raise InputError(
            "The selection 'univariate' needs 2 classes with 2 training patients or more each; "
            f"there are {seen or 'none'}."
        )
    known = known[known.isin(counts.index[counts >= 2])]
    matrix = values.loc[known.index].to_numpy(np.float64)
    p, f = np.full((2, matrix.shape[1]), np.nan)
    varied = ~_constant(matrix)
    complete = varied & ~np.isnan(matrix).any(axis=0)
    if complete.any():
        from sklearn.feature_selection import f_classif

        f[complete], p[complete] = f_classif(matrix[:, complete], known.to_numpy())
    for gene in np.flatnonzero(varied & ~complete):
        f[gene], p[gene] = _incomplete(matrix[:, gene], known.to_numpy())
    return [p, -f]


def _incomplete(values: Floats, labels: NDArray[np.object_]) -> tuple[float, float]:
    """F and p of a gene with missing values, over the classes that still have two of them."""
    present = ~np.isnan(values)
    groups = [values[present & (labels == label)] for label in pd.unique(labels)]
    groups = [group for group in groups if len(group) >= 2]
    if len(groups) < 2 or np.ptp(np.concatenate(groups)) == 0:
        return np.nan, np.nan
    from scipy.stats import f_oneway  # slow to import, and seldom wanted

    result = f_oneway(*groups)
    return float(result.statistic), float(result.pvalue)
