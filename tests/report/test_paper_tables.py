from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import Leaderboard, build_leaderboard
from histodistill.report import paper_latex, paper_markdown, paper_table, write_paper_table
from histodistill.report.paper_tables import PaperTable
from tests.evaluation.simulated import three_class, two_class
from tests.evaluation.test_leaderboard import costs, row_of

AWKWARD = (("a_b & c%", 1.0), (r"~^\{<$#}>", 4.0), ("x|y*", 1.4))

COUNTS = "n (positive / negative)"


def board(reference: str | None = "a_b & c%", **measured: float) -> Leaderboard:
    tables = [
        two_class(methods=AWKWARD, seeds=(0, 1), networks=networks, target=target)
        for target, networks in (("ER", ("student", "genomic")), ("PR_2", ("student",)))
    ]
    table = pd.concat(tables, ignore_index=True)
    known = costs(table).assign(**measured) if measured else None
    return build_leaderboard(table, known, reference=reference)


def column(table: PaperTable, group: str, name: str, section: int = 0) -> list[tuple[str, int]]:
    place = table.columns.index((group, name))
    return [(row[place].text, row[place].rank) for row in table.sections[section].rows]


def test_sections_columns_and_figures():
    source = board(parameters=1_234_567, training_seconds=123.4, inference_ms=0.5)
    table = paper_table(source)
    assert [section.heading for section in table.sections] == ["Slides only", "Genomics only"]
    assert table.columns == (
        ("", "Method"),
        *(("ER", COUNTS), ("ER", "mean ± sd"), ("ER", "pooled [95 %]")),
        *(("PR_2", COUNTS), ("PR_2", "mean ± sd"), ("PR_2", "pooled [95 %]")),
        *(("All targets", "mean AUC"), ("", "Mean rank")),
        *(("", "Params"), ("", "Train, s"), ("", "Infer, ms")),
    )
    row = row_of(source.results, "ER", "student", "x|y*")
    mean = f"{row['fold_auc']:.3f} ± {row['fold_auc_sd']:.3f}"
    pooled = f"{row['auc']:.3f} [{row['low']:.3f}–{row['high']:.3f}]"
    assert column(table, "ER", "mean ± sd")[2][0] == mean
    assert column(table, "ER", "pooled [95 %]")[2][0].startswith(pooled)
    assert column(table, "ER", COUNTS)[0][0] == "60 (40 / 20)"
    assert column(table, "", "Params")[0] == ("1.23 M", 0)
    assert column(table, "", "Train, s")[0] == ("123", 0)
    assert column(table, "", "Infer, ms")[0] == ("0.50", 0)


def test_marks_of_the_best_and_of_what_differs_from_the_reference():
    source = board()
    table = paper_table(source)
    assert column(table, "", "Method")[0][0] == "a_b & c% (reference)"
    assert [rank for _, rank in column(table, "ER", "mean ± sd")].index(1) == 1
    assert column(table, "", "Mean rank")[1] == ("1.00", 1)
    arrows = [text.endswith("↑") for text, _ in column(table, "ER", "pooled [95 %]")]
    tests = source.comparisons.query("target == 'ER' and network == 'student'")
    assert arrows == [False, *(tests["p_holm"] < 0.05)]
    assert arrows[1]
    down = paper_table(board(reference=AWKWARD[1][0]))
    assert column(down, "ER", "pooled [95 %]")[0][0].endswith("↓")
    said = [note for note in table.notes if note.startswith("↑ ↓")]
    assert len(said) == 1
    assert "Holm's adjustment over the 6 comparisons" in said[0]


def test_the_mean_over_targets_is_of_methods_that_have_all():
    table = paper_table(board())
    values = column(table, "All targets", "mean AUC")
    means = board().results.query("network == 'student'").groupby("method")["fold_auc"].mean()
    assert values[0][0] == f"{means['a_b & c%']:.3f}"
    assert [text for text, _ in column(table, "All targets", "mean AUC", 1)] == ["–"] * 3
    # The genomic networks answer for one target alone.
    assert [text for text, _ in column(table, "PR_2", "mean ± sd", 1)] == ["–"] * 3


