"""Ensembles over inner parts of the training patients, and the recipe made of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from histodistill.cohort import Fold
from histodistill.deploy import Bundle, predict
from histodistill.errors import InputError
from histodistill.evaluation import choose_threshold, read_predictions
from histodistill.experiment import Experiment, ExperimentData
from histodistill.experiment.folds import extra_patients
from histodistill.features import BagStore, open_bags
from histodistill.inference import Member
from histodistill.model import NETWORKS, NetworkName
from histodistill.preparation import ExpressionProgrammes
from histodistill.preparation.squash import Squash
from histodistill.training import cross_validate, train_final
from histodistill.training.fit import ensemble
from histodistill.training.fit.ensemble import FittedEnsemble, fit_ensemble
from histodistill.training.fit.fitted_model import FittedModel, fit_model, fit_models
from histodistill.training.fit.teachers import teacher_of
from histodistill.training.fit.trainings import Steps, Stepwise
from histodistill.training.fold.fold_data import FoldData, prepare_fold
from histodistill.training.loop import trainer
from histodistill.training.loop.trainer import CHECKPOINT, CURVES
from histodistill.training.run.bundle_info import bundle_info
from histodistill.training.run.costs import write_cost
from histodistill.workflows.run_report import training_curves
from tests.training.cohorts import (
    World,
    disguised,
    experiment,
    first_fold,
    fold_data,
    two_blocks,
    with_copy_number,
)

MEMBERS = 3
RECIPE = "programmes"


def setup_of(world: World, output: Path, **changes: Any) -> Experiment:
    """The recipe, with few members and epochs, on two blocks of genes."""
    training = {"max_epochs": 2, "members": MEMBERS} | changes.pop("training", {})
    blocks = {"genomics": two_blocks(world.files), "methods": {RECIPE: {}}}
    return experiment(world.files, output, **(blocks | changes), training=training)


def inputs_of(setup: Experiment, data: ExperimentData) -> FoldData:
    return prepare_fold(setup, data, "ER", first_fold(data, setup))


def fit(setup: Experiment, inputs: FoldData, folder: Path) -> FittedEnsemble:
    (method,) = setup.methods.values()
    return fit_ensemble(setup, method, inputs, 0, folder, teachers=folder / "teachers")


def weights(model: FittedModel) -> dict[str, torch.Tensor]:
    """All that a trained model is made of but its selection of genes."""
    programmes = model.member.transforms.programmes
    fitted = {} if programmes is None else programmes.to_tensors()
    factors = model.member.transforms.gene_weights
    by_gene = {f"genes.{name}": torch.from_numpy(values) for name, values in factors.items()}
    return {**model.member.networks.state_dict(), **fitted, **by_gene}


def assert_same(ours: FittedEnsemble, theirs: FittedEnsemble) -> None:
    """Bit by bit."""
    assert ours.held_out == theirs.held_out
    assert ours.thresholds == theirs.thresholds
    for one, other in zip(ours.models, theirs.models, strict=True):
        own, expected = weights(one), weights(other)
        assert own.keys() == expected.keys()
        for name, value in own.items():
            assert value.equal(expected[name]), name


@pytest.fixture(scope="module")
def both(world: World) -> World:
    """The cohort with expression and copy number, which three patients lack."""
    return with_copy_number(world)


@dataclass(frozen=True)
class Trained:
    """An ensemble, and what it was made of."""

    setup: Experiment
    inputs: FoldData
    fitted: FittedEnsemble
    folds: list[Fold]
    folder: Path


@pytest.fixture(scope="module")
def trained(both: World, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("ensemble")
    setup = setup_of(both, folder)
    inputs, folds = inputs_of(setup, both.data), []

    @Stepwise
    def noted(
        method: Any, targets: Any, own: FoldData, *args: Any, **kwargs: Any
    ) -> Steps[dict[str, FittedModel]]:
        folds.append(own.fold)
        return (yield from fit_models.steps(method, targets, own, *args, **kwargs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "fit_models", noted)
        fitted = fit(setup, inputs, folder)
    return Trained(setup, inputs, fitted, folds, folder)


def test_everybody_but_the_test_is_held_out_once(trained: Trained) -> None:
    fold = trained.inputs.fold
    everybody = {*fold.train, *fold.validation}
    assert len(trained.folds) == MEMBERS
    for part in trained.folds:
        assert not set(part.train) & set(part.validation)
        assert {*part.train, *part.validation} == everybody
        assert part.test == fold.test
        assert not everybody & set(part.test)
    held_out = [patient for part in trained.folds for patient in part.validation]
    assert sorted(held_out) == sorted(everybody)
    assert trained.fitted.held_out == tuple(held_out)


def test_parts_have_the_balance_of_the_classes(trained: Trained) -> None:
    labels = trained.inputs.labels
    counts = [labels.loc[list(part.validation)].value_counts() for part in trained.folds]
    for label in (0, 1):
        own = [count[label] for count in counts]
        assert max(own) - min(own) <= 1


def test_the_held_out_are_answered_by_whom_they_did_not_train(trained: Trained) -> None:
    fitted, first = trained.fitted, 0
    for model, part in zip(fitted.models, trained.folds, strict=True):
        own = model.answer(part.validation)
        for name in NETWORKS:
            rows = fitted.held_out_answers[name][first : first + len(part.validation)]
            np.testing.assert_array_equal(rows, own[name])
        first += len(part.validation)
    assert first == len(fitted.held_out)


def test_thresholds_are_chosen_on_all_held_out_answers_together(trained: Trained) -> None:
    fitted = trained.fitted
    cases = trained.inputs.labels.loc[list(fitted.held_out)].to_numpy() == 1
    for name in NETWORKS:
        positive = fitted.held_out_answers[name][:, 1]
        able = ~np.isnan(positive)
        assert fitted.thresholds[name] == choose_threshold(cases[able], positive[able], "youden")
    for member in fitted.members:
        assert member.thresholds == fitted.thresholds


def test_an_ensemble_answers_with_the_mean(trained: Trained) -> None:
    fitted = trained.fitted
    asked = fitted.readable([*trained.inputs.fold.test, "stranger"])
    assert asked == list(trained.inputs.fold.test)
    for name, answer in fitted.answer(asked).items():
        each = [model.answer(asked)[name] for model in fitted.models]
        assert not np.array_equal(each[0], each[1], equal_nan=True)
        np.testing.assert_allclose(answer, np.stack(each).sum(axis=0) / MEMBERS, rtol=1e-12)
    genes = np.array([patient in trained.inputs.data.with_genes for patient in asked])
    assert not genes.all()
    able = ~np.isnan(fitted.answer(asked)["multimodal"]).any(axis=1)
    assert (able == genes).all()


def map_size(member: Member) -> int:
    """Values of the map that reads patches as programmes, if there is one."""
    programmes = member.transforms.programmes
    tensors = {} if programmes is None else programmes.to_tensors()
    return sum(values.numel() for values in tensors.values())


def test_what_members_cost_adds_up(trained: Trained, tmp_path: Path) -> None:
    fitted = trained.fitted
    assert fitted.seconds == sum(model.seconds for model in fitted.models) > 0
    write_cost(tmp_path, fitted.models, trained.inputs.fold.test)
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["training_seconds"] == fitted.seconds
    for name in NETWORKS:
        sizes = [
            sum(p.numel() for p in member.networks.get_submodule(name).parameters())
            + (map_size(member) if name != "genomic" else 0)
            for member in fitted.members
        ]
        assert cost["networks"][name]["parameters"] == sum(sizes)
        write_cost(tmp_path / name, fitted.models[:1], trained.inputs.fold.test)
        alone = json.loads((tmp_path / name / "cost.json").read_text())["networks"][name]
        assert alone["parameters"] == sizes[0]


def test_each_member_has_curves_and_teachers_of_its_own(trained: Trained) -> None:
    for index in range(MEMBERS):
        name = f"member-{index}-of-{MEMBERS}"
        assert len((trained.folder / name / CURVES).read_text().splitlines()) == 2
        assert list((trained.folder / "teachers" / name).rglob("teacher.safetensors"))


@pytest.mark.parametrize("what", ["slides", "genomics", "both"])
def test_a_bundle_predicts_what_its_members_do(trained: Trained, tmp_path: Path, what: str) -> None:
    """Saved, read again, and asked about patients with either modality or with both."""
    setup, data, fitted = trained.setup, trained.inputs.data, trained.fitted
    info = bundle_info(setup, trained.inputs, RECIPE, setup.methods[RECIPE], 0)
    Bundle(info, fitted.members).save(tmp_path / "model")
    bundle = Bundle.load(tmp_path / "model")
    assert len(bundle.members) == MEMBERS
    assert setup.methods[RECIPE].network.programmes == 30
    asked = [p for p in trained.inputs.fold.test if p in data.with_genes & data.with_slides]
    genomics = {name: table.reindex(asked).dropna() for name, table in data.genomics.items()}
    answers = predict(
        bundle,
        bags=bags_of(data, asked) if what != "genomics" else None,
        genomics=genomics if what != "slides" else None,
        device="cpu",
    ).table.set_index("PATIENT")
    answering: dict[str, NetworkName] = {
        "slides": "student",
        "genomics": "genomic",
        "both": "multimodal",
    }
    network = answering[what]
    expected = fitted.answer(asked)
    names = NETWORKS if what == "both" else (network,)
    for name in names:
        np.testing.assert_allclose(
            answers.loc[asked, name].astype(float), expected[name][:, 1], rtol=1e-9
        )
    assert set(answers["answered_by"]) == {network}
    for name in NETWORKS:
        assert bundle.threshold(name) == pytest.approx(fitted.thresholds[name], rel=1e-12)


def bags_of(data: ExperimentData, patients: list[str], limit: int = 10**9) -> BagStore:
    assert data.bags is not None
    paths = {p: [slide.path for slide in data.bags.slides(p)] for p in patients}
    return open_bags(paths, memory_limit_bytes=limit)


def test_nothing_of_the_test_patients_reaches_any_member(trained: Trained, tmp_path: Path) -> None:
    """Other slides, genes, labels and survival of theirs: the same members, bit by bit."""
    setup, data = trained.setup, trained.inputs.data
    other = disguised(data, trained.inputs.fold.test, tmp_path / "bags")
    inputs = prepare_fold(setup, other, "ER", trained.inputs.fold)
    again = fit(setup, inputs, tmp_path / "fit")
    assert_same(again, trained.fitted)
    for name in NETWORKS:
        ours, theirs = again.held_out_answers[name], trained.fitted.held_out_answers[name]
        np.testing.assert_array_equal(ours, theirs)
    asked = trained.inputs.fold.test
    before, after = trained.fitted.answer(asked), again.answer(asked)
    assert not np.allclose(before["student"], after["student"])


def test_cohorts_that_are_not_kept_in_memory_train_alike(trained: Trained, tmp_path: Path) -> None:
    data = trained.inputs.data
    assert data.bags is not None
    read = replace(data, bags=bags_of(data, data.bags.patients, limit=1))
    assert read.bags is not None
    assert not read.bags.in_memory
    inputs = prepare_fold(trained.setup, read, "ER", trained.inputs.fold)
    assert_same(fit(trained.setup, inputs, tmp_path), trained.fitted)


def test_one_member_is_a_plain_model(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path, training={"members": 1})
    inputs, method = inputs_of(setup, both.data), setup.methods[RECIPE]
    fitted = fit(setup, inputs, tmp_path / "ensemble")
    plain = fit_model(method, setup.targets["ER"], inputs, 0, tmp_path / "plain")
    (model,) = fitted.models
    expected = weights(plain)
    learnt = "multimodal.slide_weight"  # which is chosen for all members together
    assert not weights(model)[learnt].equal(expected[learnt])
    assert all(value.equal(expected[k]) for k, value in weights(model).items() if k != learnt)
    assert fitted.held_out == inputs.fold.validation
    own_answers, answers = (m.answer(inputs.fold.test) for m in (fitted, plain))
    held_out = plain.answer(fitted.held_out)
    positive = inputs.labels.loc[list(fitted.held_out)].to_numpy() == 1
    for name in ("student", "genomic"):
        able = ~np.isnan(held_out[name][:, 1])
        chosen = choose_threshold(positive[able], held_out[name][able, 1], "youden")
        assert fitted.thresholds[name] == chosen
        np.testing.assert_array_equal(own_answers[name], answers[name])
    own, other = (tmp_path / place / CURVES for place in ("ensemble", "plain"))
    assert own.read_bytes() == other.read_bytes()


def test_slides_and_genes_are_added_up_with_the_learnt_weight(trained: Trained) -> None:
    asked = trained.inputs.fold.test
    found = {
        float(model.member.networks.state_dict()["multimodal.slide_weight"])
        for model in trained.fitted.models
    }
    (weight,) = found  # one for all members
    assert weight != pytest.approx(0.1)
    model = trained.fitted.models[0]
    answer = model.answer(asked)
    both = ~np.isnan(answer["multimodal"]).any(axis=1)
    logs = np.log(answer["genomic"]) + weight * np.log(answer["student"])
    expected = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answer["multimodal"][both], expected[both], rtol=1e-4)
    assert both.any()


class _PowerCutError(BaseException):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("done", [1, 5, 6, 11])
def test_an_interruption_in_any_member_changes_nothing(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    """Each member trains its genomic teacher for two epochs, and its student for two."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    epochs: list[int] = []
    original = trainer.Trainer._train_epoch

    def run(self: trainer.Trainer) -> dict[str, float]:
        if len(epochs) == done:
            epochs.append(-1)
            raise _PowerCutError
        epochs.append(1)
        return original(self)

    monkeypatch.setattr(trainer.Trainer, "_train_epoch", run)
    with pytest.raises(_PowerCutError):
        fit(trained.setup, trained.inputs, tmp_path)
    assert_same(fit(trained.setup, trained.inputs, tmp_path), trained.fitted)
    # No epoch was run twice.
    assert len([epoch for epoch in epochs if epoch >= 0]) == 4 * MEMBERS


