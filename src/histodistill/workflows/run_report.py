"""The report of a cross-validation: its predictions with all that the run knows of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from histodistill.evaluation import with_standard
from histodistill.experiment import Experiment, ExperimentData
from histodistill.experiment.audit import excluded_patients
from histodistill.experiment.cohort_table import cohort_table
from histodistill.report import Report, write_report
from histodistill.training.loop.trainer import CURVES
from histodistill.training.run.run_folder import versions

REPORT = "report"


def run_report(experiment: Experiment, data: ExperimentData, predictions: pd.DataFrame) -> Path:
    """Write the report of a cross-validation into its folder.

    Args:
        experiment: What was run.
        data: Its loaded inputs.
        predictions: Its out-of-fold predictions.

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
