"""What limits the students on the real cohort; the last section of docs/results.md, by results.py.

Asked of logistic regression, which takes seconds, on the folds given with the data: what each part
of the features tells, what pathologists tell who read the same slides, and what wrong labels in
training would cost. Asked of finished answers: how a student does where genes do not doubt the
label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill import load, read_experiment
from histodistill.baselines.logistic import LogisticBaseline
from histodistill.evaluation import roc_auc
from histodistill.report import plain_table, to_markdown
from histodistill.training.fit.baselines import mean_patch_table

MAIN = Path(__file__).resolve().parent / "tcga-brca-main.yaml"
# Columns that differ between the patches of a patient: maps of published networks.
N_MAPS = 33
READINGS = ("GRADE", "TUBULE", "PLEOMORPHISM", "MITOSIS", "NECROSIS", "LVI")
SHARES_WRONG = (0.0, 0.05, 0.1, 0.2)
DRAWS = 5
# A label is doubted where genes alone, out of fold, find the other class this probable.
DOUBTED = 0.8

_TEXT = """
## What limits the student here

`experiments/ceiling.py`, on the folds given; AUC, mean of folds. Logistic regression, which takes
seconds, is asked; it learns from all patients who are not tested, those of validation too.

**What is read of a slide.** {same} of {features} numbers are the same in every patch of a patient,
so that no method can find a rare patch, and the others alone tell little. Pathologists' readings
({readings}; of {read} of {patients} patients, the others have the median) are what people see on
the same slides: `{recommended}` (tables above) knows about as much as they do of PR and more of the
other two.
"""

_WRONG = """
**Wrong labels in training.** What is lost where so many are exchanged, mean of {draws} draws (a few
points of HER2 are chance):
"""

_DOUBT = """
**Labels that genes doubt.** The student of `{recommended}`, pooled, mean over seeds, without the
patients whose label genes alone (out of fold) give less than {doubted:.0%}: wrongly labelled,
perhaps, or the tissue of the two samples differs. So few patients cost ER and PR four points. It is
no fair figure of the student, since those left out may be hard for slides as well:
"""

_MEANING = """
So: another encoder first (published networks on H&E tiles of these patients have .87 / .81 to .84 /
.65), then better labels. Every method that reads these slides lies within a few points of logistic
regression on the mean patch ([all methods](all-methods.md)); what genes teach is gained on top of
that. Where patches differ, and rare ones carry the signal, see [which method wins
where](regimes.md).
"""


def limits(predictions: pd.DataFrame, recommended: str) -> Iterator[str]:
    """The section, in parts.

    Args:
        predictions: Out-of-fold answers of the main run.
        recommended: The method whose student is asked about.
    """
    folds = predictions.dropna(subset="label").drop_duplicates(["target", "PATIENT"])
    data = load(read_experiment(MAIN))
    assert data.bags is not None
    slides = mean_patch_table(data.bags)
    readings = _readings(list(slides.index))
    yield _TEXT.format(
        same=slides.shape[1] - N_MAPS,
        features=slides.shape[1],
        readings=", ".join(READINGS).lower(),
        read=int(readings["GRADE"].notna().loc[folds["PATIENT"].unique()].sum()),
        patients=folds["PATIENT"].nunique(),
        recommended=recommended,
    )
    yield _shown(_parts(folds, slides, readings.fillna(readings.median())))
    yield _WRONG.format(draws=DRAWS)
    yield _shown(_wrong_labels(folds, slides))
    yield _DOUBT.format(doubted=1 - DOUBTED, recommended=recommended)
    yield _shown(_undoubted(predictions, recommended))
    yield _MEANING


def _readings(patients: list[str]) -> pd.DataFrame:
    """What pathologists read, as numbers; NaN where nobody did."""
    clinical = read_experiment(MAIN).cohort.clinical
    table = pd.read_csv(clinical.parent / "pathology.csv").set_index("PATIENT")[list(READINGS)]
    numbers = {"absent": "0", "present": "1"}
    table = table.apply(lambda column: pd.to_numeric(column.astype(str).replace(numbers), "coerce"))
    return pd.DataFrame(table.reindex(patients))


def _parts(folds: pd.DataFrame, slides: pd.DataFrame, readings: pd.DataFrame) -> pd.DataFrame:
    """A row for each thing that a regression may read, a column a target."""
    tables = {
        f"the {N_MAPS} numbers that differ between patches": slides.iloc[:, :N_MAPS],
        "the morphometrics of the patient": slides.iloc[:, N_MAPS:],
        "all": slides,
        "what pathologists read": readings,
        "all, and what pathologists read": pd.concat([slides, readings], axis=1),
    }
    rows = [
        {"read": name, **_by_target(folds, partial(_fold_auc, table=table))}
        for name, table in tables.items()
    ]
    return pd.DataFrame(rows)


def _wrong_labels(folds: pd.DataFrame, slides: pd.DataFrame) -> pd.DataFrame:
    """A row for each share of wrong labels in training, a column a target."""
    rows = []
    for share in SHARES_WRONG:
        draws = range(DRAWS if share else 1)
        rows.append(
            {
                "training labels exchanged": f"{share:.0%}",
                **_by_target(
                    folds,
                    partial(_mean_of_draws, slides=slides, wrong=share, draws=draws),
                ),
            }
        )
    return pd.DataFrame(rows)


def _mean_of_draws(
    part: pd.DataFrame, slides: pd.DataFrame, wrong: float, draws: Sequence[int]
) -> float:
    return float(np.mean([_fold_auc(part, slides, wrong, draw) for draw in draws]))


def _by_target(folds: pd.DataFrame, auc: Callable[[pd.DataFrame], float]) -> dict[str, float]:
    return {str(target): auc(part) for target, part in folds.groupby("target", sort=False)}


def _fold_auc(part: pd.DataFrame, table: pd.DataFrame, wrong: float = 0.0, seed: int = 0) -> float:
    """AUC of logistic regression, mean over the folds of a target.

    Args:
        part: Columns PATIENT, fold, label, positive_class, a row a patient.
        table: What is read, a row a patient.
        wrong: Share of the training labels that are exchanged.
        seed: Which.
    """
    y = (part["label"] == part["positive_class"]).to_numpy(int)
    x = table.loc[part["PATIENT"]].to_numpy(float)
    aucs = []
    for fold in sorted(part["fold"].unique()):
        tested = (part["fold"] == fold).to_numpy()
        taught = _exchanged(y[~tested], wrong, np.random.default_rng([seed, int(fold)]))
        model = LogisticBaseline().fit(x[~tested], taught)
        aucs.append(roc_auc(y[tested], model.predict_proba(x[tested])[:, 1]))
    return float(np.mean(aucs))


def _exchanged(y: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Labels of which a share is exchanged, of each class alike."""
    return np.where(rng.random(len(y)) < share, 1 - y, y)


def _undoubted(predictions: pd.DataFrame, recommended: str) -> pd.DataFrame:
    """The student with and without patients whose label genes doubt, a row a target."""
    own = predictions[predictions["method"] == recommended].dropna(subset="label")
    rows = []
    for target, part in own.groupby("target", sort=False):
        means = part.groupby("PATIENT")[["student", "genomic"]].mean()
        first = part.drop_duplicates("PATIENT").set_index("PATIENT").loc[means.index]
        y = (first["label"] == first["positive_class"]).to_numpy(int)
        genes = means["genomic"].to_numpy(float)
        other = np.where(y == 1, 1 - genes, genes)
        trusted = ~(other > DOUBTED)
        student = means["student"].to_numpy(float)
        rows.append(
            {
                "target": target,
                "patients": len(y),
                "doubted": int((~trusted).sum()),
                "AUC": roc_auc(y, student),
                "AUC without them": roc_auc(y[trusted], student[trusted]),
            }
        )
    return pd.DataFrame(rows)


def _shown(table: pd.DataFrame) -> str:
    return to_markdown(plain_table(table)) + "\n"
