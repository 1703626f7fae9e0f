"""A part of a fold in which nobody has what the networks read is refused before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from histodistill.errors import InputError
from histodistill.training.fit.fitted_model import fit_model
from histodistill.training.fold.fold_data import FoldData
from tests.training.cohorts import World, experiment, fold_data, method


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


def without_genes(inputs: FoldData, patients: Sequence[str]) -> FoldData:
    table = inputs.data.genomics["mrna"].drop(index=list(patients), errors="ignore")
    return replace(inputs, data=replace(inputs.data, genomics={"mrna": table}))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_nobody_of_a_part_has_genes(
    world: World, inputs: FoldData, tmp_path: Path, part: str
) -> None:
    lacking = without_genes(inputs, getattr(inputs.fold, part))
    target = experiment(world.files, tmp_path).targets["ER"]
    named = {"train": "training"}.get(part, part)
    with pytest.raises(InputError, match=f"ER, fold 0: no {named} patient has what genomic reads"):
        fit_model(method(world.files, "genomic"), target, lacking, 0, tmp_path)
    assert not list(tmp_path.rglob("curves.jsonl"))


def test_slides_are_enough_for_a_test(world: World, inputs: FoldData, tmp_path: Path) -> None:
    lacking = without_genes(inputs, inputs.fold.test)
    target = experiment(world.files, tmp_path).targets["ER"]
    model = fit_model(method(world.files, "kd-offline", max_epochs=1), target, lacking, 0, tmp_path)
    answers = model.answer(inputs.fold.test)
    assert np.isfinite(answers["student"]).all()
    assert np.isnan(answers["genomic"]).all()
