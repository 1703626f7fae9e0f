"""Whole cross-validations: who is predicted by whom, with what, in which process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from histodistill.deploy import Bundle
from histodistill.errors import InputError
from histodistill.experiment import load
from histodistill.training import Trainer, cross_validate, fold_ensemble
from histodistill.training.fit import joint_training
from tests.training.cohorts import World, experiment

QUICK = {"training": {"max_epochs": 1}}


def test_every_patient_is_predicted_once_by_a_model_that_never_saw_them(
    world: World, tmp_path: Path
) -> None:
    setup = experiment(world.files, tmp_path, seeds=[0, 3], methods={"abmil": {}, "mkd": {}})
    rows = cross_validate(setup, world.data)
    labels = world.data.labels("ER")
    assert len(rows) == 2 * 2 * len(labels)
    for (_, _), own in rows.groupby(["method", "seed"]):
        assert sorted(own["PATIENT"]) == sorted(labels.index)
        classes = own.set_index("PATIENT")["label"].map({"negative": 0, "positive": 1})
        assert (classes.sort_index() == labels.sort_index()).all()
    assert (rows["positive_class"] == "positive").all()

    # A network answers those who have what it reads.
    genes = rows["PATIENT"].isin(world.data.with_genes)
    assert not genes.all()
    mkd = rows["method"] == "mkd"
    assert rows["student"].notna().all()
    assert (rows.loc[mkd, "multimodal"].notna() == genes[mkd]).all()
    assert (rows.loc[mkd, "genomic"].notna() == genes[mkd]).all()
    assert rows.loc[~mkd, ["multimodal", "genomic"]].isna().all(axis=None)

    validation = pd.read_csv(tmp_path / "validation.csv")
    both = validation.merge(rows, on=["PATIENT", "method", "seed", "fold"])
    assert both.empty
    # Both methods meet the same folds.
    folds = rows.drop_duplicates(["PATIENT", "fold"])
    assert len(folds) == len(labels)
    # The models are there, and what they predict is what was written.
    assert len(fold_ensemble(setup, world.data, "ER", "mkd").members) == 4
    more = setup.model_copy(update={"seeds": (*setup.seeds, 9)})
    with pytest.raises(InputError, match="cross-validation of mkd for ER is not finished"):
        fold_ensemble(more, world.data, "ER", "mkd")
    fewer = setup.model_copy(update={"seeds": setup.seeds[:1]})
    assert len(fold_ensemble(fewer, world.data, "ER", "mkd").members) == 2
    students = [own.sort_values("PATIENT")["student"] for _, own in rows[mkd].groupby("seed")]
    assert (students[0].to_numpy() != students[1].to_numpy()).all()


def test_three_classes(world: World, tmp_path: Path) -> None:
    classes = ["basal", "luminal", "normal"]
    setup = experiment(
        world.files,
        tmp_path,
        targets={"SUBTYPE": {"classes": classes}},
        baselines=["logistic-slides", "single-gene"],
        training={"max_epochs": 2, "monitor": "student_auc"},
    )
    rows = cross_validate(setup, load(setup))
    for network in ("student", "multimodal", "genomic"):
        columns = [f"{network}:{name}" for name in classes]
        answered = rows.loc[rows["method"] == "mkd", columns].dropna()
        assert len(answered) > 30
        np.testing.assert_allclose(answered.sum(axis=1), 1, rtol=1e-6)
    assert not any(column.endswith("threshold") for column in rows.columns)
    member = Bundle.load(tmp_path / "fits/SUBTYPE/mkd/seed-0/repeat-0-fold-0/model").members[0]
    assert member.thresholds == {}
    assert member.networks.n_classes == 3


@pytest.mark.parametrize(
    ("recipe", "without", "network"),
    [("abmil", "genomics", "student"), ("genomic", "features", "genomic")],
)
def test_cohorts_of_one_modality(
    world: World, tmp_path: Path, recipe: str, without: str, network: str
) -> None:
    nothing: dict[str, Any] = {"genomics": {}, "features": None}
    changes = {without: nothing[without], "methods": {recipe: {}}, **QUICK}
    setup = experiment(world.files, tmp_path, **changes)
    data = load(setup)
    rows = cross_validate(setup, data)
    assert sorted(rows["PATIENT"]) == sorted(data.labels("ER").index)
    assert rows[network].notna().all()


class _Roll(Trainer):
    """A trainer that tells whom it was given."""

    calls: list[dict[str, Any]]

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.calls.append(settings)
        super().__init__(*args, **settings)


@pytest.mark.parametrize("scheme", ["stratified", "site"])
@pytest.mark.parametrize("unlabelled", [True, False])
def test_patients_without_a_label_train_where_they_may(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, unlabelled: bool
) -> None:
    monkeypatch.setattr(_Roll, "calls", [], raising=False)
    monkeypatch.setattr(joint_training, "Trainer", _Roll)
    setup = experiment(
        world.files,
        tmp_path,
        splits={"scheme": scheme, "folds": 3, "validation": 0.3},
        training={"max_epochs": 1, "unlabelled": unlabelled},
    )
    rows = cross_validate(setup, world.data)
    known = set(world.data.labels("ER").index)
    unknown = set(world.data.patients) - known
    assert len(unknown) >= 3
    sites = world.data.clinical.sites
    took_part: set[str] = set()
    for fold, call in enumerate(_Roll.calls):
        tested = set(rows.loc[rows["fold"] == fold, "PATIENT"])
        extras = set(call["training"]) - known
        assert extras <= unknown
        assert set(call["validation"]) <= known
        if scheme == "site":
            held_out = set(sites[[*tested, *call["validation"]]])
            assert not set(sites[list(call["training"])]) & held_out
            assert extras == {p for p in unknown if sites[p] not in held_out} or not unlabelled
        elif unlabelled:
            assert extras == unknown
        took_part |= extras
    assert len(_Roll.calls) == 3
    assert bool(took_part) == unlabelled
