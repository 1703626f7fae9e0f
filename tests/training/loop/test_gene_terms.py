"""Terms that read genes, in a whole training: whose genes they see, and what is deployed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from histodistill.errors import InputError
from histodistill.model import Batch, Genes
from histodistill.model.losses.genes.reconstruction import Reconstruction
from histodistill.model.training_terms import TrainingTerms
from histodistill.training.fit.fitted_model import fit_model
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.loop.trainer import CURVES
from tests.training.cohorts import (
    World,
    experiment,
    fold_data,
    method,
    prepared_patients,
    trainer,
    two_blocks,
    with_copy_number,
)

RECIPES = ("momkd", "ghanet", "mkd-reconstruction")


def strange_genes(world: World, inputs: FoldData, patients: set[str]) -> FoldData:
    """The fold, the given patients having other genes."""
    table = world.data.genomics["mrna"].copy()
    own = table.index.isin(list(patients))
    table.loc[own] = -3 * table.loc[own] + 40
    return replace(inputs, data=replace(inputs.data, genomics={"mrna": table}))


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


def initial_terms(monkeypatch: pytest.MonkeyPatch, world: World, inputs: FoldData) -> TrainingTerms:
    """The terms of the loss as a trainer of ``mkd-reconstruction`` begins with them."""
    made: list[TrainingTerms] = []

    def kept(*arguments: object) -> TrainingTerms:
        made.append(TrainingTerms(*arguments))  # type: ignore[arg-type]
        return made[-1]

    with monkeypatch.context() as patch:
        patch.setattr("histodistill.training.loop.trainer.TrainingTerms", kept)
        trainer(method(world.files, "mkd-reconstruction"), inputs)
    return made[0]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def test_the_components_belong_to_the_training_patients(
    monkeypatch: pytest.MonkeyPatch, world: World, inputs: FoldData
) -> None:
    """Other genes of everybody else, validation patients included, change no bit of them."""
    strangers = set(world.data.patients) - set(inputs.fold.train)
    states = [
        initial_terms(monkeypatch, world, one).state_dict()
        for one in (
            inputs,
            strange_genes(world, inputs, strangers),
            strange_genes(world, inputs, set(inputs.fold.train[:3])),
        )
    ]
    assert any("axes" in name for name in states[0])
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_the_components_are_standard_among_the_training_patients(
    monkeypatch: pytest.MonkeyPatch, world: World, inputs: FoldData
) -> None:
    terms = initial_terms(monkeypatch, world, inputs).from_genes
    assert terms is not None
    term = terms.term("reconstruction")
    assert isinstance(term, Reconstruction)
    prepared = prepared_patients(inputs)
    training = prepared.genes(inputs.fold.train, torch.device("cpu"))
    assert isinstance(training, Genes)
    scores = term.scores(terms.expression(training)[0])
    assert scores.shape == (len(training.rows), len(training.rows) - 1)
    torch.testing.assert_close(torch.cov(scores.T), torch.eye(scores.shape[1]), rtol=0, atol=1e-3)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_test_patients_genes_decide_nothing(
    world: World, inputs: FoldData, tmp_path: Path, recipe: str
) -> None:
    settings = method(world.files, recipe, max_epochs=2)
    target = experiment(world.files, tmp_path).targets["ER"]
    runs = []
    for name, some in (("one", set()), ("two", set(inputs.fold.test))):
        changed = strange_genes(world, inputs, some)
        model = fit_model(settings, target, changed, 0, tmp_path / name)
        runs.append(model.member.networks.state_dict())
    assert same(*runs)
    assert (tmp_path / "one" / CURVES).read_bytes() == (tmp_path / "two" / CURVES).read_bytes()


@pytest.mark.parametrize("recipe", ["momkd", "ghanet"])
def test_slides_are_enough_for_the_finished_student(
    world: World, inputs: FoldData, tmp_path: Path, recipe: str
) -> None:
    settings = method(world.files, recipe, max_epochs=1)
    target = experiment(world.files, tmp_path).targets["ER"]
    member = fit_model(settings, target, inputs, 0, tmp_path / "fit").member
    assert member.transforms.blocks == {}
    assert member.networks.blocks == {}
    prepared = prepared_patients(inputs)
    whole = prepared.batch(inputs.fold.test[:3], device=torch.device("cpu"))
    batch = Batch(whole.bags, None, whole.labels)
    assert set(member.networks(batch)) == {"student"}


def test_the_learned_terms_survive_an_interruption(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    class PowerCutError(Exception):
        pass

    def cut(epoch: object) -> None:
        raise PowerCutError

    settings = method(world.files, "momkd", max_epochs=3)
    whole = trainer(settings, inputs)
    whole.fit(tmp_path / "whole")
    with pytest.raises(PowerCutError):
        trainer(settings, inputs).fit(tmp_path / "cut", cut)
    resumed = trainer(settings, inputs)
    resumed.fit(tmp_path / "cut")
    assert same(whole.networks.state_dict(), resumed.networks.state_dict())


def test_several_blocks_are_read_side_by_side(world: World, tmp_path: Path) -> None:
    """Those who lack copy number are left out of the term, and nothing else."""
    both = fold_data(with_copy_number(world), genomics=two_blocks(world.files))
    settings = method(world.files, "ghanet", max_epochs=1)
    target = experiment(world.files, tmp_path).targets["ER"]
    fit_model(settings, target, both, 0, tmp_path)
    assert "group_reconstruction" in (tmp_path / CURVES).read_text()


def test_training_patients_without_genes_are_told(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    table = world.data.genomics["mrna"].drop(index=list(inputs.fold.train), errors="ignore")
    lacking = replace(inputs, data=replace(inputs.data, genomics={"mrna": table}))
    target = experiment(world.files, tmp_path).targets["ER"]
    with pytest.raises(InputError, match="fewer than 2 training patients have genomics"):
        fit_model(method(world.files, "momkd"), target, lacking, 0, tmp_path)
