"""The table of calibration, before and after."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from histodistill.evaluation import NETWORKS
from histodistill.report.tables import INPUTS, Cell, Section, Table, estimate_text, patients_text

HEADER = (
    "Method",
    "Probabilities",
    "Patients (positive / negative)",
    "Slope [95 %]",
    "Intercept [95 %]",
    "ECE",
    "Brier [95 %]",
    "Miscalibration",
    "Discrimination",
)

_PARTS = ("miscalibration", "discrimination")


def calibration_table(figures: pd.DataFrame) -> Table:
    """Calibration of one target: a section for each kind of input, a row or two a method.

    Args:
        figures: Rows of ``calibration_figures``.
    """
    sections = []
    for network in NETWORKS:
        own = figures[figures["network"] == network]
        rows = [
            (
                Cell(str(row["method"])),
                Cell(str(row["probabilities"])),
                Cell(patients_text(row)),
                _cell(row, "slope"),
                _cell(row, "intercept"),
                Cell(_number(row["ece"])),
                _cell(row, "brier"),
                *(Cell(_number(row[name])) for name in _PARTS),
            )
            for row in own.to_dict("records")
        ]
        if rows:
            sections.append(Section(INPUTS[network], tuple(rows)))
    return Table(HEADER, tuple(sections))


def _number(value: Any) -> str:
    return "undefined" if pd.isna(value) else f"{value:.3f}"


def _cell(row: Mapping[Hashable, Any], name: str) -> Cell:
    ends: dict[Hashable, Any] = {
        "estimate": row[name],
        "low": row[f"{name}_low"],
        "high": row[f"{name}_high"],
    }
    return Cell(estimate_text(ends))
