"""Subgroups on the page: a forest of AUCs, and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from histodistill.evaluation import Runs, auc_of, subgroup_table
from histodistill.evaluation.silent_columns import why_silent
from histodistill.evaluation.subgroups import TOO_FEW
from histodistill.report.html import Picture, picture
from histodistill.report.plots import FAINT, FONT, INK, PALETTE, decorate, write_figure
from histodistill.report.tables import Cell, Section, Table, estimate_text, p_value
from histodistill.spreadsheets import write_csv

HEADER = ("Level", "Patients (positive / negative)", "AUC [95 %]")
_ROW_INCHES = 0.19


@dataclass(frozen=True)
class Subgroups:
    """The forest (None where no level has a figure), the table, and columns that tell nothing."""

    forest: Picture | None
    table: Table | None
    said: tuple[str, ...]


def subgroups(
    folder: Path, stem: str, runs: Runs, groups: Mapping[str, pd.Series]
) -> Subgroups | None:
    """Draw and tabulate the subgroups of one method and target; None without any column."""
    if not groups:
        return None
    silent = {name: why for name, own in groups.items() if (why := why_silent(runs, own))}
    said = tuple(f"{name}: {why}" for name, why in silent.items())
    found = subgroup_table(runs, {k: v for k, v in groups.items() if k not in silent})
    if found.empty:
        return Subgroups(None, None, said)
    source = f"tables/subgroups-{stem}.csv"
    write_csv(folder / source, found)
    drawn = None
    if found["low"].notna().any():
        everybody = auc_of(runs)[0] if runs.binary else float("nan")
        whole = "; dashed, that of all patients" if runs.binary else ""
        paths = write_figure(_forest(found, everybody), folder / "figures", f"subgroups-{stem}")
        drawn = picture(
            paths,
            f"AUC by subgroup with its 95 % interval{whole}. Levels with fewer than 10 patients of "
            "a class have none.",
        )
    return Subgroups(drawn, _table(found, source), said)


def _table(found: pd.DataFrame, source: str) -> Table:
    sections = []
    for name, own in found.groupby("subgroup", sort=False):
        rows = tuple(_row(row) for row in _records(own))
        sections.append(Section(f"{name}: {_interaction(own)}", rows))
    counted = "Patients" if found["n_positive"].isna().all() else HEADER[1]
    return Table((HEADER[0], counted, *HEADER[2:]), tuple(sections), source)


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [{str(k): v for k, v in record.items()} for record in frame.to_dict("records")]


def _interaction(levels: pd.DataFrame) -> str:
    """The test of a column's levels, which is of none of them alone."""
    p, adjusted = (float(levels[name].iloc[0]) for name in ("p_interaction", "p_holm"))
    if np.isnan(p):
        return "not tested, fewer than two levels have a figure"
    return f"p interaction {p_value(p)}, p (Holm) {p_value(adjusted)}"


def _row(row: dict[str, object]) -> tuple[Cell, ...]:
    n, positive = int(str(row["n_patients"])), row["n_positive"]
    counted = f"{n}" if pd.isna(positive) else f"{n} ({positive} / {n - int(str(positive))})"  # type: ignore[call-overload]
    figure = str(row["note"]) or estimate_text(row)  # type: ignore[arg-type]
    return tuple(Cell(text) for text in (str(row["level"]), counted, figure))


def _forest(found: pd.DataFrame, everybody: float) -> Figure:
    """Dots and intervals, from above to below, the subgroups' names between them."""
    lines: list[tuple[str, pd.Series | None]] = []
    for name, own in found.groupby("subgroup", sort=False):
        lines.append((str(name), None))
        lines += [(f"   {row['level']}", row) for _, row in own.iterrows()]
    figure = Figure(
        figsize=(6.6, _ROW_INCHES * len(lines) + 0.7), layout="constrained", facecolor="white"
    )
    ax = figure.subplots()
    decorate(ax)
    for y, (_, row) in enumerate(lines):
        if row is not None and not np.isnan(row["low"]):
            ax.plot([row["low"], row["high"]], [y, y], color=PALETTE[0], linewidth=1.2)
            ax.plot(row["estimate"], y, "o", color=PALETTE[0], markersize=3.5)
        elif row is not None:
            ax.text(0.01, y, TOO_FEW, fontsize=FONT - 1, va="center", color=INK, alpha=0.7)
    if not np.isnan(everybody):
        ax.axvline(everybody, color=FAINT, linestyle=(0, (4, 2)), linewidth=1, zorder=0)
    ax.set_yticks(range(len(lines)), [_short(text) for text, _ in lines])
    for label, (_, row) in zip(ax.get_yticklabels(), lines, strict=True):
        label.set_fontweight("bold" if row is None else "normal")
        label.set_horizontalalignment("left")
    ax.tick_params(axis="y", pad=150, length=0)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.set_xlim(0, 1)
    ax.set_xlabel("AUC", fontsize=FONT)
    return figure


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
