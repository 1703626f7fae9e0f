"""The cohort on the page: who is in, who was left out and why, from where, with how much."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.report.cohort_figures import bags_figure, sites_figure
from histodistill.report.evidence import Evidence
from histodistill.report.flow import Flow, flow_of
from histodistill.report.html import Picture, picture
from histodistill.report.plots import write_figure
from histodistill.report.tables import Table, plain_table
from histodistill.spreadsheets import write_csv

MOST_SITES = 30
"""Sites that are drawn, the largest; the table beside the page has all."""


@dataclass(frozen=True)
class CohortSection:
    """The cohort on the page; what is not known is None, or empty.

    Attributes:
        flow: The diagram.
        sites: Classes by site, a picture a target.
        folds: Patients by fold, part and class.
        bags: Slides and patches of the patients.
        bag_table: The same in quartiles.
    """

    flow: Flow | None
    sites: tuple[Picture, ...]
    folds: Table | None
    bags: Picture | None
    bag_table: Table | None


def cohort_section(folder: Path, evidence: Evidence) -> CohortSection:
    """Draw and tabulate the cohort, and write its figures and tables."""
    flow = None
    if evidence.flow is not None:
        write_csv(folder / "tables" / "flow.csv", evidence.flow)
        flow = flow_of(evidence.flow)
    bags, bag_table = _bags(folder, evidence.patients)
    return CohortSection(
        flow, tuple(_sites(folder, evidence.sites)), _folds(folder, evidence), bags, bag_table
    )


def _sites(folder: Path, sites: pd.DataFrame | None) -> list[Picture]:
    if sites is None or sites["site"].nunique() < 2:
        return []
    write_csv(folder / "tables" / "sites.csv", sites)
    drawn = []
    for target, own in sites.groupby("target", sort=False):
        wide = own.pivot_table(
            index="site", columns="class", values="patients", aggfunc="sum", fill_value=0
        )
        order = wide.sum(axis=1).sort_values(ascending=False, kind="stable").index
        shown = wide.loc[order[:MOST_SITES]]
        left = len(order) - len(shown)
        more = f"; {left} smaller sites are in tables/sites.csv" if left else ""
        stem = "sites-" + "".join(c if c.isalnum() or c in "-_" else "-" for c in str(target))
        paths = write_figure(sites_figure(shown, str(target)), folder / "figures", stem)
        drawn.append(picture(paths, f"{target}: patients by site and class{more}."))
    return drawn


def _folds(folder: Path, evidence: Evidence) -> Table | None:
    if evidence.folds is None:
        return None
    write_csv(folder / "tables" / "divisions.csv", evidence.folds)
    shown = evidence.folds.rename(columns=lambda name: str(name).capitalize())
    return plain_table(shown, digits=0, source="tables/divisions.csv")


def _bags(folder: Path, patients: pd.DataFrame | None) -> tuple[Picture | None, Table | None]:
    """Slides and patches a patient; nothing where nobody has slides."""
    if patients is None or not {"slides", "patches"} <= set(patients):
        return None, None
    own = patients.loc[patients["slides"] > 0, ["slides", "patches"]]
    if own.empty:
        return None, None
    quartiles = own.quantile([0, 0.25, 0.5, 0.75, 1]).T
    quartiles.columns = pd.Index(["Least", "First quartile", "Median", "Third quartile", "Most"])
    table = quartiles.rename_axis("A patient has").reset_index()
    table.insert(1, "Patients", len(own))
    write_csv(folder / "tables" / "bags.csv", table)
    paths = write_figure(bags_figure(own), folder / "figures", "bags")
    caption = f"Patches (left, logarithmic) and slides (right) of {len(own)} patients with slides."
    return picture(paths, caption), plain_table(table, digits=0, source="tables/bags.csv")
