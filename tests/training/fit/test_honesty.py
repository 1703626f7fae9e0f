"""The test patients decide nothing, and the validation patients no more than they may."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.cohort import Fold
from histodistill.evaluation import choose_threshold, read_predictions
from histodistill.experiment import Experiment, ExperimentData
from histodistill.preparation import Transforms
from histodistill.training import cross_validate
from histodistill.training.fit.baselines import answer_by_baselines
from histodistill.training.fit.ensemble import fit_ensemble
from histodistill.training.fit.fitted_model import FittedModel
from histodistill.training.fold.fold_data import prepare_fold
from histodistill.training.loop.trainer import CURVES
from tests.training.cohorts import World, disguised, experiment, first_fold

SELECTIONS = ("cox", "univariate", "variance")


def with_gaps(data: ExperimentData) -> ExperimentData:
    """The cohort with a tenth of its measurements lost, so that imputation matters."""
    rng = np.random.default_rng(5)
    lost = {
        name: table.mask(rng.random(table.shape) < 0.1) for name, table in data.genomics.items()
    }
    return replace(data, genomics=lost)


def setup_of(world: World, selection: str, unlabelled: bool = False) -> Experiment:
    genomics = {
        "mrna": {
            "file": str(world.files.expression),
            "selection": {"method": selection, "n_genes": 12},
        }
    }
    training = {"max_epochs": 3, "unlabelled": unlabelled}
    return experiment(world.files, Path("unused"), genomics=genomics, training=training)


@dataclass(frozen=True)
class Trained:
    """All that a training made."""

    model: FittedModel
    curves: bytes
    test: dict[str, np.ndarray]


def train(setup: Experiment, data: ExperimentData, fold: Fold, folder: Path) -> Trained:
    inputs = prepare_fold(setup, data, "ER", fold)
    fitted = fit_ensemble(
        setup, setup.methods["mkd"], inputs, 0, folder, teachers=folder / "teachers"
    )
    (model,) = fitted.models
    answers = {str(name): answer for name, answer in model.answer(fold.test).items()}
    return Trained(model, (folder / CURVES).read_bytes(), answers)


def state_of(transforms: Transforms) -> dict[str, object]:
    assert transforms.scaler is not None
    state: dict[str, object] = {
        key: value.tolist() for key, value in transforms.scaler.to_tensors().items()
    }
    for name, block in transforms.blocks.items():
        state[name] = block.to_dict()
        state |= {f"{name} {key}": value.tolist() for key, value in block.to_arrays().items()}
    return state


@pytest.mark.parametrize("selection", SELECTIONS)
def test_nothing_of_the_test_patients_reaches_the_model(
    world: World, tmp_path: Path, selection: str
) -> None:
    """Other slides, genes, labels and survival of theirs: the same model, bit by bit."""
    setup = setup_of(world, selection, unlabelled=selection == "cox")
    data = with_gaps(world.data)
    fold = first_fold(data, setup)
    other = disguised(data, fold.test, tmp_path / "bags")
    one = train(setup, data, fold, tmp_path / "one")
    two = train(setup, other, fold, tmp_path / "two")

    assert state_of(one.model.member.transforms) == state_of(two.model.member.transforms)
    weights = two.model.member.networks.state_dict()
    for name, value in one.model.member.networks.state_dict().items():
        assert value.equal(weights[name]), name
    assert one.model.member.thresholds == two.model.member.thresholds
    assert one.curves == two.curves
    # They were disguised: the model sees other patients.
    for name, answer in one.test.items():
        assert not np.array_equal(answer, two.test[name], equal_nan=True)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_transforms_are_fitted_on_training_patients_alone(
    world: World, tmp_path: Path, selection: str
) -> None:
    """Neither validation patients nor those without a label take part."""
    setup = setup_of(world, selection)
    data = with_gaps(world.data)
    fold = first_fold(data, setup)
    strangers = set(data.patients) - set(fold.train)
    assert strangers - set(fold.validation) - set(fold.test)
    other = disguised(data, strangers, tmp_path / "bags")
    fitted = [prepare_fold(setup, one, "ER", fold).transforms for one in (data, other)]
    assert state_of(fitted[0]) == state_of(fitted[1])

    some = disguised(data, fold.train[:3], tmp_path / "more")
    assert state_of(prepare_fold(setup, some, "ER", fold).transforms) != state_of(fitted[0])


def test_baselines_learn_nothing_from_test_patients(world: World, tmp_path: Path) -> None:
    setup = experiment(
        world.files,
        tmp_path / "run",
        baselines=["logistic-slides", "logistic-genomics", "single-gene"],
        genes=["SIMG0003"],
    )
    data = with_gaps(world.data)
    fold = first_fold(data, setup)
    other = disguised(data, fold.test, tmp_path / "bags")
    first, again = (
        answer_by_baselines(setup, prepare_fold(setup, one, "ER", fold)) for one in (data, other)
    )
    validation, test, test_again = first.validation, first.test, again.test
    pd.testing.assert_frame_equal(validation, again.validation)
    assert set(validation["method"]) == {
        "logistic-slides",
        "logistic-mrna",
        "best-gene-mrna",
        "SIMG0003-mrna",
    }
    thresholds = [column for column in test.columns if column.endswith("_threshold")]
    pd.testing.assert_frame_equal(test[thresholds], test_again[thresholds])
    assert not test.equals(test_again)


def test_thresholds_are_those_of_the_validation_patients(world: World, tmp_path: Path) -> None:
    setup = experiment(
        world.files,
        tmp_path,
        methods={"mkd": {}, "f1": {"recipe": "abmil", "training": {"threshold": "f1"}}},
    )
    cross_validate(setup, world.data)
    test = read_predictions(tmp_path / "predictions.csv")
    compared = 0
    for place in (tmp_path / "fits/ER").glob("*/seed-0/*"):
        rows = read_predictions(place / "validation.csv")
        method, fold = rows["method"][0], rows["fold"][0]
        of_fold = test[(test["method"] == method) & (test["fold"] == fold)]
        assert not set(rows["PATIENT"]) & set(of_fold["PATIENT"])
        for network in setup.methods[method].network.networks:
            able = rows[rows[network].notna()]
            chosen = choose_threshold(
                able["label"] == "positive",
                able[network],
                setup.methods[method].training.threshold,
            )
            for table in (rows, of_fold):
                assert table[f"{network}_threshold"].tolist() == [chosen] * len(table)
            compared += 1
    assert compared == 2 * (3 + 1)
