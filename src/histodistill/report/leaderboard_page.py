"""The page of a comparison of many methods, with its tables and figures beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from histodistill.errors import listed
from histodistill.evaluation import (
    STANDARD_METRICS,
    Leaderboard,
    Ranking,
    build_leaderboard,
    ranks_table,
)
from histodistill.evaluation.intervals import RESAMPLES
from histodistill.evaluation.ranks import CAVEAT
from histodistill.files import write_text
from histodistill.report.critical_difference import critical_difference_figure
from histodistill.report.forest import forest_figure
from histodistill.report.html import FOLD_LIMIT, LIMITS, Picture, page_template, picture
from histodistill.report.paper_tables import paper_table, write_paper_table
from histodistill.report.plots import write_figure
from histodistill.report.tables import INPUTS, Table, p_value, plain_table
from histodistill.spreadsheets import write_csv

PAGE = "index.html"

MORE_LIMITS = (
    "A method trained with more seeds has figures that vary less from training to training; the "
    "number of seeds by itself raises none of them.",
    "The best of many methods on the same folds looks better than it will be on new patients. "
    "A method is to be chosen on inner validation sets or other patients, not from this page.",
)


def write_leaderboard(
    predictions: pd.DataFrame,
    costs: pd.DataFrame | None,
    folder: Path,
    *,
    reference: str | Mapping[str, str] | None = None,
    metrics: Sequence[str] = STANDARD_METRICS,
    title: str = "Comparison of methods",
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    settings: Mapping[str, str] | None = None,
    simulated: bool = False,
) -> Path:
    """Compare all methods of a predictions table and write tables, figures and one HTML page.

    Writes ``results.csv`` (tidy: a row a target, network and method), ``comparisons.csv`` (with
    the reference), ``ranks.csv``, ``table.md`` and ``table.tex`` (as papers print them),
    ``figures/`` (PNG and SVG) and ``index.html``. Each file is written whole; files of these names
    are replaced and nothing else is touched.

    Args:
        predictions: A checked predictions table: any methods, targets, folds and seeds.
        costs: A row a fit and network: ``target``, ``method``, ``seed``, ``repeat``, ``fold``,
            ``network``, ``parameters``, ``training_seconds`` (of the whole method),
            ``inference_ms`` (a patient). Rows may be lacking; None where nothing was measured.
        folder: Where the files go.
        reference: The method that the others are compared with: one name, used in each group of
            inputs in which that method answers, or a name by network (``student``,
            ``multimodal``, ``genomic``); no comparison where it is None.
        metrics: Names of metrics: all are columns of ``results.csv``, those beside the standard
            ones of the printed table too.
        title: Headline of the page.
        n_resamples: Bootstrap resamples, drawn only where DeLong's method does not apply (more
            than two classes).
        seed: Seed of the bootstrap.
        settings: What was run: name and value of each setting worth showing.
        simulated: Whether the cohort is simulated; the page then says so at the top.

    Returns:
        Path of the page, which needs no other file.

    Raises:
        InputError: A reference that answers nowhere, an unknown network, costs that lack columns,
            or a metric of another package that fails; every problem is named.
    """
    board = build_leaderboard(
        predictions,
        costs,
        reference=reference,
        metrics=metrics,
        n_resamples=n_resamples,
        seed=seed,
    )
    write_csv(folder / "results.csv", board.results)
    write_csv(folder / "comparisons.csv", board.comparisons)
    write_csv(folder / "ranks.csv", ranks_table(board.rankings))
    table = paper_table(board)
    write_paper_table(table, folder, "table", f"{title}: area under the ROC curve.")
    page = page_template("leaderboard.html.jinja").render(
        title=title,
        simulated=simulated,
        table=table,
        settings=settings or {},
        limits=[*LIMITS, FOLD_LIMIT, *MORE_LIMITS],
        **_parts(board, folder),
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def _parts(board: Leaderboard, folder: Path) -> dict[str, Any]:
    """What the page shows of a leaderboard; its figures are written."""
    return {
        "forest": _forest(board, folder),
        "caveat": CAVEAT,
        "ranks": [_ranks(ranking, folder) for ranking in board.rankings],
        "comparison": _comparison(board.comparisons),
        "n_compared": len(board.comparisons),
        "compared": _compared(board),
    }


@dataclass(frozen=True)
class _Ranks:
    """What the page says of the ranks of one kind of input."""

    inputs: str
    said: str
    picture: Picture | None
    left_out: list[str]


def _forest(board: Leaderboard, folder: Path) -> Picture:
    paths = write_figure(forest_figure(board.results, board.references), folder / "figures", "auc")
    caption = (
        "Dots: pooled AUC with its 95 % interval, methods in the order of its mean over the "
        "targets; upright lines: mean over folds, and over seeds and repeats if there are "
        "several"
    )
    return picture(paths, caption + ("; dashed: the reference." if board.references else "."))


def _ranks(ranking: Ranking, folder: Path) -> _Ranks:
    left_out = [
        f"{method} is left out: it has no result in {listed(list(lacking), 3)}."
        for method, lacking in ranking.left_out.items()
    ]
    if ranking.datasets_left_out:
        names = listed(list(ranking.datasets_left_out), 5)
        left_out.append(f"Left out, since fewer than half of the methods have a result: {names}.")
    drawn = None
    if not math.isnan(ranking.critical_difference):
        stem = f"critical-difference-{ranking.network}"
        paths = write_figure(critical_difference_figure(ranking), folder / "figures", stem)
        drawn = picture(
            paths,
            "Mean ranks, the best on the left. A bar joins methods that do not differ by "
            f"Nemenyi's test at 0.05 ({ranking.n_datasets} datasets).",
        )
    return _Ranks(INPUTS[ranking.network], _test_of(ranking), drawn, left_out)


def _test_of(ranking: Ranking) -> str:
    """The result of Friedman's test in a sentence."""
    k, n, test = len(ranking.mean_ranks), ranking.n_datasets, ranking.friedman
    counted = f"{k} method{'s' * (k != 1)} on {n} dataset{'s' * (n != 1)}."
    if math.isnan(test.p):
        return f"{counted} Friedman's test needs three methods that differ, and two datasets."
    return (
        f"{counted} Friedman's test with Iman and Davenport's correction: F({k - 1}, "
        f"{(k - 1) * (n - 1)}) = {test.f:.2f}, {_p(test.p)} (uncorrected: chi-squared "
        f"{test.chi_squared:.2f}, {_p(test.p_chi_squared)})."
    )


