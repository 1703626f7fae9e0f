"""The results of a run: printed in short, reported in full."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from histodistill.cli.console import answer, show, with_interval
from histodistill.evaluation import evaluate
from histodistill.experiment import Experiment, ExperimentData
from histodistill.experiment.audit import count_patients, excluded_patients
from histodistill.report import Report, write_report
from histodistill.training.loop.trainer import CURVES
from histodistill.training.run.run_folder import versions

REPORT = "report"


def show_aucs(predictions: pd.DataFrame) -> None:
    """Print the AUC of every network of every method; a script gets all metrics."""
    summary = evaluate(predictions).summary
    answer(results=summary)
    aucs = summary[summary["metric"] == "auc"]
    of_folds = zip(aucs["mean"], aucs["sd"], strict=True)
    of_all = zip(aucs["estimate"], aucs["low"], aucs["high"], strict=True)
    shown = aucs[["target", "method", "network"]].assign(
        folds=[_with_spread(mean, sd) for mean, sd in of_folds],
        pooled=[with_interval(value, low, high) for value, low, high in of_all],
        n=aucs["n_patients"],
    )
    titles = {"folds": "mean of folds", "pooled": "pooled [95 %]"}
    show(shown.rename(columns=titles), "Area under the ROC curve")


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
    counts = count_patients(experiment, data)
    by_class = counts.groupby(["target", "class", "modality"])["patients"].sum().reset_index()
    report = Report(
        title=experiment.name,
        predictions=predictions,
        settings=_settings(experiment),
        cohort=by_class,
        excluded=excluded_patients(experiment, data),
        training=_curves(experiment),
        versions={name: str(value) for name, value in versions()["packages"].items()},
        reference=_reference(experiment),
        simulated=experiment.simulated,
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
