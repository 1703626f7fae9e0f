"""A run's folder belongs to one configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from histodistill.errors import InputError
from histodistill.experiment import read_experiment
from histodistill.training import cross_validate
from histodistill.training.run.run_folder import begin_run, resolved
from tests.training.cohorts import World, described, experiment


def test_configuration_versions_and_exclusions_are_written(world: World, tmp_path: Path) -> None:
    setup = experiment(world.files, tmp_path / "run")
    begin_run(setup, world.data)
    folder = tmp_path / "run"
    written = json.loads((folder / "experiment.json").read_text())
    assert written == resolved(setup)
    # Fully resolved: what the file did not say is there too.
    training = written["methods"]["mkd"]["training"]
    assert training["weight_decay"] == 1e-5
    assert training["max_epochs"] == 4
    assert written["seeds"] == [0]
    assert type(setup).model_validate(written) == setup
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["packages"]["torch"] == torch.__version__.split("+")[0] or torch.__version__
    assert {"histodistill", "torch", "numpy"} <= set(versions["packages"])
    assert versions["threads"] == 1
    assert {"python", "platform", "gpu"} <= set(versions)
    assert list(pd.read_csv(folder / "excluded.csv")) == ["PATIENT", "reason"]


def test_another_configuration_is_refused_by_name(world: World, tmp_path: Path) -> None:
    begin_run(experiment(world.files, tmp_path), world.data)
    before = (tmp_path / "experiment.json").read_bytes()
    changed = experiment(
        world.files,
        tmp_path,
        training={"learning_rate": 1e-3},
        splits={"folds": 2, "validation": 0.3, "seed": 7},
        methods={"mkd": {}, "abmil": {}},
        seeds=[0, 1],
    )
    with pytest.raises(InputError) as refused:
        cross_validate(changed, world.data)
    assert refused.value.problems == (
        f"{tmp_path}: holds results of another configuration, which differs in "
        "methods.mkd.training.learning_rate, splits.seed; choose another `output`, or remove "
        "that folder",
    )
    assert (tmp_path / "experiment.json").read_bytes() == before
    assert not (tmp_path / "fits").exists()


def test_a_record_of_an_earlier_version_is_of_the_same_configuration(
    world: World, tmp_path: Path
) -> None:
    """Terms that read genes stood beside the others, and networks had no options."""
    setup = experiment(world.files, tmp_path, methods={"mkd-reconstruction": {}})
    record = resolved(setup)
    old = record["methods"]["mkd-reconstruction"]
    assert old["objective"].pop("from_genes") == {"reconstruction": 1.0}
    del old["objective"]["distillation_options"]
    old["objective"] |= {"reconstruction": 1, "group_reconstruction": 0, "memory_alignment": 0}
    for network in ("student", "multimodal", "genomic"):
        del old["network"][f"{network}_options"]
    (tmp_path / "experiment.json").write_text(json.dumps(record))
    begin_run(setup, world.data)
    old["objective"]["reconstruction"] = 2
    (tmp_path / "experiment.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"differs in .*reconstruction"):
        begin_run(setup, world.data)


def test_a_folder_that_was_moved_is_gone_on_with(world: World, tmp_path: Path) -> None:
    """Where results and the tables of folds lie, and how that is written, changes no result."""
    (tmp_path / "folds").mkdir()
    splits = {"scheme": "files", "directory": str(tmp_path / "folds" / ".." / "folds")}
    old, new = tmp_path / "old", tmp_path / "new"
    begin_run(experiment(world.files, old, splits=splits), world.data)
    old.rename(new)
    splits["directory"] = str(tmp_path / "folds")
    setup = experiment(world.files, new, splits=splits)
    begin_run(setup, world.data)
    assert json.loads((new / "experiment.json").read_text())["output"] == str(new)


def test_methods_targets_and_seeds_come_and_go(world: World, tmp_path: Path) -> None:
    classes = {"classes": ["negative", "positive"], "positive": "positive"}
    runs: list[dict[str, Any]] = [
        {"methods": {"mkd": {}, "abmil": {}}},
        {"methods": {"mkd": {"seeds": [4]}}, "seeds": [0, 1]},
        {"methods": {"genomic": {}}, "targets": {"PR": classes, "ER": classes}},
    ]
    for changes in runs:
        begin_run(experiment(world.files, tmp_path, **changes), world.data)
    written = json.loads((tmp_path / "experiment.json").read_text())
    assert list(written["methods"]) == ["mkd", "abmil", "genomic"]
    # A name that is gone does not come back with another meaning.
    again = {"methods": {"abmil": {"training": {"patience": 9}}}}
    with pytest.raises(InputError, match=r"differs in methods\.abmil\.training\.patience;"):
        begin_run(experiment(world.files, tmp_path, **again), world.data)


def test_the_same_configuration_is_welcome_again(world: World, tmp_path: Path) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(json.dumps(described(world.files, tmp_path / "run")))  # JSON is YAML
    for _ in range(2):
        begin_run(read_experiment(file), world.data)
