"""The ablation table: which components a row has, and what each network then achieves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from histodistill.evaluation import NETWORKS, Contender, compare, contenders_in
from histodistill.files import write_text
from histodistill.report.tables import (
    EMPTY,
    Cell,
    Section,
    Table,
    number,
    p_value,
    to_latex,
    to_markdown,
)
from histodistill.spreadsheets import write_csv

CAPTION = (
    "Ablation. AUC of each network, averaged over folds and seeds; p, Holm-adjusted, of the "
    "student's paired comparison with {reference} (DeLong, patients pooled)."
)
_MARK = "✓"

# Which components each row has, by row and component.
Components = Mapping[str, Mapping[str, bool]]


def write_ablation(
    predictions: pd.DataFrame, components: Components, folder: Path, *, reference: str
) -> pd.DataFrame:
    """Write ``ablation.csv`` (tidy), ``ablation.md`` and ``ablation.tex``.

    Args:
        predictions: A checked predictions table.
        components: Which components each method has, in the order of the rows.
        folder: Where the files go.
        reference: The method with all components, with which the others are compared.

    Returns:
        The tidy table: a row a target, network and method.
    """
    tidy = ablation_results(predictions, components, reference)
    table = _table(tidy, components)
    caption = CAPTION.format(reference=reference)
    write_csv(folder / "ablation.csv", tidy)
    write_text(folder / "ablation.md", to_markdown(table))
    latex = to_latex(table, caption).replace(_MARK, r"$\checkmark$")
    write_text(folder / "ablation.tex", latex)
    return tidy


def ablation_results(
    predictions: pd.DataFrame, components: Components, reference: str
) -> pd.DataFrame:
    """AUC of every network of every row, and its paired comparison with the reference.

    Returns:
        Columns ``target``, ``network``, ``method``, one of bool for each component,
        ``fold_auc`` (mean over folds and seeds), ``auc`` (patients pooled), ``difference`` from
        the reference (pooled) with its 95 % interval ``low`` to ``high``, ``p_delong`` and
        ``p_holm`` (adjusted within the network).
    """
    contenders = contenders_in(predictions)
    parts = []
    for network in NETWORKS:
        own = [one for one in contenders if one.network == network]
        if len(own) > 1:
            parts.append(_compared(own, network, reference))
    tidy = pd.concat(parts, ignore_index=True)
    marks = pd.DataFrame(list(components.values()), index=list(components))
    order = {name: place for place, name in enumerate(components)}
    tidy = tidy.join(marks, on="method").assign(row=tidy["method"].map(order))
    tidy = tidy.sort_values(["target", "network", "row"], kind="stable", ignore_index=True)
    figures = ["fold_auc", "auc", "difference", "low", "high", "p_delong", "p_holm"]
    return tidy[["target", "network", "method", *marks.columns, *figures]]


def _compared(contenders: Sequence[Contender], network: str, reference: str) -> pd.DataFrame:
    """One network of every method, the reference included."""
    table = compare(contenders, f"{reference} {network}", common_patients=True)
    base = table.drop_duplicates("target").assign(
        contender=f"{reference} {network}",
        auc=lambda rows: rows["auc_reference"],
        fold_auc=lambda rows: rows["fold_auc_reference"],
        **dict.fromkeys(["difference", "low", "high", "p_delong", "p_holm"], math.nan),
    )
    both = pd.concat([base, table], ignore_index=True)
    methods = both["contender"].str.removesuffix(f" {network}")
    return both.assign(network=network, method=methods)


def _table(tidy: pd.DataFrame, components: Components) -> Table:
    targets = list(tidy["target"].unique())
    networks = [name for name in NETWORKS if name in set(tidy["network"])]
    columns = {
        f"{target} {network}": _ranked(tidy, target, network)
        for target in targets
        for network in networks
    }
    headings = list(next(iter(components.values())))
    header = ["Method", *headings]
    rows = {
        method: [Cell(method), *(Cell(_MARK if marks[name] else "") for name in headings)]
        for method, marks in components.items()
    }
    for target in targets:
        for network in networks:
            header.append(f"{target} {network}")
            cells = columns[header[-1]]
            for method, row in rows.items():
                row.append(cells.get(method, Cell(EMPTY)))
        header.append(f"{target} p")
        chances = _student_p(tidy, target)
        for method, row in rows.items():
            row.append(Cell(chances.get(method, EMPTY)))
    return Table(tuple(header), (Section("", tuple(tuple(row) for row in rows.values())),))


def _ranked(tidy: pd.DataFrame, target: str, network: str) -> dict[str, Cell]:
    """The cells of one column, by method: the best and the second best are marked."""
    own = tidy[(tidy["target"] == target) & (tidy["network"] == network)]
    values = dict(zip(own["method"], own["fold_auc"], strict=True))
    best = sorted({v for v in values.values() if not math.isnan(v)}, reverse=True)[:2]
    ranks = {value: rank for rank, value in enumerate(best, start=1)}
    return {name: Cell(number(value), ranks.get(value, 0)) for name, value in values.items()}


def _student_p(tidy: pd.DataFrame, target: str) -> dict[str, str]:
    own = tidy[(tidy["target"] == target) & (tidy["network"] == "student")].dropna(subset="p_holm")
    return {name: p_value(p) for name, p in zip(own["method"], own["p_holm"], strict=True)}
