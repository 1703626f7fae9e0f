"""The table of calibration slopes and intercepts."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from histodistill.evaluation import NETWORKS
from histodistill.report.tables import INPUTS, Cell, Section, Table, estimate_text

HEADER = (
    "Method",
    "Patients (positive / negative)",
    "Calibration slope [95 %]",
    "Calibration intercept [95 %]",
)


def calibration_table(lines: pd.DataFrame) -> Table:
    """Slope and intercept of one target: a section for each kind of input, a row a method.

    Args:
        lines: Rows of ``calibration_lines``.
    """
    sections = []
    for network in NETWORKS:
        own = lines[lines["network"] == network]
        rows = [
            (
                Cell(str(row["method"])),
                Cell(_counted(row)),
                _cell(row, "slope"),
                _cell(row, "intercept"),
            )
            for row in own.to_dict("records")
        ]
        if rows:
            sections.append(Section(INPUTS[network], tuple(rows)))
    return Table(HEADER, tuple(sections))


def _counted(row: Mapping[Hashable, Any]) -> str:
    n, positive = row["n_patients"], row["n_positive"]
    return f"{n} ({positive} / {n - positive})"


def _cell(row: Mapping[Hashable, Any], name: str) -> Cell:
    ends: dict[Hashable, Any] = {
        "estimate": row[name],
        "low": row[f"{name}_low"],
        "high": row[f"{name}_high"],
    }
    return Cell(estimate_text(ends))
