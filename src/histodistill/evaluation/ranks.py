"""Mean ranks of methods over datasets, with Friedman's test and Nemenyi's critical difference.

J. Demšar, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine
Learning Research 7 (2006) 1-30, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
import pandas as pd

CAVEAT = (
    "Ranks are averaged over datasets, each a target, repeat and fold of one cohort. Friedman's "
    "and Nemenyi's tests take datasets to be independent, but folds share most of their training "
    "patients, and repeats and targets share all of them: the critical difference is smaller than "
    "it should be, and so are the p-values of the ranks. Read them as a summary of the order; the "
    "paired tests on patients are the evidence."
)


@dataclass(frozen=True)
class Friedman:
    """Whether the mean ranks differ more than by chance; NaN for fewer than three methods.

    Attributes:
        chi_squared: Friedman's statistic, corrected for ties.
        p_chi_squared: Its p-value.
        f: Iman and Davenport's statistic, less conservative: the one to report.
        p: Its p-value, from F with k - 1 and (k - 1)(N - 1) degrees of freedom.
    """

    chi_squared: float = math.nan
    p_chi_squared: float = math.nan
    f: float = math.nan
    p: float = math.nan


@dataclass(frozen=True)
class Ranking:
    """The methods that answer from the same inputs, ranked by AUC over datasets.

    Attributes:
        network: What the methods read: ``student``, ``multimodal`` or ``genomic``.
        mean_ranks: Mean rank by method, best (lowest) first; a tie gives each its average rank.
        n_datasets: Datasets ranked.
        friedman: Test of all the mean ranks at once.
        critical_difference: Two methods differ where their mean ranks differ by this or more
            (Nemenyi); NaN for fewer than two methods or datasets.
        groups: The largest groups in which no two methods differ, each best first; a method that
            differs from all others is in none.
        left_out: Methods without a result in some of the datasets, with those datasets' names.
        datasets_left_out: Datasets in which fewer than half of the methods have a result.
    """

    network: str
    mean_ranks: pd.Series[float]
    n_datasets: int
    friedman: Friedman
    critical_difference: float
    groups: tuple[tuple[str, ...], ...]
    left_out: Mapping[str, tuple[str, ...]]
    datasets_left_out: tuple[str, ...]


def rank_methods(fits: pd.DataFrame, network: str, alpha: float = 0.05) -> Ranking:
    """Rank the methods of one group of inputs over the datasets: targets x repeats x folds.

    A method's result on a dataset is its AUC averaged over seeds. A dataset counts where at least
    half of the methods have a result, and a method is ranked where it has one in every dataset
    that counts: a method that is still running does not stop the others from being ranked.

    Args:
        fits: The table of ``fold_aucs``.
        network: The group of inputs.
        alpha: Level of Nemenyi's test.
    """
    results = _by_dataset(fits[fits["network"] == network])
    known = results.notna()
    counted = known.mean(axis=0) >= 0.5
    complete = known.loc[:, counted].all(axis=1)
    ranked = results.loc[complete, counted]
    mean_ranks = ranked.rank(ascending=False).mean(axis=1).sort_values(kind="stable")
    reach = critical_difference(*ranked.shape, alpha)
    return Ranking(
        network=network,
        mean_ranks=mean_ranks,
        n_datasets=ranked.shape[1],
        friedman=friedman(ranked),
        critical_difference=reach,
        groups=undistinguished(mean_ranks, reach),
        left_out={
            str(method): tuple(row.index[row.isna()])
            for method, row in results.loc[~complete, counted].iterrows()
        },
        datasets_left_out=tuple(results.columns[~counted]),
    )


def friedman(results: pd.DataFrame) -> Friedman:
    """Friedman's test with Iman and Davenport's correction.

    R. L. Iman, J. M. Davenport, Communications in Statistics A9 (1980) 571-595.

    Args:
        results: [k methods, N datasets], larger is better, nothing missing.
    """
    k, n = results.shape
    if k < 3 or n < 2 or (results.max() == results.min()).all():
        return Friedman()
    from scipy.stats import f as f_distribution
    from scipy.stats import friedmanchisquare  # slow to import, and for leaderboards alone

    test = friedmanchisquare(*results.to_numpy())
    chi_squared = float(test.statistic)
    left = n * (k - 1) - chi_squared
    # Nothing is left where all datasets rank the methods alike.
    f = (n - 1) * chi_squared / left if left > 1e-9 else math.inf
    p = float(f_distribution.sf(f, k - 1, (k - 1) * (n - 1)))
    return Friedman(chi_squared, float(test.pvalue), f, p)


def critical_difference(n_methods: int, n_datasets: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks (Demšar 2006, equation in section 3.2.2)."""
    if n_methods < 2 or n_datasets < 2:
        return math.nan
    variance = n_methods * (n_methods + 1) / (6 * n_datasets)
    return nemenyi_quantile(n_methods, alpha) * math.sqrt(variance)


