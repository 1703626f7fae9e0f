"""What is fitted sees the training patients alone, and travels whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from histodistill.errors import InputError
from histodistill.features import BagStore
from histodistill.genomics.selection import SelectionMethod
from histodistill.preparation import Transforms, fit_transforms
from tests.preparation.cohorts import WIDTH, preprocessor, store, table

TRAINING = list("dabc")
EVERYBODY = "abcdefgh"
METHODS: list[tuple[SelectionMethod, dict[str, Any]]] = [
    ("all", {}),
    ("variance", {"n_genes": 4}),
    ("univariate", {"n_genes": 4}),
]
METHODS += [("cox", {"n_genes": 4}), ("list", {"genes": ("G7", "G2")})]


def cohort() -> tuple[pd.DataFrame, pd.Series, pd.DataFrame]:
    """Genes, labels and survival; b and f lack some genes."""
    genes = table(EVERYBODY, 12)
    genes.loc[["b", "f"], ["G2", "G7"]] = np.nan
    labels = pd.Series([0, 1, 1, 0, 0, 1, 0, 1], index=list(EVERYBODY))
    survival = pd.DataFrame(
        {"time": np.arange(1.0, 9), "event": [True, True, False, True] * 2}, index=list(EVERYBODY)
    )
    return genes, labels, survival


def fit(
    bags: BagStore,
    genes: pd.DataFrame,
    labels: pd.Series,
    survival: pd.DataFrame,
    method: SelectionMethod,
    settings: dict[str, Any],
) -> Transforms:
    return fit_transforms(
        TRAINING,
        bags=bags,
        genomics={"mrna": genes},
        preprocessors={"mrna": preprocessor(method, **settings)},
        standardise=True,
        labels=labels,
        survival=survival,
    )


def assert_same(one: Transforms, other: Transforms) -> None:
    assert one.blocks.keys() == other.blocks.keys()
    for name, block in one.blocks.items():
        assert block.to_dict() == other.blocks[name].to_dict()
        for key, values in block.to_arrays().items():
            np.testing.assert_array_equal(values, other.blocks[name].to_arrays()[key])
    assert (one.scaler is None) == (other.scaler is None)
    if one.scaler is not None and other.scaler is not None:
        for key, tensor in one.scaler.to_tensors().items():
            assert torch.equal(tensor, other.scaler.to_tensors()[key])


@pytest.mark.parametrize(("method", "settings"), METHODS)
def test_nobody_but_training_patients_is_looked_at(
    tmp_path: Path, method: SelectionMethod, settings: dict[str, Any]
) -> None:
    genes, labels, survival = cohort()
    honest = fit(store(tmp_path / "one"), genes, labels, survival, method, settings)

    rng = np.random.default_rng(7)
    others = [patient for patient in EVERYBODY if patient not in TRAINING]
    drawn = {p: store(tmp_path / "one").bag(p).numpy() for p in "abcd"}
    drawn |= {p: rng.normal(50, 9, size=(11, WIDTH)).astype("float32") for p in "efg"}
    genes.loc[others] = rng.normal(90, 50, size=(len(others), 12)).astype("float32")
    labels[others] = 1 - labels[others]
    survival.loc[others, "time"] = 1000.0
    other = fit(store(tmp_path / "two", drawn), genes, labels, survival, method, settings)
    assert_same(honest, other)


def test_training_patients_are_looked_at(tmp_path: Path) -> None:
    genes, labels, survival = cohort()
    bags = store(tmp_path)
    before = fit(bags, genes, labels, survival, "all", {})
    genes.loc["a"] += 1
    after = fit(bags, genes, labels, survival, "all", {})
    assert not np.array_equal(before.blocks["mrna"].centre_, after.blocks["mrna"].centre_)


def test_values_are_those_of_the_training_patients(tmp_path: Path) -> None:
    genes, labels, survival = cohort()
    bags = store(tmp_path)
    fitted = fit(bags, genes, labels, survival, "all", {})
    training = genes.loc[TRAINING]
    block = fitted.blocks["mrna"]
    np.testing.assert_allclose(block.fill_, training.median(), rtol=1e-6)
    filled = training.fillna(training.median())
    np.testing.assert_allclose(block.centre_, filled.mean(), rtol=1e-5)
    np.testing.assert_allclose(block.scale_, filled.std(ddof=0), rtol=1e-5)
    assert fitted.scaler is not None
    # Every patient weighs the same, however many patches they have.
    means = torch.stack([bags.bag(patient).mean(0) for patient in TRAINING])
    torch.testing.assert_close(fitted.scaler.mean, means.mean(0))


def test_patients_may_lack_a_modality(tmp_path: Path) -> None:
    genes, labels, survival = cohort()
    fitted = fit_transforms(
        ["a", "b", "g"],  # g has no slides
        bags=store(tmp_path),
        genomics={"mrna": genes.drop(index="a")},
        preprocessors={"mrna": preprocessor()},
        standardise=True,
        labels=labels,
        survival=survival,
    )
    np.testing.assert_allclose(
        fitted.blocks["mrna"].fill_[0], genes.loc[["b", "g"], "G0"].median(), rtol=1e-6
    )


def test_a_block_of_nobody_in_training_is_refused(tmp_path: Path) -> None:
    genes, labels, survival = cohort()
    with pytest.raises(InputError, match="Block mrna: there is no training patient with this"):
        fit(store(tmp_path), genes.drop(index=TRAINING), labels, survival, "all", {})


@pytest.mark.parametrize("standardise", [True, False])
def test_what_is_saved_is_read_back(tmp_path: Path, standardise: bool) -> None:
    genes, labels, _ = cohort()
    fitted = fit_transforms(
        TRAINING,
        bags=store(tmp_path / "bags"),
        genomics={"mrna": genes, "cna-2+x": table("abcd", 3, prefix="C")},
        preprocessors={"mrna": preprocessor("variance", n_genes=3), "cna-2+x": preprocessor()},
        standardise=standardise,
        labels=labels,
        survival=None,
    )
    fitted.save(tmp_path)
    read = Transforms.load(tmp_path)
    assert_same(fitted, read)
    for name, block in read.blocks.items():
        values = {"mrna": genes, "cna-2+x": table("abcd", 3, prefix="C")}[name]
        np.testing.assert_array_equal(
            block.transform(values), fitted.blocks[name].transform(values)
        )


def test_transforms_of_nothing_are_read_back(tmp_path: Path) -> None:
    Transforms(None, {}).save(tmp_path)
    assert Transforms.load(tmp_path) == Transforms(None, {})
