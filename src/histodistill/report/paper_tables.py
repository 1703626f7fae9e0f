"""The table of a comparison as papers print it: methods by what they read, a target a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from histodistill.evaluation import (
    METRICS,
    NETWORKS,
    STANDARD_METRICS,
    Leaderboard,
    metric_label,
)
from histodistill.evaluation.leaderboard import places
from histodistill.files import write_text
from histodistill.markdown import in_markdown
from histodistill.report.tables import (
    EMPTY,
    INPUTS,
    Cell,
    Section,
    Table,
    averaged,
    counted_by,
    in_latex,
    latex_row,
    latex_sections,
    number,
    patients_text,
    to_markdown,
)

Row = Mapping[Hashable, Any]

LEVEL = 0.05
_FIT = r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%"
MEAN_FIGURE, POOLED_FIGURE = "mean ± sd", "pooled [95 %]"


@dataclass(frozen=True)
class PaperTable:
    """A table whose columns belong to groups, with notes below it.

    Attributes:
        columns: Group (empty for none) and heading of each column.
        sections: Its rows, by what the methods read.
        notes: Sentences that explain figures and marks.
    """

    columns: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]

    def flat(self) -> Table:
        """The same table with one header row."""
        header = (f"{group}, {name}" if group else name for group, name in self.columns)
        return Table(tuple(header), self.sections)


def paper_table(board: Leaderboard) -> PaperTable:
    """The paper-style table of a leaderboard.

    A section for each kind of input; a row a method. Of every target the patients, the AUC as
    mean ± sd over fits and pooled with its interval, and the metrics beside the standard ones;
    then the mean over the targets (of methods that have all),
    the mean rank, and what a fit costs where that was measured. The best of each section is
    marked, and the second; an arrow marks a pooled AUC that differs from the reference's.
    """
    columns = _columns(board)
    sections = []
    for network in NETWORKS:
        rows = board.results[board.results["network"] == network]
        if not rows.empty:
            methods = pd.Index(rows["method"].unique())
            names = [Cell(_method(board, network, str(method))) for method in methods]
            cells = [column.cells(rows, methods) for column in columns]
            body = tuple(zip(names, *cells, strict=True))
            sections.append(Section(INPUTS[network], body))
    headings = (("", "Method"), *((column.group, column.name) for column in columns))
    return PaperTable(headings, tuple(sections), _notes(board))


def paper_markdown(table: PaperTable) -> str:
    """The table in GitHub's Markdown, its notes below."""
    notes = "\n".join(f"- {in_markdown(note)}" for note in table.notes)
    return f"{to_markdown(table.flat())}\n{notes}\n"