def nemenyi_quantile(n_methods: int, alpha: float = 0.05) -> float:
    """The studentized range over the square root of 2 (Demšar 2006, table 5a)."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - alpha, n_methods, np.inf)) / math.sqrt(2)


def undistinguished(mean_ranks: pd.Series[float], reach: float) -> tuple[tuple[str, ...], ...]:
    """The largest groups of two or more methods whose mean ranks lie within less than ``reach``.

    Args:
        mean_ranks: Mean rank by method, ascending.
        reach: The critical difference.
    """
    names, values = [str(name) for name in mean_ranks.index], mean_ranks.to_numpy()
    groups: list[tuple[str, ...]] = []
    covered = 0
    for start, lowest in enumerate(values):
        end = int(np.sum(values - lowest < reach))
        if end > max(start + 1, covered):
            groups.append(tuple(names[start:end]))
            covered = end
    return tuple(groups)


def ranks_table(rankings: Iterable[Ranking]) -> pd.DataFrame:
    """The rankings, tidy.

    Returns:
        A row a network and method, best first: ``mean_rank`` (NaN for a method left out),
        ``groups`` (letters: methods that share one do not differ), ``n_methods``,
        ``n_datasets``, ``critical_difference``, ``friedman_chi_squared``, ``p_friedman``,
        ``iman_davenport_f``, ``p_iman_davenport``, ``notes``.
    """
    rows = [row for ranking in rankings for row in _rows(ranking)]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


_COLUMNS = (
    *("network", "method", "mean_rank", "groups", "n_methods", "n_datasets"),
    *("critical_difference", "friedman_chi_squared", "p_friedman"),
    *("iman_davenport_f", "p_iman_davenport", "notes"),
)


def _rows(ranking: Ranking) -> list[dict[str, object]]:
    test = ranking.friedman
    common = {
        "network": ranking.network,
        "n_methods": len(ranking.mean_ranks),
        "n_datasets": ranking.n_datasets,
        "critical_difference": ranking.critical_difference,
        "friedman_chi_squared": test.chi_squared,
        "p_friedman": test.p_chi_squared,
        "iman_davenport_f": test.f,
        "p_iman_davenport": test.p,
    }
    ranked = [
        {"method": name, "mean_rank": rank, "groups": _letters(ranking, str(name)), "notes": ""}
        for name, rank in ranking.mean_ranks.items()
    ]
    unranked = [
        {
            "method": name,
            "mean_rank": math.nan,
            "groups": "",
            "notes": f"lacks {len(lacking)} datasets",
        }
        for name, lacking in ranking.left_out.items()
    ]
    return [common | row for row in ranked + unranked]


def _letters(ranking: Ranking, method: str) -> str:
    """The letters of the groups that a method belongs to."""
    places = [place for place, group in enumerate(ranking.groups) if method in group]
    return "".join(_letter(place) for place in places)


def _letter(place: int) -> str:
    """From a to z, then a1, b1, ..."""
    turn, letter = divmod(place, len(ascii_lowercase))
    return f"{ascii_lowercase[letter]}{turn or ''}"


def _by_dataset(fits: pd.DataFrame) -> pd.DataFrame:
    """[method, dataset] AUC averaged over seeds, both in order of appearance."""
    several = fits["repeat"].max() > fits["repeat"].min()
    repeat = ", repeat " + fits["repeat"].astype(str) if several else ""
    name = fits["target"].astype(str) + repeat + ", fold " + fits["fold"].astype(str)
    means = fits.assign(dataset=name).pivot_table(
        index="method", columns="dataset", values="auc", sort=False
    )
    table = means.reindex(index=fits["method"].unique(), columns=name.unique())
    # Rounded, so that sums in another order do not break a tie.
    return table.round(12)