def _p(p: float) -> str:
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _compared(board: Leaderboard) -> str:
    names = [f"{method} ({INPUTS[net].lower()})" for net, method in board.references.items()]
    return (
        f"Reference: {', '.join(names)}. Difference of pooled AUCs on the patients that both "
        "answer, with DeLong's 95 % interval and p-value (of the bootstrap beyond two classes); "
        "Holm's adjustment takes all targets and all kinds of input as one family."
    )


def _comparison(comparisons: pd.DataFrame) -> Table | None:
    """The comparisons for reading; None where there are none."""
    if comparisons.empty:
        return None
    limits = zip(comparisons["low"], comparisons["high"], strict=True)
    columns = {
        "Target": comparisons["target"],
        "Inputs": comparisons["network"].map(INPUTS),
        "Method": comparisons["method"],
        "Reference": comparisons["reference"],
        "Patients": comparisons["n_patients"],
        "AUC": comparisons["auc"],
        "AUC of reference": comparisons["auc_reference"],
        "Difference": [f"{value:+.3f}" for value in comparisons["difference"]],
        "95 % interval": [f"{low:+.3f} to {high:+.3f}" for low, high in limits],
        "p (DeLong)": comparisons["p_delong"],
        "p (bootstrap)": comparisons["p_bootstrap"],
        "p (Holm)": comparisons["p_holm"],
        "Notes": comparisons["notes"],
    }
    return plain_table(pd.DataFrame(columns).dropna(axis="columns", how="all"))
