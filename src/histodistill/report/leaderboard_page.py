"""The page of a comparison of many methods, with its tables and figures beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from histodistill.evaluation.intervals import RESAMPLES

PAGE = "index.html"


def write_leaderboard(
    predictions: pd.DataFrame,
    costs: pd.DataFrame | None,
    folder: Path,
    *,
    reference: str | Mapping[str, str] | None = None,
    title: str = "Comparison of methods",
    n_resamples: int = RESAMPLES,
    seed: int = 0,
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
        title: Headline of the page.
        n_resamples: Bootstrap resamples, drawn only where DeLong's method does not apply (more
            than two classes).
        seed: Seed of the bootstrap.

    Returns:
        Path of the page, which needs no other file.

    Raises:
        InputError: A reference that answers nowhere, an unknown network, or costs that lack
            columns; every problem is named.
    """
    raise NotImplementedError
