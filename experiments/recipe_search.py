"""Compare students by held-out parts of the training patients alone: how `programmes` was chosen.

    python experiments/recipe_search.py

For each target and each fold of the experiment, the training and validation patients are divided
into four parts; a student learns from three and is asked about the fourth. Nobody of the fold's
test part is looked at. Prints a Markdown table of the mean AUC over folds and parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from histodistill import read_experiment
from histodistill.experiment.data import ExperimentData, load
from histodistill.experiment.folds import extra_patients, folds_for
from histodistill.experiment.settings import Experiment
from histodistill.preparation.programmes import ExpressionProgrammes, mean_patches

EXPERIMENT = Path(__file__).resolve().parent / "tcga-brca-suite.yaml"
PARTS = 4
CLIP = 6.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Patients as row numbers, and what is known of them.

    Attributes:
        means: Mean patch of every patient, [n, F].
        genes: Raw genes of every patient, [n, K], NaN where unknown.
        labels: Labels of ``train``, -1 for everybody else, [n].
        train: Who trains with a label.
        pool: Who trains, with or without a label.
    """

    means: Floats
    genes: Floats
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    pool: NDArray[np.int64]

    @property
    def paired(self) -> NDArray[np.int64]:
        """Those of the pool who have genes."""
        return self.pool[~np.isnan(self.genes[self.pool]).all(axis=1)]

    def scaled_genes(self) -> Floats:
        """Genes scaled by the pool; unknown ones at their mean."""
        scaled = StandardScaler().fit(self.genes[self.pool]).transform(self.genes)
        return np.asarray(np.nan_to_num(scaled).clip(-CLIP, CLIP))


Student = Callable[[Part], Floats]


def slides(strength: float) -> Student:
    """Logistic regression on the mean patch."""

    def answer(part: Part) -> Floats:
        inputs = StandardScaler().fit(part.means[part.train]).transform(part.means)
        return _logistic(inputs, part, strength)

    return answer


def programmes(n_programmes: int, *, weighted: bool, extras: bool = True) -> Student:
    """Logistic regression on expression programmes of the mean patch."""

    def answer(part: Part) -> Floats:
        return _logistic(_programmes(part, n_programmes, weighted, extras), part, 0.05)

    return answer


def soft_labels(share: float, *, extras: bool) -> Student:
    """Ridge regression on programmes, towards labels mixed with a genomic teacher's scores."""

    def answer(part: Part) -> Floats:
        inputs = _programmes(part, 30, weighted=True, extras=True)
        scores = _teacher(part)
        hard = np.where(part.labels >= 0, 2.0 * part.labels - 1, 0)
        hard[part.train] -= hard[part.train].mean()
        known = part.labels >= 0
        target = np.where(known, (1 - share) * hard + share * scores, scores)
        rows = part.paired if extras else np.intersect1d(part.paired, part.train)
        return np.asarray(Ridge(30.0).fit(inputs[rows], target[rows]).predict(inputs))

    return answer


STUDENTS: dict[str, Student] = {
    "logistic regression, C = 0.001": slides(0.001),
    "logistic regression, C = 0.01": slides(0.01),
    "30 programmes": programmes(30, weighted=False),
    "30 programmes, genes weighted by label": programmes(30, weighted=True),
    "the same, without patients who lack a label": programmes(30, weighted=True, extras=False),
    "10 programmes, weighted": programmes(10, weighted=True),
    "60 programmes, weighted": programmes(60, weighted=True),
    "30 weighted, half the teacher's score": soft_labels(0.5, extras=False),
    "the same, and its score where there is no label": soft_labels(0.5, extras=True),
}


def main() -> None:
    """Print the table."""
    experiment = read_experiment(EXPERIMENT)
    data = load(experiment)
    rows = []
    for target in experiment.targets:
        for part, held_out, truth in _parts(experiment, data, target):
            rows += [
                {"student": name, "target": target, "auc": roc_auc_score(truth, s(part)[held_out])}
                for name, s in STUDENTS.items()
            ]
    table = pd.DataFrame(rows).pivot_table(index="student", columns="target", values="auc")
    table = table.loc[list(STUDENTS), list(experiment.targets)]
    table["mean"] = table.mean(axis=1)
    header = ["student", *table.columns]
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for name, values in table.iterrows():
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |")


def _parts(
    experiment: Experiment, data: ExperimentData, target: str
) -> Iterator[tuple[Part, NDArray[np.int64], NDArray[np.int64]]]:
    """Every part of every fold, who is asked about, and their labels."""
    assert data.bags is not None
    patients = data.bags.patients
    means = mean_patches(data.bags, patients)
    genes = np.hstack([t.reindex(patients).to_numpy(float) for t in data.genomics.values()])
    labels = data.labels(target).reindex(patients).fillna(-1).to_numpy(int)
    place = {patient: row for row, patient in enumerate(patients)}

    def rows(names: list[str]) -> NDArray[np.int64]:
        return np.array([place[name] for name in names if name in place])

    for fold in folds_for(experiment, data, target).folds:
        everybody = rows([*fold.train, *fold.validation])
        extras = rows(extra_patients(experiment, data, target, fold))
        split = StratifiedKFold(PARTS, shuffle=True, random_state=fold.index)
        for own, held_out in split.split(everybody, labels[everybody]):
            train, asked = everybody[own], everybody[held_out]
            known = np.full(len(patients), -1)
            known[train] = labels[train]
            part = Part(means, genes, known, train, np.concatenate([train, extras]))
            yield part, asked, labels[asked]


def _programmes(part: Part, n_programmes: int, weighted: bool, extras: bool) -> Floats:
    rows = part.paired if extras else np.intersect1d(part.paired, part.train)
    labels = part.labels[rows] if weighted else np.full(len(rows), -1)
    genes = part.scaled_genes()[rows]
    fitted = ExpressionProgrammes.fit(part.means[rows], genes, labels, n_programmes)
    return np.asarray(part.means @ fitted.weight.double().numpy() + fitted.bias.double().numpy())


def _teacher(part: Part) -> Floats:
    """Standardised scores of a linear genomic teacher; cross-fitted where it has the label."""
    genes, own = part.scaled_genes(), np.intersect1d(part.paired, part.train)
    sides = 2.0 * part.labels[own] - 1
    scores = Ridge(1000.0).fit(genes[own], sides).predict(genes)
    scores[own] = cross_val_predict(Ridge(1000.0), genes[own], sides, cv=5)
    return np.asarray((scores - scores[own].mean()) / scores[own].std())


def _logistic(inputs: Floats, part: Part, strength: float) -> Floats:
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit(inputs[part.train], part.labels[part.train])
    return np.asarray(model.decision_function(inputs))


if __name__ == "__main__":
    main()
