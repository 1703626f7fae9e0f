from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import check_predictions
from histodistill.report import Report, write_report
from tests.evaluation.simulated import three_class, two_class
from tests.report.test_plots import RECORDS

VOID = {"meta", "img", "link", "br"}


class Outline(HTMLParser):
    """Headings, sources of images, and whether every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)


def report() -> Report:
    predictions = two_class(n=40, networks=("student", "genomic"))
    predictions.loc[[3, 4], "genomic"] = np.nan
    lost = (predictions["fold"] == 2) & (predictions["label"] == "positive")
    return Report(
        title="ER <from> slides",
        predictions=check_predictions(predictions[~lost], "simulated"),
        settings={"Experiment": "er.yaml"},
        cohort=pd.DataFrame({"Target": ["ER"], "Positive": [26], "Negative": [14]}),
        excluded=pd.DataFrame(
            {"PATIENT": ["X1", "X2", "X3"], "reason": ["no slide", "label unknown", "no slide"]}
        ),
        training={"mkd, fold 0": RECORDS, "abmil, fold 0": []},
        versions={"histodistill": "0.0"},
        limits=["One cohort alone."],
        reference="abmil student",
        simulated=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert write_report(folder, report(), n_resamples=50) == folder / "report.html"
    return folder


def test_the_page_is_well_formed_and_needs_no_other_file(folder: Path):
    text = (folder / "report.html").read_text()
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert len(outline.images) == 7
    assert all(source.startswith("data:image/svg+xml,%3C") for source in outline.images)
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert outline.headings == [
        "ER <from> slides",
        "Results",
        "ER",
        "All metrics, pooled over folds, with 95 % intervals",
        "Calibration, before and after",
        "ER in depth: abmil (slides only)",
        "Probabilities by outcome",
        "Decision curve",
        "Triage: positive, negative, or send to immunohistochemistry",
        "Confounders",
        "Worst errors",
        "Comparison with abmil student",
        "What was run",
        "Patients",
        "Patients left out",
        "Notes",
        "Versions",
        "Checklists and model card",
        "Table of patients",
        "Limits",
    ]


def test_the_page_tells_what_matters(folder: Path):
    text = (folder / "report.html").read_text()
    for said in (
        "<strong>Research use only.</strong> Not a medical device",
        "<strong>Simulated cohort.</strong>",
        "<td>er.yaml</td>",
        "<tr><td>no slide</td><td>2</td></tr>",
        "ER, mkd (slides only): fold 2: no positive patient.",
        "One cohort alone.",
        "2 patients that one alone answers left out",
        "Training curves (1)",
    ):
        assert said in text, said


def test_the_files_beside_the_page(folder: Path):
    tables = {path.name for path in (folder / "tables").iterdir()}
    assert tables == {
        *("summary.csv", "folds.csv", "comparison.csv", "excluded.csv"),
        *("auc.md", "auc.tex", "comparison.md", "comparison.tex"),
        *("metrics-ER.md", "metrics-ER.tex", "folds-ER.md", "folds-ER.tex", "cohort.csv"),
        *("calibration-ER.csv", "calibration-ER.md", "calibration-ER.tex"),
        *("confusion-ER.csv", "confusion-ER.md", "confusion-ER.tex"),
        *("calibration-after-ER.csv", "decision-ER.csv", "distribution-ER.csv"),
        *("errors-ER.csv", "patients.csv", "excluded-reasons.csv"),
    }
    figures = {path.name for path in (folder / "figures").iterdir()}
    stems = (
        *("roc-ER", "precision-recall-ER", "calibration-ER", "training-mkd--fold-0"),
        *("confusion-ER-student", "confusion-ER-genomic", "decision-ER"),
    )
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "svg")}
    assert len(pd.read_csv(folder / "tables" / "excluded.csv")) == 3


def test_the_same_report_gives_the_same_bytes(folder: Path, tmp_path: Path):
    again = write_report(tmp_path, report(), n_resamples=50)
    assert again.read_bytes() == (folder / "report.html").read_bytes()


def test_the_least_that_a_report_holds(tmp_path: Path):
    page = write_report(tmp_path, Report("PAM50", three_class()), n_resamples=20)
    text = page.read_text()
    assert "Simulated cohort" not in text
    assert "Comparison" not in text
    assert "Training curves" not in text


def test_an_impossible_comparison_is_explained_on_the_page(tmp_path: Path):
    content = Report("PAM50", three_class(), reference="abmil student")
    text = write_report(tmp_path, content, n_resamples=20).read_text()
    assert "Not compared: The reference abmil student is not among the contenders" in text


def test_three_classes_get_what_two_get(tmp_path: Path):
    table = three_class()
    text = write_report(tmp_path, Report("PAM50", table), n_resamples=20).read_text()
    assert "are unweighted means over the 3 classes (Basal, LumA, LumB), each against the" in text
    figures = {path.stem for path in (tmp_path / "figures").iterdir()}
    kinds = ("roc", "precision-recall", "calibration", "confusion")
    assert figures == {f"{kind}-PAM50-student" for kind in kinds}
    counts = pd.read_csv(tmp_path / "tables" / "confusion-PAM50.csv")
    columns = table[[f"student:{name}" for name in ("Basal", "LumA", "LumB")]]
    called = [str(name).removeprefix("student:") for name in columns.idxmax(axis=1)]
    expected = Counter(zip(table["label"], called, strict=True))
    for label, name, n in zip(counts["class"], counts["called"], counts["patients"], strict=True):
        assert expected[label, name] == n
    own = pd.read_csv(tmp_path / "tables" / "classes-PAM50.csv")
    own = own[own["class"] == "LumA"].set_index("metric")
    assert (own["n_patients"] == 15).all()
    for metric in ("auc", "sensitivity", "specificity", "ppv", "f1"):
        assert own["low"][metric] <= own["estimate"][metric] <= own["high"][metric], metric
    right = expected["LumA", "LumA"]
    assert own["estimate"]["ppv"] == pytest.approx(right / called.count("LumA"))
    cohort = pd.read_csv(tmp_path / "tables" / "cohort.csv")
    assert cohort.to_numpy().tolist() == [["PAM50", n, 15] for n in ("Basal", "LumA", "LumB")]


def test_one_model_on_an_external_cohort_says_nothing_of_folds(tmp_path: Path):
    table = two_class(networks=("student",))
    table = table.assign(fold=0, deployed=table["student"], deployed_threshold=0.5)
    content = Report(
        "External",
        check_predictions(table, "simulated"),
        settings={"Method abmil": "bundle 0123456789ab; predictions p.csv"},
        reference="abmil deployed",
        external=True,
    )
    text = write_report(tmp_path, content, n_resamples=20).read_text()
    texts = {"page": re.sub(r"data:image[^\"]*", "", text)}
    texts |= {path.name: path.read_text() for path in (tmp_path / "tables").iterdir()}
    for name, written in texts.items():
        assert not re.search(r"\bfolds?\b|fold_|pooled|n_models|, models", written, re.I), name
    assert "bundle 0123456789ab" in text
    assert text.index("As deployed") < text.index("Slides only")
    assert "Calibration, before and after" in text
    assert not (tmp_path / "tables" / "folds.csv").exists()
