"""Every slide-only network trains in the engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from histodistill.training.fold.fold_data import FoldData
from histodistill.training.loop.trainer import CURVES
from tests.model.students.build import NAMES
from tests.training.cohorts import World, fold_data, method, trainer


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_epoch(
    world: World, inputs: FoldData, tmp_path: Path, name: str, precision: str
) -> None:
    run = trainer(method(world.files, name, max_epochs=1, precision=precision), inputs)
    before = {key: value.clone() for key, value in run.networks.state_dict().items()}
    run.fit(tmp_path)
    (curve,) = (tmp_path / CURVES).read_text().splitlines()
    adds_a_loss = name.startswith(("clam", "dsmil", "dtfd"))
    terms = {"ce_student", "total"} | ({"auxiliary_student"} if adds_a_loss else set())
    assert json.loads(curve)["losses"].keys() == terms
    after = run.networks.state_dict()
    still = {key for key, value in after.items() if torch.equal(value, before[key])}
    assert all(key.endswith("bias") for key in still)
