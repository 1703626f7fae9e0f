"""Trainings in one pass: each as it would have been alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from histodistill.errors import InputError
from histodistill.experiment.methods import MethodSettings
from histodistill.training import cross_validate, fits_of
from histodistill.training.fit import teachers, trainings
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.loop import shared_pass
from histodistill.training.loop.epoch import Epoch
from histodistill.training.loop.shared_pass import (
    models_in_a_pass,
    pays,
    stackable,
    train_together,
)
from histodistill.training.loop.trainer import CHECKPOINT, CURVES, Trainer
from histodistill.training.run import fit_runner
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.parallel import passes
from tests.training.cohorts import CPU, World, experiment, fold_data, method, trainer

SEEDS = (0, 1, 2)
# A softmax ignores a shift: what this bias becomes is rounding, which Adam blows up.
MEANINGLESS = "score.bias"


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


def curves(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / CURVES).read_text().splitlines()]


def assert_alike(one: Trainer, other: Trainer) -> None:
    theirs = dict(other.networks.named_parameters())
    for name, parameter in one.networks.named_parameters():
        if not name.endswith(MEANINGLESS):
            torch.testing.assert_close(parameter, theirs[name], rtol=1e-3, atol=1e-4)


def assert_curves_alike(one: Path, other: Path) -> None:
    records, others = curves(one), curves(other)
    assert len(records) == len(others)
    for record, theirs in zip(records, others, strict=True):
        assert record["epoch"] == theirs["epoch"]
        assert record["best"] == theirs["best"]
        assert record["learning_rate"] == theirs["learning_rate"]
        assert record["losses"] == pytest.approx(theirs["losses"], rel=1e-3, abs=1e-4)


def together(run: list[Trainer], folder: Path) -> list[Exception | None]:
    for seed, each in enumerate(run):
        each.begin(folder / str(seed))
    return train_together(run)


RECIPES = ("mkd", "mkd-concat", "abmil", "linear", "genomic", "multimodal")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("patches", [None, 4])
def test_trainings_in_one_pass_are_those_alone(
    world: World, inputs: FoldData, tmp_path: Path, recipe: str, patches: int | None
) -> None:
    settings = method(world.files, recipe, max_epochs=9, patience=2, patches=patches)
    assert stackable(settings)
    alone = [trainer(settings, inputs, seed, weights=seed) for seed in SEEDS]
    for seed, each in enumerate(alone):
        each.fit(tmp_path / "alone" / str(seed))
    beside = [trainer(settings, inputs, seed, weights=seed) for seed in SEEDS]
    assert together(beside, tmp_path / "together") == [None] * len(SEEDS)
    for seed in SEEDS:
        assert_curves_alike(tmp_path / "together" / str(seed), tmp_path / "alone" / str(seed))
        assert_alike(beside[seed], alone[seed])


def test_each_stops_by_itself(world: World, inputs: FoldData, tmp_path: Path) -> None:
    settings = method(world.files, "linear", max_epochs=60, patience=3, learning_rate=0.05)
    run = [trainer(settings, inputs, seed) for seed in range(6)]
    together(run, tmp_path)
    lengths = [len(curves(tmp_path / str(seed))) for seed in range(6)]
    assert len(set(lengths)) > 1
    for seed in range(6):
        best = [record["epoch"] for record in curves(tmp_path / str(seed)) if record["best"]][-1]
        assert lengths[seed] in (best + 1 + 3, 60)
    # Weights of their own again: changing one changes no other.
    before = [next(each.networks.parameters()).detach().clone() for each in run]
    with torch.no_grad():
        next(run[0].networks.parameters()).add_(1)
    for each, kept in zip(run[1:], before[1:], strict=True):
        assert torch.equal(next(each.networks.parameters()), kept)


def test_an_interrupted_training_goes_on_in_another_pass(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings in one pass may be at different epochs, with different learning rates."""
    monkeypatch.setattr("histodistill.training.loop.trainer.CHECKPOINT_SECONDS", 0)
    settings = method(world.files, "linear", max_epochs=6, patience=9)
    whole = [trainer(settings, inputs, seed) for seed in SEEDS]
    together(whole, tmp_path / "whole")

    def cut(done: Epoch) -> None:
        if done.epoch == 2:
            raise KeyboardInterrupt

    first = trainer(settings, inputs, 0)
    first.begin(tmp_path / "cut" / "0", cut)
    with pytest.raises(KeyboardInterrupt):
        train_together([first])
    resumed = [trainer(settings, inputs, seed) for seed in SEEDS]
    assert together(resumed, tmp_path / "cut") == [None] * len(SEEDS)
    for seed in SEEDS:
        assert_curves_alike(tmp_path / "cut" / str(seed), tmp_path / "whole" / str(seed))
        assert_alike(resumed[seed], whole[seed])


