"""The results of a run: printed in short, reported in full."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from histodistill.cli.console import answer, say_notes, show, with_interval
from histodistill.evaluation import evaluate, with_standard
from histodistill.evaluation.summary import OF_FOLDS, WARNING
from histodistill.experiment import Experiment, ExperimentData
from histodistill.experiment.audit import excluded_patients
from histodistill.experiment.cohort_table import cohort_table
from histodistill.report import Report, write_report
from histodistill.training.loop.trainer import CURVES
from histodistill.training.run.run_folder import versions

REPORT = "report"


def show_aucs(predictions: pd.DataFrame, *, external: bool = False) -> None:
    """Print the AUC of every network of every method, and where not to rely on it.

    A script gets all metrics.

    Args:
        predictions: A checked predictions table.
        external: Whether one model predicted all patients, so that nothing is of folds.
    """
    summary = evaluate(predictions).summary
    answer(results=summary.drop(columns=OF_FOLDS) if external else summary)
    aucs = summary[summary["metric"] == "auc"]
    of_all = zip(aucs["estimate"], aucs["low"], aucs["high"], strict=True)
    shown = aucs[["target", "method", "network"]]
    if not external:
        of_folds = zip(aucs["mean"], aucs["sd"], strict=True)
        shown = shown.assign(**{"mean of folds": [_with_spread(m, sd) for m, sd in of_folds]})
    counts = zip(aucs["n_patients"], aucs["n_positive"], strict=True)
    texts = {
        "AUC [95 %]" if external else "pooled [95 %]": [with_interval(*row) for row in of_all],
        "n (pos / neg)": [_counted(n, positive) for n, positive in counts],
    }
    show(shown.assign(**texts), "Area under the ROC curve")
    told = aucs[aucs["notes"].str.contains(WARNING)]
    say_notes(
        f"{target}: {note}"
        for target, rows in told.groupby("target", sort=False)
        for note in dict.fromkeys(
            note for notes in rows["notes"] for note in notes.split("; ") if WARNING in note
        )
    )


def _counted(n: int, positive: Any) -> str:
    return str(n) if pd.isna(positive) else f"{n} ({positive} / {n - positive})"


def _with_spread(mean: float, sd: float) -> str:
    """Mean ± sd; no sd of a single fold."""
    if math.isnan(mean):
        return "undefined"
    return f"{mean:.3f}" if math.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"


def run_report(experiment: Experiment, data: ExperimentData, predictions: pd.DataFrame) -> Path:
    """Write the report of a cross-validation into its folder.

    Returns:
        The page.
    """
    report = Report(
        title=experiment.name,
        predictions=predictions,
        settings=_settings(experiment),
        cohort=cohort_table(experiment, data),
        excluded=excluded_patients(experiment, data),
        training=_curves(experiment),
        versions={name: str(value) for name, value in versions()["packages"].items()},
        reference=_reference(experiment),
        simulated=experiment.simulated,
        metrics=with_standard(experiment.metrics),
    )
    return write_report(experiment.output / REPORT, report)


def _settings(experiment: Experiment) -> dict[str, str]:
    splits = experiment.splits
    return {
        "Methods": ", ".join(f"{name} ({m.recipe})" for name, m in experiment.methods.items()),
        "Seeds": ", ".join(map(str, experiment.seeds)),
        "Folds": f"{splits.scheme}, {splits.folds} folds, {splits.repeats} repeats"
        if splits.scheme != "files"
        else "given in files",
        "Genomic blocks": ", ".join(experiment.genomics) or "none",
        "Best epoch by": ", ".join(
            f"{name}: {m.training.monitor}" for name, m in experiment.methods.items()
        ),
    }


def _reference(experiment: Experiment) -> str | None:
    """The slide-only student of the same engine, where the experiment has one."""
    plain = [n for n, m in experiment.methods.items() if m.network.networks == ("student",)]
    return f"{plain[0]} student" if plain else None


def _curves(experiment: Experiment) -> dict[str, list[dict[str, Any]]]:
    """Training curves of the first seed, fold and member of every target and method."""
    curves = {}
    for target in experiment.targets:
        for method in experiment.methods:
            seed = experiment.seeds_of(method)[0]
            place = experiment.output / "fits" / target / method / f"seed-{seed}"
            paths = sorted((place / "repeat-0-fold-0").rglob(CURVES))
            if paths:
                lines = paths[0].read_text(encoding="utf-8").splitlines()
                curves[f"{target} {method}, first fold"] = [json.loads(line) for line in lines]
    return curves
