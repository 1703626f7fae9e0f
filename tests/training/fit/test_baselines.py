"""The baselines on genes, beside the networks of an experiment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histodistill.experiment import Experiment, load
from histodistill.training.fit.baselines import _scaled, answer_by_baselines
from tests.training.cohorts import World, experiment, fold_data, make_files


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    files = make_files(tmp_path_factory.mktemp("cohort"))
    return World(files, load(experiment(files, Path("unused"))))


def test_every_baseline_on_genes_answers_the_patients_with_genes(world: World) -> None:
    names = ["logistic-genomics", "elastic-net-genomics", "boosted-trees-genomics"]
    setup = experiment(world.files, Path("unused"), baselines=names)
    inputs = fold_data(world, baselines=names)
    answers = answer_by_baselines(setup, inputs)
    validation, test = answers.validation, answers.test
    assert set(test["method"]) == {cost.name for cost in answers.costs}
    assert set(test["method"]) == {"logistic-mrna", "elastic-net-mrna", "boosted-trees-mrna"}
    measured = set(world.data.genomics["mrna"].index)
    for rows, part in ((validation, inputs.fold.validation), (test, inputs.fold.test)):
        for _, own in rows.groupby("method"):
            assert list(own["PATIENT"]) == list(part)
            answered = own["PATIENT"].isin(measured)
            np.testing.assert_array_equal(own["genomic"].notna(), answered)


def test_baselines_read_genes_as_the_block_says(world: World, tmp_path: Path) -> None:
    """Values that are cut for the networks are cut for them."""
    answers = []
    for clip in (None, 0.5):
        block = {"file": str(world.files.expression), "clip": clip}
        setup = experiment(
            world.files, tmp_path, baselines=["logistic-genomics"], genomics={"mrna": block}
        )
        inputs = fold_data(world, genomics={"mrna": block})
        scaled = _scaled(world.data.genomics["mrna"], inputs.fold.train, setup.genomics["mrna"])
        assert clip is None or scaled.abs().max(axis=None) == clip
        answers.append(answer_by_baselines(setup, inputs).test["genomic"])
    assert not np.allclose(answers[0].dropna(), answers[1].dropna())


def test_those_that_cost_more_have_to_be_asked_for() -> None:
    default = Experiment.model_fields["baselines"].default
    assert default == ("logistic-slides", "logistic-genomics", "single-gene")