def test_a_problem_stays_with_its_training(world: World, inputs: FoldData, tmp_path: Path) -> None:
    settings = method(world.files, "linear", max_epochs=4)
    run = [trainer(settings, inputs, seed) for seed in SEEDS]
    with torch.no_grad():
        next(run[1].networks.parameters()).fill_(torch.nan)
    problems = together(run, tmp_path)
    assert isinstance(problems[1], InputError)
    assert "the loss is no longer a number" in str(problems[1])
    assert problems[0] is None
    assert problems[2] is None
    assert not (tmp_path / "1" / CURVES).exists()
    assert len(curves(tmp_path / "2")) == 4


@pytest.mark.parametrize("batch", [0, 1])
def test_a_batch_that_cannot_be_made_ends_its_own_training(
    world: World, inputs: FoldData, tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = method(world.files, "linear", max_epochs=3)
    alone = trainer(settings, inputs, 2)
    alone.fit(tmp_path / "alone")
    run = [trainer(settings, inputs, seed) for seed in SEEDS]
    original = run[1].epoch_batches

    def damaged() -> Any:
        count, made = original()

        def failing() -> Any:
            for number, each in enumerate(made):
                if number == batch:
                    raise InputError("P1.h5: damaged")
                yield each

        return count, failing()

    monkeypatch.setattr(run[1], "epoch_batches", damaged)
    problems = together(run, tmp_path)
    assert [str(problem) for problem in problems] == ["None", "P1.h5: damaged", "None"]
    assert not (tmp_path / "1" / CURVES).exists()
    assert_curves_alike(tmp_path / "2", tmp_path / "alone")
    assert_alike(run[2], alone)


def test_a_problem_of_the_pass_is_told_of_all(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> None:
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(shared_pass._Stack, "_step", exhausted)
    run = [trainer(method(world.files, "linear"), inputs, seed) for seed in SEEDS]
    assert [str(problem) for problem in together(run, tmp_path)] == ["no memory"] * 3
    with torch.no_grad():  # weights of their own again
        next(run[0].networks.parameters()).fill_(7)
    assert not (next(run[1].networks.parameters()) == 7).any()


def test_a_checkpoint_of_a_pass_holds_one_model(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histodistill.training.loop.trainer.CHECKPOINT_SECONDS", 0)
    settings = method(world.files, "mkd", max_epochs=1)
    sizes = []
    for models in (1, 6):
        run = [trainer(settings, inputs, seed) for seed in range(models)]
        together(run, tmp_path / str(models))
        sizes.append((tmp_path / str(models) / "0" / CHECKPOINT).stat().st_size)
    assert sizes[1] < 1.05 * sizes[0]


CHANGES = {
    "methods": {"programmes": {"network": {"programmes": 3}, "training": {"members": 2}}},
    "seeds": [0, 1],
    "training": {"max_epochs": 3},
}


def test_a_cross_validation_in_passes_is_one_without(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = experiment(world.files, tmp_path / "together", **CHANGES)
    runs: list[int] = []
    original = train_together

    def counted(trainers: list[Trainer]) -> list[Exception | None]:
        runs.append(len(trainers))
        return original(trainers)

    with monkeypatch.context() as patch:
        patch.setattr(trainings, "train_together", counted)
        shared = cross_validate(setup, world.data)
    # Two seeds of two folds of two members.
    assert runs == [8]
    with monkeypatch.context() as patch:
        patch.setattr(trainings, "train_together", counted)
        patch.setattr(fit_runner, "models_in_a_pass", lambda *_: 3)
        limited = cross_validate(
            experiment(world.files, tmp_path / "limited", **CHANGES), world.data
        )
    # A fit at a time, of two members.
    assert runs[1:] == [2] * 4
    pd.testing.assert_frame_equal(shared, limited, rtol=1e-4, atol=1e-5)
    assert not list((tmp_path / "together").rglob(CHECKPOINT))
    monkeypatch.setattr(trainings, "pays", lambda method, device: False)
    monkeypatch.setattr(teachers, "pays", lambda method, device: False)
    apart = cross_validate(experiment(world.files, tmp_path / "apart", **CHANGES), world.data)
    pd.testing.assert_frame_equal(shared, apart, rtol=1e-4, atol=1e-5)


def test_a_fit_that_fails_takes_nobody_of_its_pass_along(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = experiment(world.files, tmp_path, **CHANGES)
    original = FitRunner._save

    def broken(self: FitRunner, method: object, fit: Any, *args: Any) -> None:
        if (fit.seed, fit.fold.index) == (0, 1):
            raise RuntimeError("no room")
        original(self, method, fit, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FitRunner, "_save", broken)
        with pytest.raises(InputError) as refused:
            cross_validate(setup, world.data)
    assert refused.value.problems[0].startswith(
        "ER programmes seed 0 fold 1: RuntimeError: no room"
    )
    assert refused.value.problems[1].startswith("1 of 4 trainings failed")
    assert len(cross_validate(setup, world.data)) > 0


def test_which_fits_share_a_pass(world: World, tmp_path: Path) -> None:
    reached = {"recipe": "programmes", "objective": {"collaboration": 1.0}}
    methods = {
        "programmes": CHANGES["methods"]["programmes"],  # type: ignore[index]
        "reached": reached,
        "abmil": {},
        "kd-offline": {},
    }
    setup = experiment(world.files, tmp_path, **{**CHANGES, "methods": methods})
    groups = passes(FitRunner(setup, world.data), fits_of(setup, world.data))
    assert [(group[0].method, len(group)) for group in groups] == [
        ("programmes", 4),
        *[("reached", 1)] * 4,  # a student that needs its teachers' answers trains alone
        *[("abmil", 1)] * 4,
        *[("kd-offline", 1)] * 4,
    ]


@pytest.mark.parametrize(
    ("recipe", "alone"), [("linear", True), ("abmil", False), ("mkd", False), ("snn", False)]
)
def test_on_a_cpu_passes_pay_for_the_smallest_networks(
    world: World, recipe: str, alone: bool
) -> None:
    settings: MethodSettings = method(world.files, recipe)
    assert pays(settings, CPU) is alone
    assert pays(settings, torch.device("cuda"))


def test_passes_are_as_large_as_memory_allows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = method(world.files, "linear", patches=4)
    bags = world.data.bags
    assert bags is not None
    assert models_in_a_pass(settings, bags) == models_in_a_pass(settings, None) == 30
    step = 4 * 8 * bags.width * 4  # four patches of eight patients, four bytes a value
    monkeypatch.setattr(shared_pass, "_MOST_BYTES", 5 * step)
    assert models_in_a_pass(settings, bags) == 5
    monkeypatch.setattr(shared_pass, "_MOST_BYTES", step // 2)
    assert models_in_a_pass(settings, bags) == 1
    assert models_in_a_pass(method(world.files, "genomic"), bags) == 30
    read_again = settings.model_copy(
        update={"network": settings.network.model_copy(update={"programmes": 3})}
    )
    kept = 3 * 4 * sum(bags.n_patches(patient) for patient in bags.patients)
    monkeypatch.setattr(shared_pass, "_MOST_BYTES", 2 * (step + kept))
    assert models_in_a_pass(read_again, bags) == 2


def test_a_pass_has_no_more_trainings_than_it_may(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = method(world.files, "linear", max_epochs=1)
    runs: list[int] = []

    def counted(trainers: list[Trainer]) -> list[Exception | None]:
        runs.append(len(trainers))
        return train_together(trainers)

    def fit(seed: int) -> trainings.Steps[int]:
        members = [trainer(settings, inputs, seed + member) for member in range(5)]
        yield [trainings.Training(each, tmp_path / str(each._seed)) for each in members]
        return seed

    monkeypatch.setattr(trainings, "train_together", counted)
    assert dict(trainings.in_one_pass({"a": fit(0)}, most=2)) == {"a": 0}
    assert runs == [2, 2]  # and one alone


def test_fits_that_need_what_is_trained_elsewhere_wait_without_holding_up_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    order = []

    def waiting(name: str, rounds: int) -> trainings.Steps[str]:
        for _ in range(rounds):
            yield ()
        order.append(name)
        return name

    both = trainings.side_by_side([waiting("late", 3), waiting("early", 1)])
    ended = dict(trainings.in_one_pass({"both": both, "other": waiting("other", 2)}))
    assert ended == {"both": ["late", "early"], "other": "other"}
    assert order == ["early", "other", "late"]
    assert len(waited) == 3


def test_what_is_never_stacked(world: World) -> None:
    for recipe in ("transmil", "kd", "mkd-reconstruction", "mcat"):
        assert not stackable(method(world.files, recipe))
    assert not stackable(method(world.files, "mkd", unlabelled=True))