def test_too_many_members_are_refused(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path, training={"members": 30})
    with pytest.raises(InputError) as refused:
        fit(setup, inputs_of(setup, both.data), tmp_path)
    for problem in refused.value.problems:
        assert problem.startswith(
            "`training.members: 30` divides the training patients like folds: Class "
        )


@pytest.mark.parametrize("members", [2, 3])
def test_parts_keep_hospitals_apart_where_folds_do(
    world: World, tmp_path: Path, members: int
) -> None:
    splits = {"scheme": "site", "folds": 2, "validation": 0.3}
    setup = setup_of(world, tmp_path, splits=splits)
    inputs = fold_data(world, splits=splits)
    sites = world.data.clinical.sites
    parts = list(ensemble._parts(setup, inputs, members))
    assert len(parts) == members
    for part in parts:
        held_out = set(sites[[*part.validation, *part.test]])
        assert not set(sites[list(part.train)]) & held_out
        assert not set(sites[list(part.validation)]) & set(sites[list(part.test)])
        extras = extra_patients(setup, world.data, world.data.labels("ER").index, part)
        assert not set(sites[extras]) & held_out


def test_external_hospitals_stay_out_of_a_final_model_that_tests_nobody(
    world: World, tmp_path: Path
) -> None:
    """Those of their patients who have no label do not teach programmes either."""
    sites = world.data.clinical.sites
    unknown = [p for p in world.data.patients if p not in set(world.data.labels("ER").index)]
    external = sites[unknown[0]]
    splits = {"scheme": "external", "external_sites": [external]}
    setup = experiment(world.files, tmp_path, splits=splits)
    nobody = Fold(0, 0, ("A",), ("B",), ())
    extras = extra_patients(setup, world.data, world.data.labels("ER").index, nobody)
    assert extras == [p for p in unknown if sites[p] != external]
    assert extras


