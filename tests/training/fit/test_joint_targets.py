"""Several targets that one student learns together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from histodistill.deploy import predict
from histodistill.errors import InputError
from histodistill.evaluation import read_predictions
from histodistill.experiment import Experiment, ExperimentData, folds_for
from histodistill.experiment.recorded import CONFIGURATION
from histodistill.experiment.unlabelled import OTHER_TARGETS, unlabelled_teachers
from histodistill.training import cross_validate, train_panel
from histodistill.training.fit.ensemble import fit_ensemble, fit_ensembles
from histodistill.training.fit.fitted_model import FittedModel, fit_model
from histodistill.training.fit.trainings import in_one_pass
from histodistill.training.fold.fold_data import FoldData, prepare_fold
from histodistill.training.fold.lesson import lesson_of
from histodistill.training.fold.reading import prepare
from histodistill.training.run.run_folder import begin_run
from tests.training.cohorts import World, experiment

TARGETS = {
    "ER": {"classes": ["negative", "positive"], "positive": "positive"},
    "SUBTYPE": {"classes": ["basal", "luminal", "normal"], "ordered": True},
}


@pytest.fixture(scope="module")
def known(world: World) -> World:
    """Labels of both targets; every eleventh patient has none of the second."""
    clinical = world.data.clinical
    places = [pd.NA if i % 11 == 0 else i % 3 for i in range(len(clinical.labels))]
    subtypes = pd.Series(places, index=clinical.labels.index, dtype="Int64")
    labels = clinical.labels.assign(SUBTYPE=subtypes)
    return replace(world, data=replace(world.data, clinical=replace(clinical, labels=labels)))


def setup_of(world: World, output: Path, recipe: str = "abmil", **changes: Any) -> Experiment:
    """Both targets together, in a method called ``joint``, and apart, in ``apart``."""
    mrna = {"file": str(world.files.expression), "selection": {"method": "variance"}}
    methods = {"joint": {"recipe": recipe, "joint": True}, "apart": {"recipe": recipe}}
    training = {"max_epochs": 2, "members": 1} | changes.pop("training", {})
    described = {"targets": TARGETS, "methods": methods, "genomics": {"mrna": mrna}} | changes
    return experiment(world.files, output, training=training, **described)


def inputs_of(setup: Experiment, data: ExperimentData, target: str = "ER") -> FoldData:
    return prepare_fold(setup, data, target, folds_for(setup, data, target).folds[0])


def weights(model: FittedModel) -> dict[str, torch.Tensor]:
    return model.member.networks.state_dict()


def relabelled(data: ExperimentData, target: str, patients: Any, label: Any) -> ExperimentData:
    labels = data.clinical.labels.copy()
    labels.loc[list(patients), target] = label
    return replace(data, clinical=replace(data.clinical, labels=labels))


def test_true_means_all_targets_of_the_experiment(known: World, tmp_path: Path) -> None:
    setup = setup_of(known, tmp_path)
    assert setup.methods["joint"].joint == {"ER": 1.0, "SUBTYPE": 1.0}
    assert setup.methods["joint"].learnt_with("SUBTYPE") == ("ER", "SUBTYPE")
    assert setup.methods["apart"].joint == {}
    assert setup.methods["apart"].learnt_with("ER") == ("ER",)


def test_targets_are_weighted_and_some_left_alone(known: World, tmp_path: Path) -> None:
    own = {"weighed": {"recipe": "abmil", "joint": {"ER": 1, "SUBTYPE": 3}},
           "one": {"recipe": "abmil", "joint": ["ER"]}}  # fmt: skip
    setup = setup_of(known, tmp_path, methods=own)
    inputs = inputs_of(setup, known.data)
    heads = lesson_of(setup.methods["weighed"], inputs).heads
    assert [(h.n_classes, h.ordered, h.weight) for h in heads] == [(2, False, 1), (3, True, 3)]
    assert lesson_of(setup.methods["one"], inputs).targets == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"joint": ["PR"]}, "names PR, which is no target"),
        ({"recipe": "clam-sb", "joint": True}, "`student: clam-sb` learns one target"),
        ({"recipe": "kd-offline", "joint": True}, "`objective.distillation.kd` teaches one"),
    ],
)
def test_what_cannot_be_learnt_together_is_refused(
    known: World, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValidationError, match=told):
        setup_of(known, tmp_path, methods={"mine": {"recipe": "abmil"} | changes})


def test_genes_chosen_for_one_target_are_refused(known: World, tmp_path: Path) -> None:
    block = {"file": str(known.files.expression), "selection": {"method": "univariate"}}
    with pytest.raises(ValidationError, match="chooses them for one"):
        setup_of(known, tmp_path, "mkd", genomics={"mrna": block})


def test_one_target_alone_is_learnt_as_ever(known: World, tmp_path: Path) -> None:
    setup = setup_of(known, tmp_path, targets={"ER": TARGETS["ER"]})
    inputs, er = inputs_of(setup, known.data), setup.targets["ER"]
    joint, apart = (
        weights(fit_model(setup.methods[name], er, inputs, 0, tmp_path / name))
        for name in ("joint", "apart")
    )
    assert all(torch.equal(joint[name], apart[name]) for name in apart)


@pytest.mark.parametrize("recipe", ["abmil", "programmes", "mkd", "mkd-offline"])
def test_targets_share_all_but_the_last_layer(known: World, tmp_path: Path, recipe: str) -> None:
    setup = setup_of(known, tmp_path, recipe)
    inputs = inputs_of(setup, known.data)
    joint = setup.methods["joint"]
    fitted = fit_ensembles(
        setup, joint, tuple(setup.targets), inputs, 0, tmp_path, teachers=tmp_path / "teachers"
    )
    models = {name: own.models[0] for name, own in fitted.items()}
    er, subtype = weights(models["ER"]), weights(models["SUBTYPE"])
    # How much slides count beside genes is chosen for each target after the training.
    chosen = {name for name in er if name.endswith(".slide_weight")}
    assert len(chosen) == (recipe == "programmes")
    for name in er.keys() - chosen:
        shared = "classifier" not in name
        assert torch.equal(er[name], subtype[name]) if shared else len(er[name]) == 2
    assert {len(subtype[name]) for name in subtype if "classifier" in name} == {3}
    assert models["ER"].member.thresholds.keys() == set(
        models["ER"].member.networks.settings.networks
    )
    assert models["SUBTYPE"].member.thresholds == {}


def test_what_else_is_known_of_the_tested_teaches_nothing(known: World, tmp_path: Path) -> None:
    """Their labels of the other target may be anything."""
    setup = setup_of(known, tmp_path, "programmes")
    inputs = inputs_of(setup, known.data)
    changed = relabelled(known.data, "SUBTYPE", inputs.fold.test, 0)
    other = inputs_of(setup, changed)
    assert other.fold == inputs.fold
    method, er = setup.methods["joint"], setup.targets["ER"]
    before = weights(fit_model(method, er, inputs, 0, tmp_path / "before"))
    after = weights(fit_model(method, er, other, 0, tmp_path / "after"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    trains = relabelled(known.data, "SUBTYPE", inputs.fold.train[:4], 0)
    taught = weights(fit_model(method, er, inputs_of(setup, trains), 0, tmp_path / "taught"))
    assert not all(torch.equal(before[name], taught[name]) for name in before)


def test_who_has_another_label_alone_learns_too(known: World, tmp_path: Path) -> None:
    """Patients without a label of the fold's target train with what else is known of them."""
    setup = setup_of(known, tmp_path)
    inputs, method = inputs_of(setup, known.data), setup.methods["joint"]
    prepared = prepare(method, inputs)
    extras = [p for p in inputs.extras if prepared.has_label(p)]
    assert extras
    assert prepared.labels(extras)[:, 0].tolist() == [-1] * len(extras)
    assert not any(prepare(setup.methods["apart"], inputs).has_label(p) for p in extras)
    unknown = relabelled(known.data, "SUBTYPE", extras, pd.NA)
    er = setup.targets["ER"]
    first = weights(fit_model(method, er, inputs, 0, tmp_path / "with"))
    second = weights(fit_model(method, er, inputs_of(setup, unknown), 0, tmp_path / "without"))
    assert not all(torch.equal(first[name], second[name]) for name in first)


