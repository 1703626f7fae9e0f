"""Cohorts that lack what most have, from crossval to the report's numbers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.cli.command_line import fail, succeed
from tests.experiment.small import NETWORK, change_table, experiment_file
from tests.report.pages import numbers_in, tables_of, unfounded

ABMIL = {"abmil": {"network": NETWORK}, "mkd": None}
BARE = {
    "cohort": {"survival": None, "site_column": None},
    "genomics": None,
    "genes": None,
    "methods": ABMIL,
    "baselines": ["logistic-slides"],
}


def every_number_is_in_its_csv(report: Path) -> None:
    for source, rows in tables_of(report / "report.html"):
        if source.startswith(("tables/subgroups", "tables/strata", "tables/distribution")):
            cells = [cell for row in rows for cell in row[1:]]
            known = numbers_in(report / source)
            known += [a - b for a in known for b in known]
            assert not unfounded(cells, known), source


def test_no_site_no_survival_no_genomics(cohort: Path):
    told = succeed("crossval", experiment_file(cohort.parent, BARE)).stdout
    report = cohort.parent / "results" / "report"
    assert f"Report: {report}" in told
    page = (report / "report.html").read_text()
    assert "Whether features and scores tell the site cannot be said" in page
    assert "Classes by site" not in page
    assert "Slides + genomics" not in page
    every_number_is_in_its_csv(report)


def test_twelve_patients_and_a_stratum_that_lacks_a_class(cohort: Path):
    def twelve(table: pd.DataFrame) -> pd.DataFrame:
        own = table[table["ER"] != ""].groupby("ER").head(6)
        own["GROUP"] = own["ER"].where(own.groupby("ER").cumcount() > 0, "mixed")
        return own.assign(ONE="<b>same</b>", EMPTY="", HOSPITAL=own["SITE"])

    change_table(cohort / "clinical.csv", twelve)
    kept = pd.read_csv(cohort / "clinical.csv")["PATIENT"]
    assert len(kept) == 12
    changes: dict[str, object] = {"methods": ABMIL, "genomics": None, "genes": None}
    changes |= {"baselines": [], "cohort": {"survival": None}}
    slides = pd.read_csv(cohort / "slides.csv")
    slides[slides["PATIENT"].isin(kept)].to_csv(cohort / "slides.csv", index=False)
    experiment = experiment_file(cohort.parent, changes)
    succeed("crossval", experiment, "--no-report")
    results = cohort.parent / "results"
    (problem,) = fail("report", results, "--by", "STAGE")
    assert "STAGE" in problem
    (problem,) = fail("report", results, "--by", "EMPTY")
    assert "--by EMPTY: has no value for any patient who was predicted" in problem
    succeed("report", results, "--by", "GROUP", "--by", "ONE", "--by", "HOSPITAL")
    page = (results / "report" / "report.html").read_text()
    assert "too few to say" in page
    assert "cannot be certified by 6 positive patients" in page
    groups = pd.read_csv(results / "report" / "tables" / "subgroups-ER.csv")
    assert "--by ONE: all patients who were predicted have &lt;b&gt;same" in page
    assert {"HOSPITAL", "Site", "ONE"} & set(groups["subgroup"]) == {"HOSPITAL"}
    own = groups[groups["subgroup"] == "GROUP"].set_index("level")
    assert own.loc["positive", "note"] == "too few to say"
    only = own.loc["positive"]
    assert (only["n_positive"], only["n_patients"]) == (5, 5)
    every_number_is_in_its_csv(results / "report")


@pytest.mark.parametrize("given", [("--by", "SITE"), ("--by", "SITE", "--patient-column", "NAME")])
def test_an_evaluation_by_a_column(cohort: Path, tmp_path: Path, given: tuple[str, ...]):
    clinical = pd.read_csv(cohort / "clinical.csv").dropna(subset=["ER"])
    renamed = clinical.rename(columns={"PATIENT": "NAME"}) if "NAME" in given else clinical
    renamed.to_csv(tmp_path / "labels.csv", index=False)
    share = (clinical["ER"] == "positive") * 0.3 + clinical.index % 7 / 10
    pd.DataFrame({"PATIENT": clinical["PATIENT"], "student": share}).to_csv(
        tmp_path / "new.csv", index=False
    )
    words = ("evaluate", tmp_path / "new.csv", "--out", tmp_path / "out")
    labels = ("--clinical", tmp_path / "labels.csv", "--target", "ER")
    classes = ("--classes", "negative,positive", "--positive", "positive")
    succeed(*words, *labels, *classes, *given)
    groups = pd.read_csv(tmp_path / "out" / "tables" / "subgroups-ER.csv")
    assert set(groups["level"]) == set(clinical["SITE"])
    assert groups["n_patients"].sum() == len(clinical)
    (problem,) = fail(*words, *labels, *classes, *given[2:], "--by", "GRADE")
    assert "--by GRADE" in problem
    (problem,) = fail(*words, "--by", "SITE")
    assert "--by has no effect without --clinical or --table" in problem
