"""The page of the genes that drive a network: tables and pictures in one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from histodistill.explanation.gene_plot import gene_figure, subtitle
from histodistill.explanation.gene_ranking import GeneRanking
from histodistill.files import write_text
from histodistill.report.html import LIMITS, page_template, picture
from histodistill.report.plots import write_figure
from histodistill.report.tables import Cell, Section, Table

PAGE = "genes.html"
# Rows of a table; the CSV files hold all.
_SHOWN = 50
_GENES = {
    "gene": "gene",
    "share": "share, %",
    "share_low": "least",
    "share_high": "most",
    "per_sd": "log odds per SD",
    "in_top": "in the first 10",
    "p": "p",
    "p_family": "p, family",
}
_SETS = {
    "set": "set",
    "genes": "genes read",
    "of": "of",
    "share": "share, %",
    "log_odds": "log odds",
    "q_genes": "q, random sets",
    "p": "p, permuted labels",
}
_PERCENT = ("share", "share_low", "share_high")


def write_gene_page(
    folder: Path, rankings: Sequence[GeneRanking], classes: Sequence[str], notes: Sequence[str]
) -> None:
    """Write ``genes.html``, which needs no other file, and a picture a ranking (PNG and SVG).

    Args:
        folder: Where.
        rankings: One for each network and class.
        classes: Names of the classes.
        notes: Sentences: what the reader must know.
    """
    parts = []
    for ranking in rankings:
        title = f"{ranking.network} network, evidence for {classes[ranking.target]}"
        stem = f"genes-{ranking.network}-{ranking.target}"
        drawn = picture(write_figure(gene_figure(ranking, title), folder, stem), title)
        parts.append(
            {
                "title": title,
                "found": subtitle(ranking),
                "picture": drawn,
                "genes": _table(ranking.genes, _GENES),
                "sets": _table(ranking.sets, _SETS) if len(ranking.sets) else None,
            }
        )
    page = page_template("genes.html.jinja").render(
        title="Genes that drive the networks", parts=parts, notes=notes, limits=LIMITS, shown=_SHOWN
    )
    write_text(folder / PAGE, page)


def _table(rows: pd.DataFrame, columns: dict[str, str]) -> Table:
    known = [name for name in columns if name in rows]
    cells = tuple(
        tuple(Cell(_text(name, value)) for name, value in zip(known, row, strict=True))
        for row in rows[known].head(_SHOWN).itertuples(index=False)
    )
    return Table(tuple(columns[name] for name in known), (Section("", cells),))


def _text(name: str, value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{100 * value:.2f}" if name in _PERCENT else f"{value:.3g}"