def test_fits_of_several_targets_share_a_pass(known: World, tmp_path: Path) -> None:
    """Together they learn what each learns alone, but for rounding."""
    setup = setup_of(known, tmp_path, "linear", training={"max_epochs": 3})
    method, er = setup.methods["joint"], setup.targets["ER"]
    inputs = inputs_of(setup, known.data)
    alone = [fit_model(method, er, inputs, s, tmp_path / f"alone-{s}") for s in (0, 1)]
    steps = {s: fit_model.steps(method, er, inputs, s, tmp_path / f"pass-{s}") for s in (0, 1)}
    together = dict(in_one_pass(steps))
    for seed, model in enumerate(alone):
        shared = together[seed]
        assert isinstance(shared, FittedModel)
        for name, value in weights(model).items():
            torch.testing.assert_close(weights(shared)[name], value)


def test_members_stop_on_parts_of_their_own(known: World, tmp_path: Path) -> None:
    setup = setup_of(known, tmp_path, "programmes", training={"members": 2})
    inputs = inputs_of(setup, known.data)
    fitted = fit_ensemble(
        setup, setup.methods["joint"], inputs, 0, tmp_path, teachers=tmp_path / "teachers"
    )
    assert sorted(fitted.held_out) == sorted([*inputs.fold.train, *inputs.fold.validation])


