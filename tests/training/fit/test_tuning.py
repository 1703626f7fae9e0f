"""The inner search: by validation patients alone, once for all seeds, resumable."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from histodistill.deploy import Bundle
from histodistill.errors import InputError
from histodistill.experiment.methods import MethodSettings, TuningSettings
from histodistill.training import cross_validate, train_final
from histodistill.training.fit.tuning import TUNING, search, tuned_method
from histodistill.training.fold.fold_data import prepare_fold
from tests.training.cohorts import World, disguised, experiment, first_fold, method

pytest.importorskip("optuna")

# With the first nothing is learnt.
RATES = {"learning_rates": [1e-12, 0.02], "weight_decays": [0.01]}
CHANGES = {"methods": {"abmil": {}}, "training": {"max_epochs": 5}, "tuning": RATES}


def test_the_better_learning_rate_is_chosen_and_recorded(world: World, tmp_path: Path) -> None:
    setup = experiment(world.files, tmp_path, **CHANGES)
    cross_validate(setup, world.data)
    for fold in (0, 1):
        place = tmp_path / f"fits/ER/abmil/seed-0/repeat-0-fold-{fold}"
        told = json.loads((place / TUNING).read_text())
        assert told["chosen"]["learning_rate"] == 0.02
        figures = {trial["learning_rate"]: trial["figure"] for trial in told["trials"]}
        assert figures[0.02] > figures[1e-12]  # losses, with their sign changed
        info = Bundle.load(place / "model").info
        assert info.provenance["settings"]["training"]["learning_rate"] == 0.02
        assert info.provenance["settings"]["training"]["weight_decay"] == 0.01
        curves = (place / "curves.jsonl").read_text().splitlines()
        best = min(json.loads(line)["validation"]["student_loss"] for line in curves)
        assert best == pytest.approx(-figures[0.02])
    assert not list((tmp_path / "tuning").rglob("checkpoint.pt"))
    assert not list((tmp_path / "tuning").rglob("predictions.csv"))


def test_test_patients_have_no_say(world: World, tmp_path: Path) -> None:
    found = []
    setup = experiment(world.files, tmp_path / "honest", **CHANGES)
    fold = first_fold(world.data, setup)
    other = disguised(world.data, fold.test, tmp_path / "disguise")
    for name, data in (("honest", world.data), ("disguised", other)):
        setup = experiment(world.files, tmp_path / name, **CHANGES)
        # Other labels would divide the patients otherwise: the fold itself is given.
        inputs = prepare_fold(setup, data, "ER", fold)
        tuned_method(setup, "abmil", inputs, tmp_path / name / "tuning", tmp_path / name)
        found.append((tmp_path / name / "tuning" / TUNING).read_bytes())
    assert found[0] == found[1]


def test_one_search_serves_all_seeds_and_leaves_finished_teachers(
    world: World, tmp_path: Path
) -> None:
    changes = {**CHANGES, "methods": {"kd-offline": {}}, "seeds": [3, 4]}
    changes["training"] = {"max_epochs": 1}
    cross_validate(experiment(world.files, tmp_path, **changes), world.data)
    assert len(list((tmp_path / "tuning/ER/kd-offline").glob("*/tuning.json"))) == 2
    # Two kinds of teacher, of two seeds and folds.
    assert len(list((tmp_path / "teachers/ER").iterdir())) == 2
    assert len(list((tmp_path / "teachers/ER").rglob("teacher.safetensors"))) == 8


def test_the_final_model_is_tuned_too(world: World, tmp_path: Path) -> None:
    setup = experiment(world.files, tmp_path, **CHANGES)
    bundle = train_final(setup, world.data, "ER", "abmil", seed=0)
    assert bundle.info.provenance["settings"]["training"]["learning_rate"] == 0.02


class _Trainings:
    """Stands for the trainings of a search: the figure is looked up."""

    def __init__(self, figures: Mapping[float, float | None], limit: int | None = None) -> None:
        self.tried: list[tuple[float, float]] = []
        self._figures = figures
        self._limit = limit

    def __call__(self, candidate: MethodSettings, folder: Path) -> float:
        chosen = candidate.training
        if len(self.tried) == self._limit:
            raise KeyboardInterrupt
        self.tried.append((chosen.learning_rate, chosen.weight_decay))
        figure = self._figures[chosen.learning_rate]
        if figure is None:
            raise InputError("the loss is no longer a number")
        return figure - chosen.weight_decay


FIGURES = {1e-3: -0.5, 2e-3: -0.4, 3e-3: None}


def tuning(**changes: Any) -> TuningSettings:
    space = {"learning_rates": list(FIGURES), "weight_decays": [0.0, 0.1]}
    return TuningSettings.model_validate(space | changes)


def test_a_grid_tries_every_pair_once(world: World, tmp_path: Path) -> None:
    trainings = _Trainings(FIGURES)
    chosen = search(method(world.files), tuning(trials=50), trainings, tmp_path)
    assert sorted(trainings.tried) == [(rate, decay) for rate in FIGURES for decay in (0.0, 0.1)]
    assert (chosen.learning_rate, chosen.weight_decay, chosen.figure) == (2e-3, 0.0, -0.4)
    told = json.loads((tmp_path / TUNING).read_text())
    assert [t["figure"] for t in told["trials"]].count(None) == 2
    # It is not searched again.
    again = _Trainings({})
    assert search(method(world.files), tuning(trials=50), again, tmp_path) == chosen


@pytest.mark.parametrize(("sampler", "trials"), [("grid", 4), ("tpe", 12)])
def test_a_search_is_seeded_limited_and_resumable(
    world: World, tmp_path: Path, sampler: str, trials: int
) -> None:
    settings = tuning(trials=trials, sampler=sampler, seed=5)
    whole, first, second = _Trainings(FIGURES), _Trainings(FIGURES, limit=2), _Trainings(FIGURES)
    chosen = search(method(world.files), settings, whole, tmp_path / "whole")
    assert 2 < len(whole.tried) <= trials
    with pytest.raises(KeyboardInterrupt):
        search(method(world.files), settings, first, tmp_path / "cut")
    assert search(method(world.files), settings, second, tmp_path / "cut") == chosen
    finished = [pair for pair in first.tried if FIGURES[pair[0]] is not None]
    assert not set(finished) & set(second.tried)
    assert set(first.tried) | set(second.tried) == set(whole.tried)
    read = [json.loads((tmp_path / name / TUNING).read_text()) for name in ("whole", "cut")]
    assert read[0] == read[1]


def test_a_search_in_which_everything_fails_says_so(world: World, tmp_path: Path) -> None:
    trainings = _Trainings(dict.fromkeys(FIGURES))
    with pytest.raises(InputError, match="tuning: every trial failed: the loss is no longer"):
        search(method(world.files), tuning(), trainings, tmp_path)
    assert not (tmp_path / TUNING).exists()


def test_without_optuna_a_sentence_says_what_to_install(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError) as refused:
        cross_validate(experiment(world.files, tmp_path, **CHANGES), world.data)
    assert refused.value.problems == (
        "`tuning` needs Optuna; run: pip install 'histodistill[tuning]'",
    )
    assert not (tmp_path / "fits").exists()
