"""What a model adds to what is known of a patient anyway, on the same folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.difference import auc_difference
from histodistill.evaluation.layout import target_classes
from histodistill.evaluation.runs import Runs, auc_of

COLUMNS = (
    *("answers", "n_patients", "n_positive", "auc", "low", "high"),
    *("gain", "gain_low", "gain_high", "p_delong"),
)
_ODDS = "log odds of the model"
_EDGE = 1e-6


def clinical_gain(rows: pd.DataFrame, network: str, clinical: pd.DataFrame) -> pd.DataFrame:
    """A logistic regression on clinical columns, the model, and both, of two classes.

    The regressions are fitted on the patients of the other folds and answer each fold. The one on
    both reads the model's out-of-fold log odds as one more column (stacking).

    Args:
        rows: Rows of one target and one method of a checked predictions table.
        network: Name of the network.
        clinical: Columns by patient: numbers or words; missing values are imputed by the median,
            or are a level of their own. Patients without any are left out.

    Returns:
        A row each for ``clinical columns alone``, ``model alone`` and ``both``: ``auc`` with its
        interval, and the ``gain`` over the clinical columns with DeLong's interval and p-value.
        Empty where there is one fold alone, or a fold cannot be learnt from the others.
    """
    known = clinical.dropna(how="all")
    usable = rows[rows["PATIENT"].isin(known.index)]
    classes = target_classes(rows)
    sides: dict[str, list[Answers]] = {"clinical columns alone": [], "model alone": [], "both": []}
    for _, run in usable.groupby(["seed", "repeat"]):
        answers = answers_of(run, network, classes)
        fold = run.groupby("PATIENT")["fold"].first().loc[list(answers.patients)].to_numpy()
        columns = known.loc[list(answers.patients)]
        odds = logit(np.clip(answers.positive, _EDGE, 1 - _EDGE))
        if not _learnable(answers, fold):
            return pd.DataFrame(columns=list(COLUMNS))
        sides["clinical columns alone"].append(_out_of_fold(columns, answers, fold))
        sides["model alone"].append(answers)
        sides["both"].append(_out_of_fold(columns.assign(**{_ODDS: odds}), answers, fold))
    joined = {name: Runs.joined(own, classes, 1) for name, own in sides.items()}
    return _table(joined)


def _learnable(answers: Answers, fold: np.ndarray) -> bool:
    """Whether the other folds of each have both classes."""
    others = [answers.y[fold != number] for number in np.unique(fold)]
    return len(others) > 1 and all(len(np.unique(y)) == 2 for y in others)


def _out_of_fold(columns: pd.DataFrame, answers: Answers, fold: np.ndarray) -> Answers:
    """Answers of regressions on the columns, each fold by one that has not seen it."""
    p = np.empty(len(answers))
    for number in np.unique(fold):
        here = fold == number
        model = _regression(columns).fit(columns[~here], answers.y[~here])
        p[here] = model.predict_proba(columns[here])[:, 1]
    nowhere = np.full(len(p), np.nan)
    both = np.column_stack([1 - p, p])
    return Answers(answers.patients, answers.y, both, answers.classes, nowhere)


def _regression(columns: pd.DataFrame) -> Pipeline:
    numeric = [name for name in columns if pd.api.types.is_numeric_dtype(columns[name])]
    words = [name for name in columns if name not in numeric]
    return make_pipeline(
        ColumnTransformer(
            [
                ("numbers", _numbers(), numeric),
                ("words", OneHotEncoder(handle_unknown="ignore", min_frequency=5), words),
            ]
        ),
        LogisticRegression(max_iter=2000),
    )


def _numbers() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )


def _table(sides: dict[str, Runs]) -> pd.DataFrame:
    names: Sequence[str] = list(sides)
    reference = sides[names[0]]
    rows = []
    for name, runs in sides.items():
        gain: tuple[float, ...] = (np.nan,) * 4
        if name != names[0]:
            found = auc_difference(runs, reference)
            gain = (found.difference, found.low, found.high, found.p_delong)
        rows.append((name, len(runs), int(runs.counts[1]), *auc_of(runs), *gain))
    return pd.DataFrame(rows, columns=list(COLUMNS))