def test_crossvalidation_tests_every_target_on_its_own_folds(known: World, tmp_path: Path) -> None:
    setup = setup_of(known, tmp_path)
    rows = cross_validate(setup, known.data)
    by_method = {
        name: own[["PATIENT", "target", "fold", "label"]].reset_index(drop=True)
        for name, own in rows.groupby("method")
    }
    pd.testing.assert_frame_equal(by_method["joint"], by_method["apart"])
    again = read_predictions(tmp_path / "predictions.csv")
    assert len(again) == len(rows)


def test_a_final_model_is_trained_once_for_all_targets(known: World, tmp_path: Path) -> None:
    setup = setup_of(known, tmp_path)
    bundles = train_panel(setup, known.data, ["ER", "SUBTYPE"], "joint", seed=0)
    assert [p.name for p in (tmp_path / "final").iterdir()] == ["ER+SUBTYPE"]
    assert {name: bundle.info.target for name, bundle in bundles.items()} == {
        "ER": "ER",
        "SUBTYPE": "SUBTYPE",
    }
    er, subtype = bundles["ER"], bundles["SUBTYPE"]
    assert er.fingerprint != subtype.fingerprint
    assert er.threshold("student") is not None
    assert er.calibration is not None
    held_out = er.calibration.held_out["student"]
    labels = known.data.labels("ER")
    assert len(held_out.y) <= len(labels)
    table = predict(er, bags=known.data.bags).table
    assert np.isfinite(table["student"]).all()
    both = train_panel(setup, known.data, ["SUBTYPE"], "joint", seed=0)
    assert list(both) == ["SUBTYPE"]


def test_a_run_that_knew_of_one_target_alone_goes_on(known: World, tmp_path: Path) -> None:
    """Its record says nothing of targets together, or of an order."""
    setup = setup_of(known, tmp_path, targets={"ER": TARGETS["ER"]}, methods={"abmil": {}})
    setup = setup.model_copy(update={"genomics": {}})
    begin_run(setup, known.data)
    path = tmp_path / CONFIGURATION
    record = json.loads(path.read_text())
    del record["methods"]["abmil"]["joint"]
    del record["targets"]["ER"]["ordered"]
    path.write_text(json.dumps(record))
    begin_run(setup, known.data)
    assert json.loads(path.read_text())["methods"]["abmil"]["joint"] == {}


def test_other_targets_make_another_configuration(known: World, tmp_path: Path) -> None:
    begin_run(setup_of(known, tmp_path), known.data)
    fewer = setup_of(known, tmp_path, targets={"ER": TARGETS["ER"]})
    with pytest.raises(InputError, match=r"methods\.joint\.joint"):
        begin_run(fewer, known.data)


def test_who_teaches_by_another_label_is_told(known: World, tmp_path: Path) -> None:
    setup = setup_of(known, tmp_path)
    folds = folds_for(setup, known.data, "ER").folds
    teaching = unlabelled_teachers(setup, known.data, "ER", folds)
    er, subtype = known.data.labels("ER").index, known.data.labels("SUBTYPE").index
    expected = {p for p in subtype.difference(er) if p in known.data.with_slides}
    assert expected
    assert set(teaching["PATIENT"]) == expected
    assert set(teaching["method"]) == {"joint"}
    assert set(teaching["lesson"]) == {OTHER_TARGETS}
