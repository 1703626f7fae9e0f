from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import STANDARD_METRICS, evaluate
from histodistill.report import (
    Cell,
    Section,
    Table,
    headline_table,
    metrics_table,
    plain_table,
    to_latex,
    to_markdown,
    write_table,
)
from histodistill.report.tables import p_value
from histodistill.spreadsheets import write_csv
from tests.evaluation.simulated import three_class, two_class


def summary(*rows: tuple[str, str, str, str, float, float]) -> pd.DataFrame:
    """Rows of target, method, network, metric, mean over folds and pooled estimate."""
    names = ["target", "method", "network", "metric", "mean", "estimate"]
    table = pd.DataFrame(rows, columns=names)
    counts = {"n_patients": 60, "n_positive": 20, "n_models": 5}
    ends = {"low": table["estimate"] - 0.05, "high": table["estimate"] + 0.05}
    return table.assign(**counts, class_counts="40 negative, 20 positive", sd=0.0312, **ends)


RESULTS = summary(
    ("ER", "abmil", "student", "auc", 0.80, 0.79),
    ("ER", "clam", "student", "auc", 0.82, 0.78),
    ("ER", "mkd", "student", "auc", 0.84, 0.83),
    ("ER", "mkd", "genomic", "auc", 0.93, 0.92),
    ("PR", "abmil", "student", "auc", 0.70, 0.69),
    ("PR", "mkd", "student", "auc", float("nan"), float("nan")),
)


def test_headline_sections_columns_and_ranks():
    table = headline_table(RESULTS)
    assert table.header == (
        "Method",
        "ER patients (positive / negative), models",
        "PR patients (positive / negative), models",
        "ER AUC, mean ± sd",
        "ER AUC, pooled [95 %]",
        "PR AUC, mean ± sd",
        "PR AUC, pooled [95 %]",
    )
    slides, genomics = table.sections
    assert (slides.heading, genomics.heading) == ("Slides only", "Genomics only")
    abmil, clam, mkd = slides.rows
    assert abmil[:5] == (
        Cell("abmil"),
        Cell("60 (20 / 40), 5"),
        Cell("60 (20 / 40), 5"),
        Cell("0.800 ± 0.031"),
        Cell("0.790 [0.740–0.840]", rank=2),
    )
    assert [cell.rank for cell in clam] == [0, 0, 0, 2, 0, 0, 0]
    assert [cell.rank for cell in mkd] == [0, 0, 0, 1, 1, 0, 0]
    assert [cell.text for cell in mkd[5:]] == ["–", "–"]
    assert clam[5].text == "–"
    # A method alone among its inputs is not marked as the best.
    assert [cell.rank for cell in genomics.rows[0]] == [0] * 7


def test_smaller_is_better_for_calibration_and_ties_share_a_rank():
    rows = [
        ("ER", name, "student", "brier", v, v)
        for name, v in zip("abcd", (0.3, 0.1, 0.2, 0.1), strict=True)
    ]
    table = metrics_table(summary(*rows), "ER", "folds")
    column = table.header.index("Brier")
    assert [row[column].rank for row in table.sections[0].rows] == [0, 1, 2, 1]


def test_metrics_table_of_a_real_evaluation():
    tables = evaluate(pd.concat([two_class(), three_class()]), n_resamples=20)
    table = metrics_table(tables.summary, "PAM50", "pooled")
    assert len(table.header) == 2 + len(STANDARD_METRICS)
    (section,) = table.sections
    assert "[" in section.rows[0][2].text
    assert table.header[1] == "Patients (by class), models"
    assert section.rows[0][1].text == "45 (15 Basal, 15 LumA, 15 LumB), 3"
    both = headline_table(tables.summary)
    assert both.header[1:3] == (
        "ER patients (positive / negative), models",
        "PAM50 patients (by class), models",
    )


def test_markdown():
    table = Table(
        ("A", "B|C"), (Section("Slides", ((Cell("x"), Cell("1", 1)), (Cell("y"), Cell("2", 2)))),)
    )
    assert to_markdown(table) == (
        "| A | B\\|C |\n| --- | --- |\n| *Slides* |  |\n| x | **1** |\n| y | <u>2</u> |\n"
    )


def test_latex():
    rows = ((Cell("a_b & c%"), Cell("0.9 ± 0.1 [0.8–1.0]", 1)), (Cell("~^\\{<"), Cell("1", 2)))
    text = to_latex(Table(("M", "AUC"), (Section("S", rows),)), "50 % of #1")
    assert text == "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            r"\caption{50 \% of \#1}",
            r"\begin{tabular}{ll}",
            r"\toprule",
            r"M & AUC \\",
            r"\midrule",
            r"\multicolumn{2}{l}{\textit{S}} \\",
            r"a\_b \& c\% & \textbf{0.9 $\pm$ 0.1 [0.8--1.0]} \\",
            r"\textasciitilde{}\textasciicircum{}\textbackslash{}\{\textless{} & \underline{1} \\",
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.00001, "<0.0001"), (0.00123, "0.0012"), (0.048, "0.048"), (0.5, "0.50"), (1.0, "1.00")],
)
def test_p_values(p: float, text: str):
    assert p_value(p) == text


def test_plain_table():
    frame = pd.DataFrame(
        {"Target": ["ER", "PR"], "n": [3, 4], "x": [0.12345, np.nan], "p (Holm)": [0.00002, 0.25]}
    )
    rows = plain_table(frame).sections[0].rows
    assert [[cell.text for cell in row] for row in rows] == [
        ["ER", "3", "0.123", "<0.0001"],
        ["PR", "4", "–", "0.25"],
    ]


def test_files(tmp_path: Path):
    write_table(headline_table(RESULTS), tmp_path / "new", "auc", "AUC.")
    write_csv(tmp_path / "new" / "summary.csv", RESULTS)
    assert (tmp_path / "new" / "auc.md").read_text().startswith("| Method | ER patients")
    assert r"\caption{AUC.}" in (tmp_path / "new" / "auc.tex").read_text()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "new" / "summary.csv"), RESULTS)
