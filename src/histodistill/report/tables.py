"""Tables of results as CSV, Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from histodistill.evaluation import METRICS, NETWORKS, metric_label, without_classes
from histodistill.files import write_text
from histodistill.markdown import in_markdown

INPUTS = {
    "student": "Slides only",
    "multimodal": "Slides + genomics",
    "genomic": "Genomics only",
    "deployed": "As deployed: the answer given for each patient",
}
Figure = Literal["folds", "pooled", "external"]
"""Mean ± sd over folds, or the estimate of all patients with its interval: pooled over the models
of all folds, or of the one model that predicted an external cohort."""

EMPTY = "–"

_MARKDOWN_MARKS = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}
_LATEX_MARKS = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}


@dataclass(frozen=True)
class Cell:
    """Text of a table's cell; ``rank`` 1 is the best of its column's section, 2 the second.

    ``anchor`` is the place of the page that it leads to, none where it is empty.
    """

    text: str
    rank: int = 0
    anchor: str = ""


@dataclass(frozen=True)
class Section:
    """Rows that belong together, under a heading (none where it is empty)."""

    heading: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table ready to be printed: its header, and sections of rows of the same width.

    ``source`` is the CSV below the report's folder that holds its numbers.
    """

    header: tuple[str, ...]
    sections: tuple[Section, ...]
    source: str = ""


def headline_table(summary: pd.DataFrame, metric: str = "auc", *, external: bool = False) -> Table:
    """One metric of every target: mean ± sd over folds, and pooled with its interval.

    A section for each kind of input, so that methods are ranked among those that read the same;
    a row a method; two columns a target.

    Args:
        summary: ``EvaluationTables.summary``.
        metric: Name of the metric.
        external: Whether one model predicted all patients, so that nothing is of folds.
    """
    name = metric_label(metric)
    figures: tuple[tuple[Figure, str], ...] = (
        ("folds", f"{name}, mean ± sd"),
        ("pooled", f"{name}, pooled [95 %]"),
    )
    if external:
        figures = (("external", f"{name} [95 %]"),)
    columns = [
        _Column(f"{target} {heading}", str(target), metric, figure)
        for target in summary["target"].unique()
        for figure, heading in figures
    ]
    return _by_inputs(summary, columns)


def metrics_table(summary: pd.DataFrame, target: str, figure: Figure) -> Table:
    """All metrics of one target: a section for each kind of input, a row a method.

    Args:
        summary: ``EvaluationTables.summary``.
        target: Name of the target.
        figure: ``folds`` for mean ± sd over folds, else estimates with intervals.
    """
    of_target = summary[summary["target"] == target]
    names = without_classes(of_target["metric"])
    columns = [_Column(metric_label(name), target, name, figure) for name in names]
    return _by_inputs(of_target, columns)


def plain_table(frame: pd.DataFrame, digits: int = 3, source: str = "") -> Table:
    """A data frame as it stands; p-values (columns ``p ...``) as ``p_value`` prints them."""
    rows = [
        tuple(Cell(_plain(value, str(name), digits)) for name, value in record.items())
        for record in frame.to_dict("records")
    ]
    header = tuple(str(name) for name in frame.columns)
    return Table(header, (Section("", tuple(rows)),), source)


def to_markdown(table: Table) -> str:
    """The table in GitHub's Markdown: the best bold, the second underlined."""
    header = tuple(in_markdown(name) for name in table.header)
    lines = [header, ("---",) * len(header)]
    for section in table.sections:
        if section.heading:
            lines.append((f"*{in_markdown(section.heading)}*",) + ("",) * (len(header) - 1))
        lines += [
            tuple(_MARKDOWN_MARKS[cell.rank].format(in_markdown(cell.text)) for cell in row)
            for row in section.rows
        ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(table: Table, caption: str = "") -> str:
    """The table in LaTeX (package booktabs): the best bold, the second underlined."""
    width = len(table.header)
    lines = [r"\begin{table}", r"\centering"]
    lines += [rf"\caption{{{in_latex(caption)}}}"] if caption else []
    lines += [rf"\begin{{tabular}}{{{'l' * width}}}", r"\toprule", latex_row(table.header)]
    lines += latex_sections(table.sections)
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def latex_sections(sections: Iterable[Section]) -> list[str]:
    """The lines of a table's body, a rule before each section."""
    lines = []
    for section in sections:
        lines.append(r"\midrule")
        if section.heading:
            width = len(section.rows[0])
            heading = rf"\multicolumn{{{width}}}{{l}}{{\textit{{{in_latex(section.heading)}}}}}"
            lines.append(rf"{heading} \\")
        for row in section.rows:
            cells = [_LATEX_MARKS[cell.rank].format(in_latex(cell.text)) for cell in row]
            lines.append(rf"{' & '.join(cells)} \\")
    return lines


def latex_row(texts: Iterable[str]) -> str:
    """A row of plain cells."""
    return rf"{' & '.join(in_latex(text) for text in texts)} \\"


def write_table(table: Table, folder: Path, stem: str, caption: str = "") -> None:
    """Write ``stem.md`` and ``stem.tex``."""
    write_text(folder / f"{stem}.md", to_markdown(table))
    write_text(folder / f"{stem}.tex", to_latex(table, caption))


def number(value: float, digits: int = 3) -> str:
    """A number with a fixed count of decimals; a dash where it is undefined."""
    # Rounded first: what is just below 0 is no "-0.000".
    return EMPTY if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}"


