"""One epoch of training of every network on slides and genes, and of every one on genes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histodistill.experiment import load
from histodistill.training.fit.fitted_model import fit_model
from tests.training.cohorts import (
    NETWORK,
    World,
    experiment,
    fold_data,
    make_files,
    two_blocks,
    with_copy_number,
)

MULTIMODAL = ("mcat", "cmta", "porpoise", "pathomic", "late", "concat")
GENOMIC: dict[str, dict[str, Any]] = {
    "snn": {},
    "branches": {"recipe": "snn", "network": NETWORK | {"genomic": "branches"}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    files = make_files(tmp_path_factory.mktemp("cohort"))
    return with_copy_number(World(files, load(experiment(files, Path("unused")))))


@pytest.mark.parametrize(
    ("network", "name", "changes"),
    [
        *(("multimodal", name, {}) for name in MULTIMODAL),
        *(("genomic", name, changes) for name, changes in GENOMIC.items()),
    ],
)
def test_one_epoch(
    world: World, network: Any, name: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    described: dict[str, Any] = {
        "genomics": two_blocks(world.files),
        "methods": {name: changes},
        "training": {"max_epochs": 1},
    }
    setup = experiment(world.files, tmp_path, **described)
    inputs = fold_data(world, **described)
    model = fit_model(setup.methods[name], setup.targets["ER"], inputs, 0, tmp_path)
    (epoch,) = [json.loads(line) for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert set(epoch["losses"]) == {
        "total",
        f"ce_{network}",
        *(["auxiliary_multimodal"] if name == "cmta" else []),
    }
    answers = model.answer(list(inputs.fold.test))[network]
    answered = answers[~np.isnan(answers).any(axis=1)]
    assert len(answered) > 5
    np.testing.assert_allclose(answered.sum(axis=1), 1, rtol=1e-5)
