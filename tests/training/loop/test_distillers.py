"""Every way to distil trains: one epoch, from teachers that train along."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from histodistill.model.registries import DISTILLERS
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.loop.trainer import CURVES
from tests.training.cohorts import World, fold_data, method, trainer


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


@pytest.mark.parametrize("name", DISTILLERS.names())
def test_one_epoch(world: World, inputs: FoldData, tmp_path: Path, name: str) -> None:
    settings = method(world.files, name, max_epochs=1)
    run = trainer(settings, inputs)
    terms = run._terms
    before = {key: value.clone() for key, value in terms.state_dict().items()}
    student = {k: v.clone() for k, v in run.networks.get_submodule("student").named_parameters()}
    run.fit(tmp_path)
    (record,) = (json.loads(line) for line in (tmp_path / CURVES).read_text().splitlines())
    losses = record["losses"]
    distilled = {f"{name}_multimodal", f"{name}_genomic"}
    assert distilled == {key for key in losses if not key.startswith(("ce_", "total"))}
    assert all(math.isfinite(losses[key]) and losses[key] != 0 for key in distilled)
    for key, value in terms.state_dict().items():  # own weights and memories
        assert not torch.equal(value, before[key]), key
    after = dict(run.networks.get_submodule("student").named_parameters())
    assert any(not torch.equal(after[key], student[key]) for key in student)
