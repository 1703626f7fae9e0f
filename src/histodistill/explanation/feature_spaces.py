"""What was decomposed: how alike the networks' features are, and what each of them tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histodistill.explanation.contributions import Floats
from histodistill.features import BagStore
from histodistill.inference import Member
from histodistill.model import NETWORKS, NetworkName
from histodistill.preparation import PreparedPatients

N_FOLDS = 5
# A class, or a hospital, of fewer patients is not probed.
FEWEST = 5
_PENALTIES = np.logspace(0, 5, 11)
# Patients that are read at a time.
_TOGETHER = 16


@torch.no_grad()
def features_of(
    member: Member,
    bags: BagStore,
    genomics: Mapping[str, pd.DataFrame],
    patients: Sequence[str],
) -> dict[NetworkName, Floats]:
    """Features [n, d] of each network before its classifier.

    Args:
        member: A trained model.
        bags: Bags of the patients.
        genomics: Blocks, patients x genes.
        patients: n patients with slides and genes, whom every network can answer.
    """
    scaled = member.transforms.scaled(genomics)
    size = member.networks.settings.token_size
    prepared = PreparedPatients(bags, scaled, member.transforms, size)
    networks = member.networks.eval()
    found: dict[NetworkName, list[Floats]] = {name: [] for name in NETWORKS}
    for first in range(0, len(patients), _TOGETHER):
        batch = prepared.batch(patients[first : first + _TOGETHER], device=torch.device("cpu"))
        for name, output in networks(batch).items():
            found[name].append(output.features.double().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items() if parts}


def linear_cka(one: Floats, other: Floats) -> float:
    """Linear centred kernel alignment of two features of the same patients, debiased.

    1 where one is a rotation and scaling of the other, 0 where they have nothing in common; with
    few patients and many features the plain estimate tends to 1 for any two, this one does not.

    Source: Kornblith et al., "Similarity of neural network representations revisited", ICML 2019,
    with the unbiased estimator of Song et al., "Feature selection via dependence maximization",
    JMLR 2012, eq. 5.

    Args:
        one: [n, d], four patients or more.
        other: [n, e].
    """
    a, b = one @ one.T, other @ other.T
    size = np.sqrt(max(_dependence(a, a), 0.0) * max(_dependence(b, b), 0.0))
    return float(_dependence(a, b) / size) if size > 0 else float("nan")


def _dependence(one: Floats, other: Floats) -> float:
    """Unbiased HSIC of two kernels [n, n]."""
    n = len(one)
    a, b = one - np.diag(np.diag(one)), other - np.diag(np.diag(other))
    both = float(np.sum(a * b))
    sums = float(a.sum() * b.sum()) / ((n - 1) * (n - 2))
    rows = 2 / (n - 2) * float(a.sum(axis=0) @ b.sum(axis=1))
    return (both + sums - rows) / (n * (n - 3))


def probe_classes(features: Floats, classes: Sequence[object]) -> float:
    """How well a linear probe reads classes off features: AUC, one against the others.

    The mean over five folds, each judged alone: answers of different folds together would be worse
    than chance where there is nothing to read.

    Args:
        features: [n, d].
        classes: The class of each patient; those of fewer than five patients are left out.

    Returns:
        Mean AUC of the classes, .5 by chance; NaN of fewer than two classes.
    """
    names = pd.Series(list(classes), dtype=object)
    counts = names.value_counts()
    kept = sorted((name for name in counts.index if counts[name] >= FEWEST), key=str)
    rows = names.isin(kept).to_numpy()
    if len(kept) < 2:
        return float("nan")
    own, known = features[rows], names[rows].astype(str).to_numpy()
    truth = np.stack([known == str(name) for name in kept], axis=1).astype(float)
    areas = []
    for train, test in StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(own, known):
        answers = _ridge(own[train], truth[train], own[test])
        areas += [roc_auc_score(t, a) for t, a in zip(truth[test].T, answers.T, strict=True)]
    return float(np.mean(areas))


def probe_values(features: Floats, values: Floats) -> float:
    """How well a linear probe reads a number off features: Pearson's r, the mean over folds.

    Args:
        features: [n, d].
        values: [n]; NaN where unknown.
    """
    rows = ~np.isnan(values)
    if rows.sum() < 2 * N_FOLDS or np.ptp(values[rows]) == 0:
        return float("nan")
    own, known = features[rows], values[rows]
    found = []
    for train, test in _folds().split(own):
        answers = _ridge(own[train], known[train, None], own[test])[:, 0]
        varies = np.ptp(answers) > 0 and np.ptp(known[test]) > 0
        found.append(np.corrcoef(answers, known[test])[0, 1] if varies else 0.0)
    return float(np.mean(found))


def _folds() -> KFold:
    return KFold(N_FOLDS, shuffle=True, random_state=0)


def _ridge(features: Floats, values: Floats, others: Floats) -> Floats:
    """Answers [m, k] for others, of a ridge regression whose penalty leaves each out in turn."""
    ridge = make_pipeline(StandardScaler(), RidgeCV(alphas=_PENALTIES)).fit(features, values)
    return np.asarray(ridge.predict(others)).reshape(len(others), -1)


def map_of_patients(features: Floats) -> NDArray[np.float64]:
    """Places [n, 2] of patients: the first two principal components of standardised features."""
    standardised = StandardScaler().fit_transform(features)
    return np.asarray(PCA(2, svd_solver="full").fit_transform(standardised))
