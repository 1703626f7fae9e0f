"""Labels that a table's own order, a hospital or a batch tells: no biology does that."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from histodistill.cohort.receptors import name_words
from histodistill.errors import listed

_FEWEST_PATIENTS = 20
_FEWEST_OF_A_SITE = 5
# Words of columns that say how a patient was measured, and not what was found.
_TECHNICAL = frozenset(
    {
        "batch",
        "scanner",
        "plate",
        "lab",
        "laboratory",
        "center",
        "centre",
        "hospital",
        "institution",
        "site",
        "device",
        "vendor",
        "cohort",
        "source",
        "run",
        "instrument",
        "protocol",
        "stainer",
    }
)


def label_patterns(
    table: pd.DataFrame, patients: pd.Series[str], labels: pd.DataFrame, sites: pd.Series[str]
) -> Iterator[str]:
    """What tells the labels beside the tumour, in sentences.

    Args:
        table: The clinical table as read, all columns, in its own order.
        patients: The patient of each row.
        labels: One row a patient, one column a target; ``<NA>`` where unknown.
        sites: The hospital of each patient; NaN where unknown.
    """
    order = pd.Index(patients.dropna()).unique()
    for target in labels:
        known = labels[target].dropna()
        if len(known) < _FEWEST_PATIENTS or known.nunique() < 2:
            continue
        yield from _told_by_order(str(target), known, order)
        for column, groups in _groupings(table, patients, sites):
            yield from _told_by_groups(str(target), known, column, groups)


def _told_by_order(target: str, known: pd.Series[int], order: pd.Index[str]) -> Iterator[str]:
    if _is_sorted(known):
        yield (
            f"the names of the patients tell {target}: in their order all patients of a class come "
            "together; do the names say anything else than who it is, such as a batch?"
        )
    elif _is_sorted(known.reindex(order).dropna()):
        yield (
            f"the rows are sorted by {target}; if only its column was sorted, the labels belong to "
            "other patients: compare some with their source"
        )


def _is_sorted(labels: pd.Series[int]) -> bool:
    steps = labels.astype(int).diff().ne(0)  # the first row is one
    return int(steps.sum()) == labels.nunique()


def _groupings(
    table: pd.DataFrame, patients: pd.Series[str], sites: pd.Series[str]
) -> Iterator[tuple[str, pd.Series[str]]]:
    """The hospital and every technical column, by patient."""
    yield "the hospital", sites.dropna()
    for column in map(str, table.columns):
        if _TECHNICAL.intersection(name_words(column)):
            groups = table[column].groupby(patients.to_numpy()).first().dropna()
            if not groups.equals(sites.dropna()):
                yield f"column '{column}'", groups


def _told_by_groups(
    target: str, known: pd.Series[int], column: str, groups: pd.Series[str]
) -> Iterator[str]:
    """Groups of some patients each, all of one class, and not of the same one."""
    both = pd.DataFrame({"label": known, "group": groups.reindex(known.index)}).dropna()
    sizes = both.groupby("group")["label"].agg(["size", "nunique", "first"])
    large = sizes[sizes["size"] >= _FEWEST_OF_A_SITE]
    telling = large["size"].sum() >= _FEWEST_PATIENTS and len(set(large["first"])) > 1
    if telling and (large["nunique"] == 1).all():
        names = [str(name) for name in large.index]
        yield (
            f"{column} tells {target}: all patients of a group ({listed(names, 5)}) are of one "
            "class; a model may learn the group instead, and no result on these patients shows it"
        )
