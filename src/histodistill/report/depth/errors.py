"""The worst errors: patients whose probability is furthest from their label."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from histodistill.report.tables import Cell, Section, Table, number
from histodistill.spreadsheets import write_csv

MOST = 12


def worst_errors(
    folder: Path, stem: str, answers: pd.DataFrame, positive: str | None, anchors: dict[str, str]
) -> Table | None:
    """The patients called wrong whose probability of their own class is the smallest.

    Args:
        folder: The report's.
        stem: The target, as part of files' names.
        answers: As ``answered``.
        positive: The positive class of two; None beyond, where ``p`` is of the patient's own.
        anchors: The place of the page of each patient.

    Returns:
        None where nobody is called wrong.
    """
    own = answers["p"]
    if positive is not None:
        own = own.where(answers["label"] == positive, 1 - own)
    wrong = answers.assign(own_class=own)[answers["wrong"] > 0.5]
    worst = wrong.sort_values("own_class", kind="stable").head(MOST)
    if worst.empty:
        return None
    table = worst.rename_axis("PATIENT").reset_index()
    source = f"tables/errors-{stem}.csv"
    write_csv(folder / source, table)
    rows = tuple(
        (
            Cell(str(row["PATIENT"]), anchor=anchors[str(row["PATIENT"])]),
            Cell(str(row["label"])),
            Cell(number(row["own_class"])),
            Cell(number(row["wrong"], 2)),
        )
        for row in table.to_dict("records")
    )
    header = ("Patient", "Class", "Probability of that class", "Share of runs that are wrong")
    return Table(header, (Section("", rows),), source)
