"""What a fit costs is measured, written and collected."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from histodistill.deploy import Bundle
from histodistill.training import cross_validate
from histodistill.training.fit.ensemble import fit_ensemble
from histodistill.training.fit.fitted_model import fit_model
from histodistill.training.fold.reading import programmes_seconds
from histodistill.training.folders import BASELINES
from histodistill.training.run.costs import COLUMNS, measured_seconds, write_cost
from histodistill.training.run.planned_fits import fits_of
from tests.training.cohorts import World, experiment, fold_data, method


def test_every_fit_says_what_it_costs(world: World, tmp_path: Path) -> None:
    setup = experiment(
        world.files,
        tmp_path,
        methods={"abmil": {}, "mkd": {}, "mkd-offline": {}},
        baselines=["logistic-slides"],
        training={"max_epochs": 2},
    )
    cross_validate(setup, world.data)
    costs = pd.read_csv(tmp_path / "costs.csv")
    assert tuple(costs.columns) == COLUMNS
    assert len(costs) == 2 * (1 + 3 + 3 + 1)
    baselines = costs["method"] == "logistic-slides"
    assert (costs[["training_seconds", "inference_ms"]] > 0).all(axis=None)
    assert (costs["parameters"] > 0).equals(~baselines)
    assert list(costs["network"][baselines]) == ["student"] * 2
    for name, own in costs[~baselines].groupby("method"):
        place = tmp_path / f"fits/ER/{name}/seed-0/repeat-0-fold-1"
        networks = Bundle.load(place / "model").members[0].networks
        stored = json.loads((place / "cost.json").read_text())
        assert set(stored["networks"]) == set(networks.settings.networks) == set(own["network"])
        for network, cost in stored["networks"].items():
            weights = networks.get_submodule(network).state_dict().values()
            assert cost["parameters"] == sum(weight.numel() for weight in weights)
    # A method is charged for its teachers, whoever trained them first.
    teachers = (tmp_path / "teachers/ER").rglob("teacher.safetensors")
    assert len(list(teachers)) == 4


def test_the_map_of_programmes_is_charged_for(world: World, tmp_path: Path) -> None:
    setup = experiment(
        world.files,
        tmp_path,
        methods={"programmes": {"network": {"programmes": 3}, "training": {"members": 2}}},
    )
    settings = setup.methods["programmes"]
    inputs = fold_data(world)
    fitted = fit_ensemble(setup, settings, inputs, 0, tmp_path, teachers=tmp_path / "teachers")
    write_cost(tmp_path, fitted.models, inputs.fold.test)
    student = json.loads((tmp_path / "cost.json").read_text())["networks"]["student"]
    # Three weights a feature of 6, a bias each; how features are squashed; a linear network.
    squash = fitted.models[0].member.transforms.programmes
    assert squash is not None
    tensors = sum(values.numel() for values in squash.to_tensors().values())
    assert tensors >= 6 * 3 + 3
    assert student["parameters"] == 2 * (tensors + 2 * 3 + 2)
    for model, part in zip(fitted.models, inputs._parts.values(), strict=True):
        assert model.seconds > programmes_seconds(settings, part) > 0


def test_a_network_that_can_answer_nobody_has_no_time(world: World, tmp_path: Path) -> None:
    inputs = fold_data(world)
    settings = method(world.files, "mkd", max_epochs=1)
    target = experiment(world.files, tmp_path).targets["ER"]
    fitted = fit_model(settings, target, inputs, 0, tmp_path)
    without = [p for p in world.data.patients if p not in world.data.with_genes]
    assert without
    write_cost(tmp_path, [fitted], without)
    networks = json.loads((tmp_path / "cost.json").read_text())["networks"]
    assert networks["student"]["inference_ms"] > 0
    assert networks["genomic"]["inference_ms"] is networks["multimodal"]["inference_ms"] is None


def test_baselines_cost_what_they_took(world: World, tmp_path: Path) -> None:
    """A plan counts all baselines of a fold as one training."""
    setup = experiment(
        world.files, tmp_path, baselines=["logistic-slides", "logistic-genomics", "single-gene"]
    )
    cross_validate(setup, world.data)
    costs = pd.read_csv(tmp_path / "costs.csv")
    own = costs[~costs["method"].isin(setup.methods)]
    assert set(own["method"]) == {"logistic-slides", "logistic-mrna", "best-gene-mrna"}
    fits = fits_of(setup, world.data)
    planned = measured_seconds(fits, tmp_path)[BASELINES]
    assert planned == pytest.approx(own.groupby("fold")["training_seconds"].sum().mean())