def p_value(p: float) -> str:
    """A p-value to two significant digits."""
    return "<0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


@dataclass(frozen=True)
class _Column:
    heading: str
    target: str
    metric: str
    figure: Figure


def _by_inputs(summary: pd.DataFrame, columns: Sequence[_Column]) -> Table:
    sections = []
    for network in NETWORKS:
        of_network = summary[summary["network"] == network]
        methods = list(of_network["method"].unique())
        if not methods:
            continue
        cells = [_ranked(of_network, methods, column) for column in columns]
        named = [
            tuple(Cell(method) for method in methods),
            *_numbers(of_network, methods, columns),
            *cells,
        ]
        sections.append(Section(INPUTS[network], tuple(zip(*named, strict=True))))
    targets = list(dict.fromkeys(column.target for column in columns))
    several = len(targets) > 1
    counted = {
        target: f"patients ({counted_by(summary[summary['target'] == target])})"
        + (", models" if _of_folds(columns) else "")
        for target in targets
    }
    header = [f"{t} {text}" if several else text.capitalize() for t, text in counted.items()]
    return Table(("Method", *header, *(column.heading for column in columns)), tuple(sections))


def counted_by(rows: pd.DataFrame) -> str:
    """How the cells of :func:`patients_text` divide the patients, for rows of one target."""
    return "by class" if rows["n_positive"].isna().all() else "positive / negative"


def averaged(rows: pd.DataFrame) -> list[str]:
    """What the AUC of more than two classes is; nothing where all targets have two."""
    if not rows["n_positive"].isna().any():
        return []
    return [
        "The AUC of a target with more than two classes is the unweighted mean of the AUCs of each "
        "class against the rest."
    ]


def patients_text(row: Mapping[Hashable, Any]) -> str:
    """Patients, and how many of them are of each class."""
    n, positive = int(row["n_patients"]), row["n_positive"]
    classes = row["class_counts"] if pd.isna(positive) else f"{int(positive)} / {n - int(positive)}"
    return f"{n} ({classes})"


def _of_folds(columns: Sequence[_Column]) -> bool:
    return any(column.figure != "external" for column in columns)


def _numbers(
    rows: pd.DataFrame, methods: Sequence[str], columns: Sequence[_Column]
) -> list[tuple[Cell, ...]]:
    """For each target a column with the patients and models behind each method's figures."""
    models = _of_folds(columns)
    return [
        tuple(
            Cell(_counted(rows[(rows["target"] == t) & (rows["method"] == m)], models))
            for m in methods
        )
        for t in dict.fromkeys(column.target for column in columns)
    ]


def _counted(rows: pd.DataFrame, models: bool) -> str:
    if rows.empty:
        return EMPTY
    first = rows.iloc[0].to_dict()
    return patients_text(first) + (f", {int(first['n_models'])}" if models else "")


def _ranked(rows: pd.DataFrame, methods: Sequence[str], column: _Column) -> tuple[Cell, ...]:
    """One column's cells, a method each, the best and the second marked."""
    of_column = rows[(rows["target"] == column.target) & (rows["metric"] == column.metric)]
    by_method = {row["method"]: row for row in of_column.to_dict("records")}
    shown = "mean" if column.figure == "folds" else "estimate"
    values = {name: float(row[shown]) for name, row in by_method.items()}
    cells = {name: Cell(_text(row, column.figure)) for name, row in by_method.items()}
    order = sorted(
        {value for value in values.values() if not math.isnan(value)},
        reverse=not METRICS.facts(column.metric).smaller_is_better,
    )
    for rank, best in enumerate(order[:2] if len(values) > 1 else [], start=1):
        cells |= {k: replace(cells[k], rank=rank) for k, value in values.items() if value == best}
    return tuple(cells.get(method, Cell(EMPTY)) for method in methods)


def _text(row: Mapping[Hashable, Any], figure: Figure) -> str:
    if math.isnan(row["mean" if figure == "folds" else "estimate"]):
        return EMPTY
    if figure == "folds":
        spread = "" if math.isnan(row["sd"]) else f" ± {number(row['sd'])}"
        return f"{number(row['mean'])}{spread}"
    return estimate_text(row)


def estimate_text(row: Mapping[Hashable, Any]) -> str:
    """``estimate`` with its interval, ``low`` to ``high``, where there is one."""
    if math.isnan(row["low"]):
        return number(row["estimate"])
    joint = " to " if row["low"] < 0 else "–"
    return f"{number(row['estimate'])} [{number(row['low'])}{joint}{number(row['high'])}]"


def _plain(value: object, name: str, digits: int) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return EMPTY
    if isinstance(value, float):
        return p_value(value) if name.startswith("p ") else number(value, digits)
    return str(value)


def in_latex(text: str) -> str:
    """Text in LaTeX, its special characters escaped."""
    return text.translate(_LATEX)


_LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
        "–": "--",
        "−": "$-$",
        "×": r"$\times$",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
    }
)
