"""The AUC of every fit on its fold's test patients, all methods at once.

The same figures as ``evaluate(...).folds``, without the other metrics and intervals: cheap enough
for hundreds of fits, and for a table that is shown while an experiment runs.
"""

from __future__ import annotations

import pandas as pd

from histodistill.evaluation.layout import NETWORKS, class_columns, networks_in, target_classes

RUN = ["seed", "repeat", "fold"]
KEY = ["target", "network", "method"]
COLUMNS = (*KEY, *RUN, "n_patients", "n_positive", "auc")


def fold_aucs(predictions: pd.DataFrame) -> pd.DataFrame:
    """The AUC of every target, network, method, seed, repeat and fold.

    Beyond two classes it is the unweighted mean of one class against the rest. Patients without a
    label or without an answer of the network are left out; a fit that leaves none has no row.

    Args:
        predictions: A checked predictions table.

    Returns:
        A row a fit and network: ``target``, ``network``, ``method``, ``seed``, ``repeat``,
        ``fold``, ``n_patients``, ``n_positive`` (missing beyond two classes) and ``auc``, NaN
        where a class has no patient. Methods keep the predictions' order.
    """
    tables = [
        _aucs_of(rows, columns).assign(target=target, network=network)
        for target, rows in predictions.groupby("target", sort=False)
        for network in networks_in(rows)
        if (columns := _scores_by_class(rows, network, target_classes(rows)))
    ]
    nothing = pd.DataFrame(columns=list(COLUMNS))
    table = pd.concat(tables, ignore_index=True) if tables else nothing
    return table[list(COLUMNS)].astype({"n_positive": "Int64", "auc": "float64"})


def live_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """How the methods stand so far, from the fits that are done; no interval, no bootstrap.

    Args:
        predictions: A checked predictions table with the rows of any part of the fits.

    Returns:
        A row a method and network, those that read the same inputs together: ``method``,
        ``network``, a column a target (its name) with the AUC averaged over the fits done, NaN
        where there is none, and ``fits``, how many fits are done over all targets.
    """
    fits = fold_aucs(predictions)
    key = ["network", "method"]
    means = fits.pivot_table(index=key, columns="target", values="auc", sort=False)
    table = means.reindex(columns=list(fits["target"].unique()))
    counts = fits.groupby(key, sort=False).size()
    table = table.reindex(counts.index).assign(fits=counts).reset_index()
    order = table["network"].map(NETWORKS.index).sort_values(kind="stable").index
    targets = [name for name in table.columns if name not in (*key, "fits")]
    return table.loc[order, ["method", "network", *targets, "fits"]].reset_index(drop=True)


def _aucs_of(rows: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    """One target and network: a row a method, seed, repeat and fold."""
    usable = rows.dropna(subset=["label", *columns.values()])
    keys = [usable[name] for name in ("method", *RUN)]
    table = usable.groupby(keys, sort=False).size().to_frame("n_patients")
    of_class = {}
    for name, column in columns.items():
        positive = usable["label"].eq(name)
        ranks = usable[column].groupby(keys, sort=False).rank().where(positive, 0.0)
        n_positive = positive.groupby(keys, sort=False).sum()
        wins = ranks.groupby(keys, sort=False).sum() - n_positive * (n_positive + 1) / 2
        pairs = n_positive * (table["n_patients"] - n_positive)
        of_class[name] = wins / pairs.where(pairs > 0)
        table["n_positive"] = n_positive if len(columns) == 1 else pd.NA
    table["auc"] = pd.DataFrame(of_class).mean(axis=1, skipna=False)
    return table.reset_index()


def _scores_by_class(rows: pd.DataFrame, network: str, classes: tuple[str, ...]) -> dict[str, str]:
    """The column of the positive class, or beyond two classes of each; none if one is lacking."""
    if len(classes) == 2:
        return {classes[1]: network}
    columns = class_columns(rows, network)
    return columns if set(columns) == set(classes) else {}
