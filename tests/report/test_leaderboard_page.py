from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.evaluation import build_leaderboard
from histodistill.report import write_leaderboard
from tests.evaluation.simulated import three_class, two_class
from tests.evaluation.test_leaderboard import METHODS, costs, several
from tests.report.test_page import Outline

FILES = {"results.csv", "comparisons.csv", "ranks.csv", "table.md", "table.tex", "index.html"}
FIGURES = {"auc", "critical-difference-student", "critical-difference-genomic"}


def write(folder: Path) -> Path:
    table = several()
    table = table[~((table["method"] == "clam") & (table["fold"] > 2))]
    return write_leaderboard(
        *(table, costs(table), folder),
        reference="abmil",
        title="Methods <compared>",
        settings={"Suite": "suite.yaml"},
        simulated=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leaderboard")
    assert write(folder) == folder / "index.html"
    return folder


def test_the_files(folder: Path):
    assert {path.name for path in folder.iterdir()} == {*FILES, "figures"}
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert figures == {f"{stem}.{suffix}" for stem in FIGURES for suffix in ("png", "svg")}
    results = pd.read_csv(folder / "results.csv")
    assert len(results) == 12
    assert set(results["parameters"]) == {1000}
    assert len(pd.read_csv(folder / "comparisons.csv")) == 8
    assert len(pd.read_csv(folder / "ranks.csv")) == 6


def test_the_results_read_back_as_they_were(folder: Path):
    table = several()
    table = table[~((table["method"] == "clam") & (table["fold"] > 2))]
    expected = build_leaderboard(table, costs(table), reference="abmil").results
    found = pd.read_csv(folder / "results.csv", keep_default_na=True)
    for name in ("fold_auc", "auc", "low", "p_holm", "mean_rank", "training_seconds"):
        np.testing.assert_allclose(found[name], expected[name])


def test_the_page_is_well_formed_and_needs_no_other_file(folder: Path):
    text = (folder / "index.html").read_text()
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert len(outline.images) == 3
    assert all(source.startswith("data:image/svg+xml,%3C") for source in outline.images)
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert outline.headings == [
        *("Methods <compared>", "Results", "Area under the ROC curve", "Ranks"),
        *("Slides only", "Genomics only", "Comparison with the reference"),
        *("What was run", "Limits"),
    ]


def test_the_page_tells_what_matters(folder: Path):
    text = (folder / "index.html").read_text()
    for said in (
        "<strong>Research use only.</strong> Not a medical device",
        "<strong>Simulated cohort.</strong>",
        "folds share most of their training patients",
        "clam is left out: it has no result in ER, fold 3, ER, fold 4, PR, fold 3 and 1 more.",
        "abmil (reference)",
        "All 8 comparisons",
        "2 methods on 10 datasets. Friedman&#39;s test needs three methods that differ",
        "<td>suite.yaml</td>",
        "The best of many methods on the same folds looks better",
    ):
        assert said in text, said


def test_the_same_predictions_give_the_same_bytes(folder: Path, tmp_path: Path):
    write(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_friedman_on_the_page(tmp_path: Path):
    table = two_class(methods=METHODS)
    text = write_leaderboard(table, None, tmp_path).read_text()
    test = build_leaderboard(table).rankings[0].friedman
    assert "3 methods on 5 datasets. Friedman&#39;s test with Iman and" in text
    assert f"F(2, 8) = {test.f:.2f}, p " in text
    assert "Comparison with" not in text
    assert "What was run" not in text


def test_the_least_that_a_page_holds(tmp_path: Path):
    text = write_leaderboard(three_class(), None, tmp_path, n_resamples=20).read_text()
    assert "1 method on 3 datasets." in text
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"auc.png", "auc.svg"}
    assert pd.read_csv(tmp_path / "comparisons.csv").empty


def test_other_files_are_left_alone(tmp_path: Path):
    (tmp_path / "figures").mkdir()
    kept = [tmp_path / "notes.txt", tmp_path / "figures" / "mine.png"]
    for path in kept:
        path.write_text("mine")
    write_leaderboard(two_class(), None, tmp_path)
    assert [path.read_text() for path in kept] == ["mine", "mine"]


def test_nothing_is_written_for_an_impossible_reference(tmp_path: Path):
    with pytest.raises(InputError, match="The reference clam is not among"):
        write_leaderboard(two_class(), None, tmp_path, reference="clam")
    assert list(tmp_path.iterdir()) == []
