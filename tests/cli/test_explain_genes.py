"""`histodistill explain-genes` on bundles; on experiments see test_job."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.cli.command_line import run
from tests.deploy.bundles import bags_of, bundle, expression, member

PATIENTS = ["A", "B", "C", "D"]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    bundle(member(0), member(1)).save(tmp_path / "model")
    expression(PATIENTS).rename_axis("PATIENT").reset_index().to_csv(
        tmp_path / "genes.csv", index=False
    )
    bags_of(tmp_path / "features", PATIENTS[:3])
    (tmp_path / "sets.gmt").write_text("SOME\tx\tGENE1\tGENE2\nNONE\tx\tESR1\n")
    return tmp_path


def explain(folder: Path, *more: object):
    return run("explain-genes", folder / "model", "--out", folder / "out", *more)


def test_tables_and_pictures_of_both_teachers(inputs: Path) -> None:
    said = explain(
        inputs,
        *("--genomics", f"mrna={inputs / 'genes.csv'}", "--sets", inputs / "sets.gmt"),
        *("--features", inputs / "features", "--patient-pattern", "^(.)"),
    )
    assert said.exit_code == 0, said.output
    words = " ".join(said.output.split())
    assert "1 of 2 sets have no gene that the model reads: NONE" in words
    assert "no null of permuted labels" in words
    genes = pd.read_csv(inputs / "out" / "genes.csv")
    assert genes["network"].unique().tolist() == ["genomic", "multimodal"]
    assert (genes["class"] == "positive").all()
    assert genes.groupby("network")["share"].sum().to_numpy() == pytest.approx([1, 1])
    sets = pd.read_csv(inputs / "out" / "sets.csv")
    assert sets["set"].tolist() == ["SOME", "SOME"]
    stability = pd.read_csv(inputs / "out" / "stability.csv").set_index("network")
    assert stability["patients"].to_dict() == {"genomic": 4, "multimodal": 3}
    assert stability["parts"].tolist() == ["members", "members"]
    assert np.isfinite(stability["kuncheva_10"]).all()
    for network in ("genomic", "multimodal"):
        with Image.open(inputs / "out" / f"genes-{network}-1.png") as picture:
            assert picture.width > 500
    page = (inputs / "out" / "genes.html").read_text()
    assert page.count("data:image/svg+xml") == 2
    assert "http" not in page.replace("http://www.w3.org", "")
    for gene in genes["gene"].head(20):
        assert f"<td>{gene}</td>" in page
    assert "no null of permuted labels" in page


def test_patients_of_slides_are_found_by_a_table_as_by_their_names(inputs: Path) -> None:
    genes = ("--genomics", f"mrna={inputs / 'genes.csv'}", "--features", inputs / "features")
    files = sorted(path.name for path in (inputs / "features").iterdir())
    table = pd.DataFrame({"PATIENT": [name[0] for name in files], "FILENAME": files})
    table.to_csv(inputs / "slides.csv", index=False)
    found = []
    for how in (["--patient-pattern", "^(.)"], ["--slides-table", inputs / "slides.csv"]):
        said = explain(inputs, *genes, *how)
        assert said.exit_code == 0, said.output
        found.append((inputs / "out" / "genes.csv").read_text())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--slides-table", "t.csv"], "--slides-table has no effect on genes alone"),
        ([], "give the genes of patients: --genomics NAME=FILE"),
        (["--permutations", "5"], "--permutations of a bundle needs --experiment too"),
        (["--experiment", "e.yaml"], "--experiment of a bundle needs --permutations too"),
        (["--method", "mkd"], "--method has no effect on a bundle; give an experiment"),
        (["--sets", "none.gmt"], "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_told(inputs: Path, arguments: list[str], sentence: str) -> None:
    said = explain(inputs, *arguments)
    assert said.exit_code == 1
    assert sentence in " ".join(said.output.split())


def test_sets_of_other_names_are_refused(inputs: Path) -> None:
    (inputs / "other.gmt").write_text("A\tx\tENSG00000091831\n")
    said = explain(
        inputs,
        *("--genomics", f"mrna={inputs / 'genes.csv'}", "--sets", inputs / "other.gmt"),
    )
    assert said.exit_code == 1
    assert "no set has a gene that the model reads" in " ".join(said.output.split())