def paper_latex(table: PaperTable, caption: str = "", label: str = "") -> str:
    r"""The table in LaTeX, its notes below (packages booktabs and graphicx).

    A table wider than the text is shrunk to it.

    Args:
        table: The table.
        caption: Its caption, plain text.
        label: Its label, for ``\ref``.
    """
    width = len(table.columns)
    lines = [r"\begin{table*}", r"\centering", r"\scriptsize", r"\setlength{\tabcolsep}{3pt}"]
    lines += [rf"\caption{{{in_latex(caption)}}}"] if caption else []
    lines += [rf"\label{{{label}}}"] if label else []
    lines += [_FIT, rf"\begin{{tabular}}{{l{'c' * (width - 1)}}}", r"\toprule"]
    lines += _latex_groups(table.columns)
    lines.append(latex_row(name for _, name in table.columns))
    lines += latex_sections(table.sections)
    lines += [r"\bottomrule", r"\end{tabular}}", "", r"\medskip"]
    notes = [rf"{in_latex(note)}\par" for note in table.notes]
    lines += [r"\begin{minipage}{\textwidth}", *notes, r"\end{minipage}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def write_paper_table(table: PaperTable, folder: Path, stem: str, caption: str) -> None:
    """Write ``stem.md`` and ``stem.tex``."""
    write_text(folder / f"{stem}.md", paper_markdown(table))
    write_text(folder / f"{stem}.tex", paper_latex(table, caption, f"tab:{stem}"))


@dataclass(frozen=True)
class _Column:
    """A column: the text of each method, and the values that it is ranked by.

    ``text`` and ``value`` take the rows of one kind of input and give a Series by method.
    """

    group: str
    name: str
    text: Callable[[pd.DataFrame], pd.Series[str]]
    value: Callable[[pd.DataFrame], pd.Series[float]] | None = None
    smaller_is_better: bool = False

    def cells(self, rows: pd.DataFrame, methods: pd.Index[str]) -> list[Cell]:
        texts = self.text(rows).reindex(methods).fillna(EMPTY)
        cells = [Cell(str(text)) for text in texts]
        if self.value is None:
            return cells
        values = self.value(rows).reindex(methods)
        ranks = places(values, smaller_is_better=self.smaller_is_better)
        return [replace(cell, rank=int(rank)) for cell, rank in zip(cells, ranks, strict=True)]


def _columns(board: Leaderboard) -> list[_Column]:
    results = board.results
    targets = list(results["target"].unique())
    more = [name for name in board.metrics if name not in STANDARD_METRICS]
    columns = [
        column
        for target in targets
        for column in (
            *_target_columns(str(target), results[results["target"] == target]),
            *(_metric_column(str(target), name) for name in more),
        )
    ]
    if len(targets) > 1:
        mean = _mean_over(len(targets))
        columns.append(_Column("All targets", "mean AUC", _texts(mean, number), mean))
    rank = _mean_of("mean_rank")
    columns.append(_Column("", "Mean rank", _texts(rank, _rank), rank, smaller_is_better=True))
    costs = (
        ("parameters", "Params", _parameters),
        ("training_seconds", "Train, s", _amount),
        ("inference_ms", "Infer, ms", _amount),
    )
    return columns + [
        _Column("", heading, _texts(_mean_of(name), text))
        for name, heading, text in costs
        if results[name].notna().any()
    ]


def _target_columns(target: str, results: pd.DataFrame) -> tuple[_Column, ...]:
    def mean(rows: pd.DataFrame) -> pd.Series[float]:
        return _of_target(rows, target)["fold_auc"]

    def pooled(rows: pd.DataFrame) -> pd.Series[float]:
        return _of_target(rows, target)["auc"]

    def mean_text(rows: pd.DataFrame) -> pd.Series[str]:
        return _by_row(_of_target(rows, target), _mean_and_sd)

    def pooled_text(rows: pd.DataFrame) -> pd.Series[str]:
        return _by_row(_of_target(rows, target), _pooled_and_mark)

    def counts(rows: pd.DataFrame) -> pd.Series[str]:
        return _by_row(_of_target(rows, target), patients_text)

    return (
        _Column(target, f"n ({counted_by(results)})", counts),
        _Column(target, MEAN_FIGURE, mean_text, mean),
        _Column(target, POOLED_FIGURE, pooled_text, pooled),
    )


def _metric_column(target: str, metric: str) -> _Column:
    """A metric beside the standard ones, pooled."""

    def value(rows: pd.DataFrame) -> pd.Series[float]:
        return _of_target(rows, target)[metric]

    smaller = METRICS.facts(metric).smaller_is_better
    return _Column(target, metric_label(metric), _texts(value, number), value, smaller)


def _of_target(rows: pd.DataFrame, target: str) -> pd.DataFrame:
    return rows[rows["target"] == target].set_index("method")


def _by_row(rows: pd.DataFrame, text: Callable[[Row], str]) -> pd.Series[str]:
    return pd.Series([text(row) for row in rows.to_dict("records")], rows.index, dtype="object")


def _mean_over(n_targets: int) -> Callable[[pd.DataFrame], pd.Series[float]]:
    """The mean over all targets, of methods that have a figure for each."""

    def mean(rows: pd.DataFrame) -> pd.Series[float]:
        of_method = rows.groupby("method", sort=False)["fold_auc"]
        return of_method.mean().where(of_method.count() == n_targets)

    return mean


def _mean_of(name: str) -> Callable[[pd.DataFrame], pd.Series[float]]:
    def mean(rows: pd.DataFrame) -> pd.Series[float]:
        return rows.astype({name: "float64"}).groupby("method", sort=False)[name].mean()

    return mean


def _texts(
    values: Callable[[pd.DataFrame], pd.Series[float]], text: Callable[[float], str]
) -> Callable[[pd.DataFrame], pd.Series[str]]:
    return lambda rows: values(rows).map(text)


def _mean_and_sd(row: Row) -> str:
    spread = "" if math.isnan(row["fold_auc_sd"]) else f" ± {number(row['fold_auc_sd'])}"
    return f"{number(row['fold_auc'])}{spread}"


def _pooled_and_mark(row: Row) -> str:
    interval = "" if math.isnan(row["low"]) else f" [{number(row['low'])}–{number(row['high'])}]"
    differs = row["p_holm"] < LEVEL
    mark = (" ↑" if row["difference"] > 0 else " ↓") if differs else ""
    return f"{number(row['auc'])}{interval}{mark}"


def _method(board: Leaderboard, network: str, method: str) -> str:
    return f"{method} (reference)" if board.references.get(network) == method else method


def _rank(value: float) -> str:
    return number(value, 2)


def _parameters(count: float) -> str:
    """A count to three digits, in thousands or millions."""
    if math.isnan(count):
        return EMPTY
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if count >= unit:
            return f"{_amount(count / unit)}{name}"
    return f"{count:.0f}"


def _amount(value: float) -> str:
    """A positive amount to two or three digits, without an exponent."""
    if math.isnan(value):
        return EMPTY
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _notes(board: Leaderboard) -> tuple[str, ...]:
    binary = board.results["n_positive"].notna()
    methods = [name for name, some in (("DeLong", binary), ("bootstrap", ~binary)) if some.any()]
    how = " or ".join(methods)
    intervals = how.replace("DeLong", "score")
    notes = [
        f"AUC. {MEAN_FIGURE.capitalize()}: over folds. Pooled: all patients together, and its "
        f"95 % interval ({intervals}). Of several seeds or repeats, the mean. The best of the "
        "methods with the same inputs is bold, the second underlined.",
        *averaged(board.results),
        *_reference_notes(board, how),
        *_rank_notes(board),
        *_repeat_notes(board),
    ]
    if board.results[["parameters", "training_seconds", "inference_ms"]].notna().any(axis=None):
        notes.append(
            "Cost: parameters used at inference, seconds to train the whole method once, "
            "milliseconds a patient at inference; means over the targets. On a CPU the time of the "
            "processor counts, all threads together, so that other work does not."
        )
    fewer = _methods_with_fewer_fits(board.results)
    if fewer:
        notes.append(f"Fewer seeds or folds than others of the same target: {fewer}.")
    return tuple(notes)


def _reference_notes(board: Leaderboard, how: str) -> list[str]:
    n_tests = int(board.comparisons["p_holm"].notna().sum())
    if not n_tests:
        return []
    named = (f"{name} ({INPUTS[network].lower()})" for network, name in board.references.items())
    return [
        f"↑ ↓: higher or lower than the reference, {', '.join(named)}, on the same patients: "
        f"paired test ({how}), p < {LEVEL} after Holm's adjustment over the {n_tests} comparisons "
        "of the whole table."
    ]


def _rank_notes(board: Leaderboard) -> list[str]:
    ranked = [ranking for ranking in board.rankings if not math.isnan(ranking.critical_difference)]
    if not ranked:
        return []
    reach = ", ".join(
        f"{ranking.critical_difference:.2f} ({INPUTS[ranking.network].lower()}, "
        f"{len(ranking.mean_ranks)} methods, {ranking.n_datasets} datasets)"
        for ranking in ranked
    )
    return [
        "Mean rank: among the methods with the same inputs, over targets, repeats and folds; "
        f"Nemenyi's critical difference at {LEVEL}: {reach}; optimistic, since folds share "
        "training patients."
    ]


def _repeat_notes(board: Leaderboard) -> list[str]:
    shared: dict[tuple[str, str], list[str]] = {}
    for (network, method), first in board.repeats.items():
        shared.setdefault((network, first), []).append(method)
    return [
        f"{first} ({INPUTS[network].lower()}) stands for the teachers of {', '.join(methods)} "
        "too, which answer the same."
        for (network, first), methods in shared.items()
    ]


def _methods_with_fewer_fits(results: pd.DataFrame) -> str:
    """Methods and their numbers of fits, where others of the same target have more."""
    most = results.groupby("target")["n_fits"].transform("max")
    fewer = results[results["n_fits"] < most].drop_duplicates(["network", "method"])
    return ", ".join(f"{row.method} ({row.n_seeds} x {row.n_folds})" for row in fewer.itertuples())


def _latex_groups(columns: tuple[tuple[str, str], ...]) -> Iterable[str]:
    """The header row that names groups of columns, and the rules below it."""
    cells, rules, start = [], [], 1
    for group, members in groupby(columns, key=lambda column: column[0]):
        width = len(list(members))
        if group:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{in_latex(group)}}}")
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        else:
            cells += [""] * width
        start += width
    return [rf"{' & '.join(cells)} \\", " ".join(rules)]
