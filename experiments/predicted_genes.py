"""How genes are best predicted from slides: from programmes, or by a regression each.

    python experiments/predicted_genes.py

Five-fold cross-validation on those who teach the programmes of the first fold of ER, open features
(see experiments/faithfulness.yaml), twice. Told is the correlation of predicted with measured
expression, over patients: its mean over all genes and copy numbers, its 90 % quantile, and that of
single genes; between them the two divisions into folds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from histodistill import load, read_experiment
from histodistill.experiment.folds import folds_for
from histodistill.preparation import ExpressionProgrammes
from histodistill.preparation.gene_weights import label_correlation
from histodistill.preparation.patients import UNKNOWN
from histodistill.preparation.squash import Squash
from histodistill.training.fold.fold_data import FoldData, prepare_fold

EXPERIMENT = Path(__file__).resolve().parent / "faithfulness.yaml"
N_PROGRAMMES = 30
SINGLE = ("mrna:AURKA", "mrna:GATA3", "mrna:ERBB2")
PENALTIES = np.logspace(-2, 3, 11)

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]
# From mean patches, genes and labels of some patients to the genes of others, less the mean of the
# former: that mean is low where the others are high.
Predictor = Callable[[Matrix, Matrix, Labels, Matrix], Matrix]


def main() -> None:
    """Print a table, a row a way to predict genes."""
    experiment = read_experiment(EXPERIMENT)
    data = load(experiment)
    (target,) = experiment.targets
    fold = folds_for(experiment, data, target).folds[0]
    means, genes, labels, names = measured(prepare_fold(experiment, data, target, fold))
    print(f"{len(means)} patients, {len(names)} genes and copy numbers\n")
    print(f"| way | mean | 90 % | {' | '.join(SINGLE)} |\n|---|---|---|" + "---|" * len(SINGLE))
    for way, predict in WAYS.items():
        both = [correlations(predict, means, genes, labels, seed) for seed in (0, 1)]
        single = " | ".join(_told([r[names.index(gene)] for r in both]) for gene in SINGLE)
        mean, top = _told([r.mean() for r in both]), _told([np.quantile(r, 0.9) for r in both])
        print(f"| {way} | {mean} | {top} | {single} |")


def _told(values: list[float]) -> str:
    return " and ".join(f"{value:.3f}" for value in values)


def measured(inputs: FoldData) -> tuple[Matrix, Matrix, Labels, list[str]]:
    """Mean squashed patches, scaled genes and labels of those who teach the fold's programmes."""
    data = inputs.data
    assert data.bags is not None
    paired = data.with_slides & data.with_genes
    patients = [p for p in (*inputs.fold.train, *inputs.extras) if p in paired]
    squash = Squash.fit(data.bags.mean_patches(patients))
    means = np.array([squash.mean(data.bags.bag(patient)) for patient in patients])
    blocks = {name: inputs.scaled(name).reindex(patients).fillna(0.0) for name in data.genomics}
    genes = np.hstack([block.to_numpy(np.float64) for block in blocks.values()])
    names = [f"{n}:{gene}" for n in blocks for gene in inputs.transforms.blocks[n].genes_]
    known = inputs.labels.reindex(patients).fillna(UNKNOWN)
    return means.astype(np.float64), genes, np.asarray(known, np.int64), names


def correlations(
    predict: Predictor, means: Matrix, genes: Matrix, labels: Labels, seed: int
) -> Matrix:
    """Correlation of each gene with what the others' map predicts."""
    told = np.empty_like(genes)
    for train, test in KFold(5, shuffle=True, random_state=seed).split(means):
        told[test] = predict(means[train], genes[train], labels[train], means[test])
    a, b = told - told.mean(axis=0), genes - genes.mean(axis=0)
    spread = np.sqrt(np.square(a).sum(axis=0) * np.square(b).sum(axis=0))
    return np.asarray((a * b).sum(axis=0) / np.maximum(spread, 1e-12))


def from_programmes(means: Matrix, genes: Matrix, labels: Labels, others: Matrix) -> Matrix:
    """Programmes from patches, then genes from the programmes of the training patients."""
    fitted = ExpressionProgrammes.fit(means, genes, labels, N_PROGRAMMES)
    told = others @ fitted.weight.double().numpy() + fitted.bias.double().numpy()
    weighted = genes * label_correlation(genes, labels)
    left, size, _ = np.linalg.svd(weighted - weighted.mean(axis=0), full_matrices=False)
    scores = left[:, :N_PROGRAMMES] * size[:N_PROGRAMMES]
    own = means @ fitted.weight.double().numpy() + fitted.bias.double().numpy()
    # Components may point either way; the programmes have one unit.
    turn = np.sign((own * scores).sum(axis=0))
    unit = np.abs((own * scores).sum()) / np.square(own).sum()
    return np.asarray(told * turn * unit @ np.linalg.pinv(scores) @ (genes - genes.mean(axis=0)))


def ridge_each(*, common: bool) -> Predictor:
    """A ridge regression a gene on 64 components of the features, its penalty by leave-one-out."""

    def predict(means: Matrix, genes: Matrix, labels: Labels, others: Matrix) -> Matrix:  # noqa: ARG001
        centre, scale = means.mean(axis=0), np.maximum(means.std(axis=0), 1e-6)
        left, size, right = np.linalg.svd((means - centre) / scale, full_matrices=False)
        left, size, right = left[:, :64], size[:64], right[:64]
        centred = genes - genes.mean(axis=0)
        projected, penalties = left.T @ centred, PENALTIES * np.square(size).mean()
        errors = []
        for penalty in penalties:
            kept = np.square(size) / (np.square(size) + penalty)
            leverage = np.square(left) @ kept + 1 / len(left)
            residual = (centred - left @ (kept[:, None] * projected)) / (1 - leverage)[:, None]
            errors.append(np.square(residual).sum(axis=0))
        best = np.sum(errors, axis=1).argmin() if common else np.argmin(errors, axis=0)
        weight = size[:, None] / (np.square(size)[:, None] + penalties[best]) * projected
        return np.asarray((others - centre) / scale @ right.T @ weight)

    return predict


WAYS: dict[str, Predictor] = {
    "from the programmes": from_programmes,
    "ridge regression, one penalty": ridge_each(common=True),
    "ridge regression, a penalty each": ridge_each(common=False),
}

if __name__ == "__main__":
    main()