def test_no_costs_no_reference_one_target():
    table = paper_table(build_leaderboard(two_class()))
    names = [name for _, name in table.columns]
    assert names == ["Method", COUNTS, "mean ± sd", "pooled [95 %]", "Mean rank"]
    assert not [note for note in table.notes if note.startswith(("↑", "Cost"))]


def test_methods_with_fewer_seeds_are_named():
    both = pd.concat([two_class(seeds=(0, 1)), two_class(methods=[("once", 1.0)])])
    notes = paper_table(build_leaderboard(both)).notes
    assert notes[-1] == "Fewer seeds or folds than others of the same target: once (1 x 5)."


def test_three_classes_and_one_method_alone():
    table = paper_table(build_leaderboard(three_class(), n_resamples=50))
    assert "(bootstrap)" in table.notes[0]
    assert "unweighted mean of the AUCs" in table.notes[1]
    assert "unweighted" not in " ".join(paper_table(board()).notes)
    assert column(table, "PAM50", "n (by class)")[0][0] == "45 (15 Basal, 15 LumA, 15 LumB)"
    assert not any(note.startswith("Mean rank") for note in table.notes)
    assert [cell.rank for cell in table.sections[0].rows[0]] == [0, 0, 0, 0, 0]


def test_markdown_rows_have_the_same_cells_and_names_are_escaped():
    text = paper_markdown(paper_table(board()))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert cells == {10}
    assert "| a_b & c% (reference) |" in text
    assert r"| x\|y\* |" in text
    assert r"| \~^\\{\<$#}> |" in text
    assert "\n\n- AUC. Mean ± sd" in text


def latex_rows(text: str) -> list[str]:
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    return [line for line in body.splitlines() if line.endswith(r"\\")]


def width(row: str) -> int:
    spans = [int(found) for found in re.findall(r"\\multicolumn\{(\d+)\}", row)]
    return len(re.findall(r"(?<!\\)&", row)) + 1 + sum(spans) - len(spans)


def test_latex_structure():
    table = paper_table(board(parameters=10, training_seconds=1, inference_ms=1))
    text = paper_latex(table, "100 % & more", "tab:x")
    plain = re.sub(r"\\[{}]", "", text)
    depth = np.cumsum([(c == "{") - (c == "}") for c in plain])
    assert depth.min() == 0
    assert depth[-1] == 0
    opened = re.findall(r"\\begin\{(.+?)\}", text)
    closed = re.findall(r"\\end\{(.+?)\}", text)
    assert sorted(opened) == sorted(closed) == ["minipage", "table*", "tabular"]
    columns = re.search(r"\\begin\{tabular\}\{(\w+)\}", text)
    assert columns is not None
    assert {width(row) for row in latex_rows(text)} == {len(columns[1])} == {len(table.columns)}
    assert r"\cmidrule(lr){2-4} \cmidrule(lr){5-7} \cmidrule(lr){8-8}" in text
    assert r"a\_b \& c\% (reference) &" in text
    assert r"\textasciitilde{}\textasciicircum{}\textbackslash{}\{\textless{}\$\#\}" in text
    assert r"\multicolumn{3}{c}{PR\_2}" in text
    assert r"\textbf{1.00}" in text
    assert r"\underline{" in text
    assert r"$\uparrow$" in text
    assert r"\caption{100 \% \& more}" in text
    assert text.isascii()


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path):
    write_paper_table(paper_table(board()), tmp_path, "table", "AUC_1 of 100 %")
    document = (
        r"\documentclass{article}\usepackage{booktabs,graphicx}"
        r"\begin{document}\input{table.tex}\end{document}"
    )
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "paper.pdf").stat().st_size > 0
