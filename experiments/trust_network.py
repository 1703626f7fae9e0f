"""Answers of the network `programmes` to the real cohort, from finished runs; for trust.py.

`histodistill suite experiments/tcga-brca-sites.yaml` makes the one (no hospital in two parts, three
seeds), `experiments/tcga-brca-repeats.yaml` the other (ten divisions, hospitals mixed).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from trust_tables import sites

from histodistill.calibration.network_calibrator import CalibrationSettings, calibrate_network
from histodistill.cohort import site_preserved_folds
from histodistill.errors import InputError
from histodistill.evaluation import calibration_figures
from histodistill.training.folders import PREDICTIONS, VALIDATION

RUNS = Path(__file__).resolve().parent.parent / "runs"
APART, MIXED = RUNS / "tcga-brca-sites", RUNS / "tcga-brca-repeats"
METHOD = "programmes"
CALIBRATORS = ("auto", "platt", "beta", "isotonic", "venn-abers")
INNER_FOLDS, LEAST_PATIENTS = 5, 10


def network_answers(run: Path) -> pd.DataFrame:
    """Out-of-fold answers of the student, each seed and repeat as a division of its own.

    Raises:
        InputError: The run is not there.
    """
    rows = _of_method(run, PREDICTIONS)
    return rows.assign(repeat=rows.groupby(["seed", "repeat"]).ngroup(), seed=0)


def _of_method(run: Path, name: str) -> pd.DataFrame:
    if not (run / name).is_file():
        raise InputError(f"{run}: holds no {name}; run histodistill suite on its experiment")
    rows = pd.read_csv(run / name, dtype={"PATIENT": "str"})
    student = [column for column in map(str, rows) if column.startswith("student")]
    known = ["PATIENT", "target", "method", "seed", "repeat", "fold", "label", "positive_class"]
    return rows.loc[rows["method"] == METHOD, [*known, *student]]


def calibrators_compared() -> pd.DataFrame:
    """Kinds of calibrators, hospitals apart: where one could choose among them, and out of fold.

    *Inner*: fitted on the held-out answers of four fifths of the training hospitals and judged on
    the other fifth, in every fold; no test patient of the fold takes part.
    """
    tested, held_out = _of_method(APART, PREDICTIONS), _of_method(APART, VALIDATION)
    rows = []
    for target in ("ER", "PR"):
        own, known = (each[each["target"] == target] for each in (tested, held_out))
        for name in CALIBRATORS:
            settings = CalibrationSettings.model_validate({"method": name})
            inner = [_inner_loss(part, settings) for _, part in known.groupby(["seed", "fold"])]
            after = pd.concat(_recalibrated(own, known, settings))
            (figures,) = calibration_figures(after).to_dict("records")
            rows.append(
                {"target": target, "calibrator": name, "inner log loss": float(np.mean(inner))}
                | {"ece": figures["ece"], "slope": figures["slope"], "brier": figures["brier"]}
            )
    return pd.DataFrame(rows)


def _inner_loss(part: pd.DataFrame, settings: CalibrationSettings) -> float:
    """Log loss of held-out answers of hospitals that the calibrator was not fitted on."""
    labels = part.set_index("PATIENT")["label"].eq("positive").astype(int)
    p = part.set_index("PATIENT")["student"]
    answered = pd.Series(np.nan, labels.index)
    for fold in site_preserved_folds(labels, sites(), INNER_FOLDS, seed=0):
        others = labels.index.difference(list(fold.test))
        answered[list(fold.test)] = _fitted(settings, labels[others], p[others], p[list(fold.test)])
    right = np.where(labels == 1, answered, 1 - answered)
    return float(-np.log(np.clip(right, 1e-4, 1)).mean())


def _recalibrated(
    tested: pd.DataFrame, held_out: pd.DataFrame, settings: CalibrationSettings
) -> Iterator[pd.DataFrame]:
    for key, part in tested.groupby(["seed", "fold"]):
        known = held_out[(held_out["seed"] == key[0]) & (held_out["fold"] == key[1])]
        labels = known["label"].eq("positive").astype(int)
        after = _fitted(settings, labels, known["student"], part["student"])
        yield part.drop(columns="student_calibrated").assign(student=after)


def _fitted(
    settings: CalibrationSettings, labels: pd.Series, p: pd.Series, new: pd.Series
) -> np.ndarray:
    """Calibrated probabilities of new answers."""
    both, asked = (np.column_stack([1 - each, each]) for each in (p, new))
    return calibrate_network(settings, labels.to_numpy(), both, 1).transform(asked, 1)[:, 1]


def hospital_spread(rows: pd.DataFrame) -> pd.DataFrame:
    """How far hospitals of ten patients lie from what calibrated probabilities expect of them.

    Returns:
        A row a target: the mean over hospitals of (positive patients - expected)^2 / variance, 1
        where the probabilities are right in each hospital and chance does the rest.
    """
    told = []
    for target, own in rows.groupby("target", sort=False):
        p = own.groupby("PATIENT")["student_calibrated"].mean()
        y = own.drop_duplicates("PATIENT").set_index("PATIENT")["label"].eq("positive")
        sums = pd.DataFrame({"n": 1, "surplus": y - p, "variance": p * (1 - p)})
        sums = sums.astype(float).groupby(sites().reindex(p.index)).sum()
        large = sums[sums["n"] >= LEAST_PATIENTS]
        spread = float((large["surplus"] ** 2 / large["variance"]).mean())
        told.append({"target": target, "hospitals": len(large), "spread": spread})
    return pd.DataFrame(told)
