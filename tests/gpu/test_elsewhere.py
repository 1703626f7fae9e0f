"""Tasks of a cluster that compute on a GPU reserve one; others reserve none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from histodistill import read_experiment
from histodistill.encoders import describe_encoder
from histodistill.engines.choice import Place
from histodistill.engines.ray import RayCluster
from histodistill.experiment.settings import Experiment
from histodistill.extraction import ExtractionSettings, elsewhere
from histodistill.training.run import final_elsewhere, parallel
from histodistill.workflows import prediction
from tests.experiment.small import experiment_file

THERE = Place("ray", "ray://there:1")
DEVICES = pytest.mark.parametrize(("device", "reserved"), [("cuda", True), ("cpu", False)])


class AskedError(Exception):
    """What an engine was asked for."""


def asked(*_: object, gpu: bool, **__: object) -> None:
    raise AskedError(gpu)


def told(call: Callable[[], object]) -> object:
    """Whether a GPU was asked for."""
    with pytest.raises(AskedError) as error:
        call()
    return error.value.args[0]


def experiment_on(device: str, folder: Path) -> Experiment:
    return read_experiment(experiment_file(folder, {"training": {"device": device}}))


@DEVICES
def test_slides_reserve_one(device, reserved, tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "opened", asked)
    settings = ExtractionSettings.planned(describe_encoder("uni"), "", "float16")
    work = elsewhere.SlidesThere(settings, tmp_path / "features", device=device)
    assert told(lambda: elsewhere.extract_elsewhere([], work, THERE)) == reserved


@DEVICES
def test_trainings_reserve_one(device, reserved, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "opened", asked)
    experiment = experiment_on(device, tmp_path)

    def begin() -> None:
        with parallel.engine_of(experiment, parallel.Running(THERE)):
            pass

    assert told(begin) == reserved


@DEVICES
def test_a_final_model_reserves_one(device, reserved, tmp_path, monkeypatch):
    monkeypatch.setattr(final_elsewhere, "run_one", asked)
    experiment = experiment_on(device, tmp_path)
    train = final_elsewhere.train_elsewhere
    assert told(lambda: train(experiment, ["ER"], "abmil", seed=0, place=THERE)) == reserved


@DEVICES
def test_predictions_reserve_one(device, reserved, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "run_one", asked)
    request = SimpleNamespace(place=THERE, device=device, scratch=tmp_path, threads=1)
    plan = prediction.PredictionPlan({}, request, None, None, {}, ())  # type: ignore[arg-type]
    assert told(lambda: plan.run()) == reserved


@pytest.mark.parametrize("gpu", [True, False])
def test_ray_is_told_how_many(gpu, tmp_path):
    def remote(**options: int) -> None:
        raise AskedError(options["num_gpus"])

    resources = {"CPU": 4.0, "GPU": 1.0}
    ray = SimpleNamespace(
        nodes=lambda: [{"Alive": True, "Resources": resources}],
        remote=remote,
    )
    engine = RayCluster(ray, tmp_path, 1, gpu=gpu)  # type: ignore[arg-type]
    assert told(lambda: engine.submit(len, [()])) == int(gpu)