# Expression programmes of a fold.


def test_programmes_are_fitted_on_training_patients_with_both(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path)
    inputs = inputs_of(setup, both.data)
    bags = both.data.bags
    assert bags is not None
    assert inputs.extras
    paired, genes, labels = [], [], []
    lacking = 0
    for patient in (*inputs.fold.train, *inputs.extras):
        if patient not in both.data.with_genes or patient not in both.data.with_slides:
            continue
        own: list[float] = []
        for name, table in both.data.genomics.items():
            block = inputs.transforms.blocks[name]
            if patient in table.index:
                own += block.transform(table.loc[[patient]])[0].tolist()
            else:
                own += [0.0] * len(block.genes_)
                lacking += 1
        paired.append(patient)
        genes.append(own)
        labels.append(int(inputs.labels.get(patient, -1)))
    assert lacking
    assert -1 in labels
    squash = Squash.fit(np.array([bags.bag(p).double().numpy().mean(axis=0) for p in paired]))
    means = np.array([squash.transform(bags.bag(p)).double().mean(dim=0).numpy() for p in paired])
    expected = ExpressionProgrammes.fit(means, np.array(genes), np.array(labels), 3)
    fitted = inputs.programmes(3, ("mrna", "cna"))
    signs = (expected.weight * fitted.weight).sum(dim=0).sign()
    torch.testing.assert_close(fitted.weight, expected.weight * signs, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(fitted.bias, expected.bias * signs, rtol=1e-3, atol=1e-4)

    # Fitted once; another number, or other genes, are other programmes.
    assert inputs.programmes(3, ("mrna", "cna")) is fitted
    assert inputs.programmes(2, ("mrna", "cna")).width == 2
    assert not inputs.programmes(3, ("mrna",)).weight.equal(fitted.weight)
    # And another division of the patients never answers with those of this one.
    other = replace(inputs, fold=replace(inputs.fold, train=inputs.fold.train[3:]))
    assert not other.programmes(3, ("mrna", "cna")).weight.equal(fitted.weight)


def test_nobody_else_teaches_programmes(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path)
    inputs = inputs_of(setup, both.data)
    before = inputs.programmes(4, ("mrna", "cna")).to_tensors()

    def after(who: tuple[str, ...], place: str) -> dict[str, torch.Tensor]:
        data = disguised(both.data, who, tmp_path / place)
        again = prepare_fold(setup, data, "ER", inputs.fold)
        return again.programmes(4, ("mrna", "cna")).to_tensors()

    same = after((*inputs.fold.validation, *inputs.fold.test), "others")
    assert all(value.equal(same[name]) for name, value in before.items())
    paired = [p for p in inputs.fold.train if p in both.data.with_genes]
    assert not after((paired[0],), "own")["weight"].equal(before["weight"])


def test_labels_of_training_patients_weigh_the_genes(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path)
    inputs = inputs_of(setup, both.data)
    fold = inputs.fold

    def weight(turned: tuple[str, ...]) -> torch.Tensor:
        labels = inputs.labels.copy()
        labels.loc[list(turned)] = 1 - labels.loc[list(turned)]
        return replace(inputs, labels=labels).programmes(4, ("mrna", "cna")).weight

    before = weight(())
    assert weight((*fold.validation, *fold.test)).equal(before)
    paired = [p for p in fold.train if p in both.data.with_genes]
    assert not weight(tuple(paired[:2])).equal(before)


def test_training_patients_alone_weigh_the_genes(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path)
    inputs = inputs_of(setup, both.data)
    blocks = ("mrna", "cna")
    before = inputs.gene_weights(blocks, 2)
    together = np.concatenate([before[name] for name in blocks])
    assert np.square(together).mean() == pytest.approx(1, rel=1e-5)
    assert together.std() > 0

    def after(who: tuple[str, ...], place: str) -> dict[str, NDArray[np.float32]]:
        data = disguised(both.data, who, tmp_path / place)
        return prepare_fold(setup, data, "ER", inputs.fold).gene_weights(blocks, 2)

    same = after((*inputs.fold.validation, *inputs.fold.test), "others")
    assert all(np.array_equal(before[name], same[name]) for name in blocks)
    measured = [p for p in inputs.fold.train if p in both.data.with_genes]
    assert not np.array_equal(after((measured[0],), "own")["mrna"], before["mrna"])


def test_members_have_factors_of_their_own(trained: Trained) -> None:
    found = [model.member.transforms.gene_weights for model in trained.fitted.models]
    for factors in found:
        assert list(factors) == ["mrna", "cna"]
    assert not np.array_equal(found[0]["mrna"], found[1]["mrna"])


def test_genes_are_alike_where_nothing_weighs_them(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path, methods={RECIPE: {"network": {"gene_weighting": 0}}})
    fitted = fit(setup, inputs_of(setup, both.data), tmp_path)
    assert all(not model.member.transforms.gene_weights for model in fitted.models)


def test_programmes_without_what_they_are_made_of_are_refused(world: World, tmp_path: Path) -> None:
    inputs = fold_data(world)
    genes = world.data.genomics["mrna"]
    measured = [p for p in inputs.fold.train if p in world.data.with_genes]

    def refusal(data: ExperimentData) -> str:
        with pytest.raises(InputError) as refused:
            replace(inputs, data=data, extras=()).programmes(3, ("mrna",))
        (problem,) = refused.value.problems
        return problem

    needed = "expression programmes need slides and genomics: give both"
    assert refusal(replace(world.data, bags=None)) == needed
    assert refusal(replace(world.data, genomics={"mrna": genes.iloc[:0]})) == needed
    for n in (0, 2):
        few = genes.loc[measured[:n]]
        others = genes.loc[genes.index.intersection(pd.Index(inputs.fold.test))]
        problem = refusal(replace(world.data, genomics={"mrna": pd.concat([few, others])}))
        assert problem == (
            "expression programmes need three or more training patients with slides and "
            f"genomics, not {n}"
        )


@pytest.mark.parametrize("without", ["features", "genomics"])
def test_programmes_need_slides_and_genomics_in_the_experiment(
    world: World, tmp_path: Path, without: str
) -> None:
    absent: dict[str, Any] = {"features": None, "genomics": {}}
    methods = {
        "student": {
            "recipe": RECIPE,
            "network": {"networks": ["student"]},
            "training": {"members": 1},
        }
    }
    changes = {without: absent[without]}
    with pytest.raises(ValidationError) as refused:
        setup_of(world, tmp_path, **{"methods": methods, **changes})
    what = {"features": "slides: give `features`", "genomics": "genes: give `genomics`"}[without]
    assert f"method student reads {what}" in str(refused.value)


def test_a_method_that_reads_no_slides_ignores_programmes(both: World, tmp_path: Path) -> None:
    methods = {
        name: {"recipe": "linear-genomic", "network": network}
        for name, network in {"plain": {}, "asked": {"programmes": 5}}.items()
    }
    setup = setup_of(both, tmp_path, methods=methods, training={"members": 1})
    inputs, target = inputs_of(setup, both.data), setup.targets["ER"]
    plain, asked = (
        fit_model(setup.methods[name], target, inputs, 0, tmp_path / name) for name in methods
    )
    assert plain.member.transforms.programmes is asked.member.transforms.programmes is None
    expected = weights(plain)
    assert all(value.equal(expected[name]) for name, value in weights(asked).items())


def test_a_genomic_teacher_is_the_same_for_any_number_of_programmes(
    both: World, tmp_path: Path
) -> None:
    methods = {f"p{n}": {"recipe": RECIPE, "network": {"programmes": n}} for n in (3, 4)}
    few, more = setup_of(both, tmp_path, methods=methods).methods.values()
    assert teacher_of(few, "genomic") == teacher_of(more, "genomic")


def test_a_student_alone_reads_programmes(both: World, tmp_path: Path) -> None:
    """Patches drawn anew in every epoch, by a student that is not linear."""
    network = {"networks": ["student"], "student": "abmil", "programmes": 4}
    methods = {"student": {"recipe": "abmil", "network": network}}
    setup = setup_of(both, tmp_path, methods=methods, training={"patches": 4})
    inputs = inputs_of(setup, both.data)
    fitted = fit(setup, inputs, tmp_path)
    assert fitted.members[0].networks.feature_width == 4
    assert fitted.members[0].transforms.blocks == {}
    maps = [member.transforms.programmes for member in fitted.members]
    assert all(programmes is not None and programmes.width == 4 for programmes in maps)
    assert_same(fit(setup, inputs, tmp_path / "again"), fitted)


# The recipe from end to end.


def test_a_whole_cross_validation(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path)
    rows = cross_validate(setup, both.data)
    labels = both.data.labels("ER")
    assert sorted(rows["PATIENT"]) == sorted(labels.index)
    held_out = read_predictions(tmp_path / "validation.csv")
    costs = pd.read_csv(tmp_path / "costs.csv")
    for fold, tested in rows.groupby("fold"):
        own = held_out[held_out["fold"] == fold]
        assert not own["PATIENT"].duplicated().any()
        assert sorted([*own["PATIENT"], *tested["PATIENT"]]) == sorted(labels.index)
        place = tmp_path / f"fits/ER/{RECIPE}/seed-0/repeat-0-fold-{fold}"
        bundle = Bundle.load(place / "model")
        assert len(bundle.members) == MEMBERS
        answers = predict(bundle, bags=both.data.bags, genomics=both.data.genomics, device="cpu")
        again = answers.table.set_index("PATIENT").loc[tested["PATIENT"]]
        for name in NETWORKS:
            np.testing.assert_allclose(
                again[name].astype(float), tested[name].astype(float), rtol=1e-9
            )
        # A student of k programmes has k weights a class and a bias, beside the map, in each.
        sizes = [
            2 * (member.networks.feature_width or 0) + 2 + map_size(member)
            for member in bundle.members
        ]
        own = costs[(costs["fold"] == fold) & (costs["network"] == "student")]
        assert own["parameters"].tolist() == [sum(sizes)]
    assert len(costs) == 2 * 3
    # The report shows how the first member learnt.
    ((title, epochs),) = training_curves(setup).items()
    assert title == f"ER {RECIPE}, first fold"
    assert [epoch["epoch"] for epoch in epochs] == [0, 1]
    assert not list(tmp_path.rglob(CHECKPOINT))


@pytest.mark.slow
def test_any_number_of_jobs_makes_the_same_results(both: World, tmp_path: Path) -> None:
    for jobs in (1, 2):
        setup = setup_of(both, tmp_path / str(jobs))
        cross_validate(setup, both.data, jobs=jobs, threads=1)
    for name in ("predictions.csv", "validation.csv"):
        one, two = (tmp_path / str(jobs) / name for jobs in (1, 2))
        assert one.read_bytes() == two.read_bytes()
    for path in (tmp_path / "1").rglob("*.safetensors"):
        other = tmp_path / "2" / path.relative_to(tmp_path / "1")
        assert path.read_bytes() == other.read_bytes()


def test_a_final_model_is_an_ensemble(both: World, tmp_path: Path) -> None:
    setup = setup_of(both, tmp_path)
    bundle = train_final(setup, both.data, "ER", RECIPE, seed=0)
    assert len(bundle.members) == MEMBERS
    bundle.save(tmp_path / "bundle")
    bags = both.data.bags
    table = predict(Bundle.load(tmp_path / "bundle"), bags=bags, device="cpu").table
    assert set(table["answered_by"]) == {"student"}
    assert table["call"].isin(["positive", "negative"]).all()
