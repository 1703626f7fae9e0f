"""What genomics taught: rankings of genes and sets, and certificates of maps, from `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.report.tables import Table, plain_table
from histodistill.spreadsheets import write_csv

MOST = 12
"""Genes and sets that are shown of each network and class; the CSV has all."""

TABLES = ("genes", "sets", "maps")


@dataclass(frozen=True)
class ExplainedSection:
    """A table of what was explained, and what it is."""

    heading: str
    table: Table


def explained_section(folder: Path, tables: Mapping[str, pd.DataFrame]) -> list[ExplainedSection]:
    """Tabulate what `explain` and `explain-genes` found, and keep it beside the page.

    Args:
        folder: The report's.
        tables: Some of ``TABLES`` by name, as these commands wrote them.
    """
    made = []
    for name in ("genes", "sets"):
        if name in tables:
            source = f"tables/explained-{name}.csv"
            write_csv(folder / source, tables[name])
            by_network = tables[name].groupby(["network", "class"], sort=False)
            for (network, label), own in by_network:
                shown = own.drop(columns=["network", "class"]).head(MOST)
                heading = f"{name.capitalize()} that drive the {network} network, for {label}"
                made.append(ExplainedSection(heading, plain_table(shown, source=source)))
    if "maps" in tables:
        # "faithful: SRG 0.2 ...": the words are the verdict, the figures are of one patient.
        words = tables["maps"]["verdict"].str.partition(":")[0]
        counts = (
            tables["maps"].assign(verdict=words).groupby(["network", "verdict"], sort=False).size()
        )
        verdicts = counts.rename("patients").reset_index()
        source = "tables/explained-verdicts.csv"
        write_csv(folder / source, verdicts)
        table = plain_table(verdicts.rename(columns=str.capitalize), source=source)
        made.append(ExplainedSection("Are the maps true of the model?", table))
    return made
