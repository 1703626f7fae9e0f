"""Names that are formulas, markup or programs reach no spreadsheet, page or picture as such."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tests.cli.command_line import succeed
from tests.experiment.small import NETWORK, change_table, experiment_file

NEGATIVE, POSITIVE = "<script>alert(1)</script>$x^{", "=1+1"
BEFORE_PATIENTS = ("@", "+", "<img src=x onerror=alert(2)>", "$x^{", "-")
MARKUP = ("<script>alert", "<img src=x")


def test_names_are_text_wherever_they_are_written(cohort):
    folder, clinical = cohort.parent, cohort / "clinical.csv"
    rename(cohort)
    experiment = experiment_file(
        folder,
        {
            "name": NEGATIVE,
            "targets": {"ER": {"classes": [NEGATIVE, POSITIVE], "positive": POSITIVE}},
            "genomics": {"mrna": {"file": "cohort/plain.csv"}},
            "training": {"max_epochs": 1},
            "methods": {"abmil": None, "mkd": {"network": NETWORK}},
        },
    )
    predictions = folder / "results" / "predictions.csv"
    succeed("crossval", experiment)
    succeed("train", experiment, "--method", "mkd", "--out", folder / "bundle")
    new = ("--features", cohort / "features", "--slides-table", cohort / "slides.csv")
    succeed("predict", folder / "bundle", *new, "--out", folder / "new.csv")
    asked = ("--target", "ER", "--classes", f"{NEGATIVE},{POSITIVE}", "--positive", POSITIVE)
    succeed(
        *("evaluate", folder / "new.csv", "--clinical", clinical, *asked, "--title", NEGATIVE),
        *("--out", folder / "external"),
    )
    succeed("compare", predictions, "--reference", "mkd student", "--out", folder / "compared")
    succeed(
        *("triage", predictions, "--method", "mkd", "--max-missed", "0.9"),
        *("--out", folder / "triage"),
    )
    succeed("report", folder / "results", "--by", "SITE")
    named = pd.read_csv(clinical, dtype=str)["PATIENT"][2]
    succeed("explain", folder / "bundle", *new, "--patient", named, "--out", folder / "maps")
    genes = f"mrna={cohort / 'plain.csv'}"
    succeed("explain-genes", folder / "bundle", "--genomics", genes, "--out", folder / "genes")
    assert list(computed_cells(folder, cohort)) == []
    assert list(live_markup(folder, cohort)) == []


def rename(cohort: Path) -> None:
    """Give patients, classes, hospitals and two genes names that do something where they can."""
    names = pd.read_csv(cohort / "clinical.csv", dtype=str)["PATIENT"]
    patients = {name: BEFORE_PATIENTS[i % 5] + name for i, name in enumerate(names)}
    classes = {"negative": NEGATIVE, "positive": POSITIVE, "": ""}
    change_table(
        cohort / "clinical.csv",
        lambda table: table.assign(
            PATIENT=table["PATIENT"].map(patients),
            ER=table["ER"].map(classes),
            SITE="=" + NEGATIVE + table["SITE"],
        ),
    )
    change_table(
        cohort / "slides.csv", lambda table: table.assign(PATIENT=table["PATIENT"].map(patients))
    )
    genes = pd.read_csv(cohort / "mrna_zscores.txt", sep="\t", index_col="Hugo_Symbol")
    table = genes.drop(columns="Entrez_Gene_Id").T.rename_axis("PATIENT").reset_index()
    table["PATIENT"] = [patients[next(n for n in names if s.startswith(n))] for s in table.PATIENT]
    table.columns = [*table.columns[:-2], "=GENE+1", "<script>alert(4)</script>$x^{"]
    table.to_csv(cohort / "plain.csv", index=False)


def written(folder: Path, cohort: Path, *suffixes: str) -> Iterator[Path]:
    """What the commands wrote, of these kinds."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in suffixes and cohort not in path.parents:
            yield path


def computed_cells(folder: Path, cohort: Path) -> Iterator[tuple[Path, str]]:
    """Cells that a spreadsheet would compute."""
    for path in written(folder, cohort, ".csv"):
        cells = pd.read_csv(path, dtype=str, header=None, keep_default_na=False)
        column = pd.Series(cells.to_numpy().ravel())
        texts = column[pd.to_numeric(column, errors="coerce").isna()]
        yield from ((path, cell) for cell in texts if cell.startswith(tuple("=+-@\t\r")))


def live_markup(folder: Path, cohort: Path) -> Iterator[tuple[Path, str]]:
    """Elements that a page would take from a name."""
    for path in written(folder, cohort, ".html", ".svg", ".md"):
        text = path.read_text().replace("\\<", "")
        # What a card quotes of its provenance stands in a block of code.
        text = "".join(text.split("```")[::2])
        yield from ((path, markup) for markup in MARKUP if markup in text)
