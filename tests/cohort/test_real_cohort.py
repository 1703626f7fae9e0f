"""The room on the development cohort."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from histodistill.cohort import (
    SurvivalColumns,
    check_folds,
    declared_target,
    find_slides,
    fold_table,
    read_clinical,
    read_folds,
    site_preserved_folds,
    stratified_folds,
)

pytestmark = pytest.mark.shared
CLASSES = ("negative", "positive")
COUNTS = {"ER": (99, 361), "PR": (142, 316), "HER2": (396, 60)}


@pytest.fixture(scope="module")
def clinical(tcga):
    return read_clinical(
        tcga / "clinical.csv",
        [declared_target(name, name, CLASSES, "positive") for name in COUNTS],
        site_column="SITE",
        survival=SurvivalColumns(time="OS_MONTHS", event="OS_STATUS"),
    )


def test_clinical_table(clinical):
    assert len(clinical.patients) == 615
    for name, expected in COUNTS.items():
        assert tuple(clinical.labels[name].value_counts().sort_index()) == expected
    assert clinical.sites.notna().all()
    assert all(patient.split("-")[1] == site for patient, site in clinical.sites.items())
    assert clinical.survival is not None
    assert clinical.survival["time"].ge(0).all()
    assert 0 < clinical.survival["event"].mean() < 0.5


def test_slides_by_table_and_by_barcode_agree(tcga, clinical):
    by_table = find_slides(tcga / "features", suffixes=(".h5",), table=tcga / "slides.csv")
    assert set(by_table.slides) == set(clinical.patients)
    assert sum(map(len, by_table.slides.values())) == 668
    assert (by_table.missing, by_table.unmatched, by_table.notes) == ((), (), ())
    assert find_slides(tcga / "features", suffixes=(".h5",)) == by_table


@pytest.mark.parametrize("name", COUNTS)
def test_the_given_folds(tcga, clinical, name):
    labels = clinical.labels[name].dropna()
    read = read_folds(tcga / "folds" / name, labels, CLASSES)
    assert read.notes == ()
    tested = fold_table(read.folds, labels, CLASSES).query("part == 'test'")
    assert tuple(tested[list(CLASSES)].sum()) == COUNTS[name]
    assert (tested["unlabelled"] == 0).all()
    check_folds(stratified_folds(labels, 5, repeats=2, seed=0))


def imbalance(labels, tests):
    """Root mean square, over folds and classes, of a test fold's share of a class less 1/k."""
    sizes = labels.value_counts()
    shares = [labels[list(test)].value_counts().reindex(sizes.index) / sizes for test in tests]
    return float(np.sqrt(np.mean((np.array(shares, dtype=float) - 1 / len(tests)) ** 2)))


@pytest.mark.parametrize("name", COUNTS)
def test_site_preserved_folds_beat_the_greedy_ones(clinical, name):
    labels = clinical.labels[name].dropna().astype(int)
    folds = site_preserved_folds(labels, clinical.sites, 5, repeats=3, seed=0)
    check_folds(folds, sites=clinical.sites)
    groups = clinical.sites[labels.index]
    greedy = StratifiedGroupKFold(5).split(labels, labels, groups)
    theirs = imbalance(labels, [labels.index[test] for _, test in greedy])
    ours = imbalance(labels, [fold.test for fold in folds if fold.repeat == 0])
    assert ours <= theirs
    table = fold_table(folds, labels, CLASSES)
    assert (table[list(CLASSES)] > 0).all(axis=None)
