"""Training, stacked passes, resuming and prediction on a GPU give what the CPU gives.

Stated tolerance: probabilities after two epochs in float32 within 0.001 of the CPU's, in bfloat16
within 0.05. Dropout is off, whose random numbers are another stream on each kind of device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from histodistill import deploy
from histodistill.computing.device import resolve_device
from histodistill.computing.precision import fast_precision
from histodistill.diagnosis.acceleration import acceleration
from histodistill.experiment import Experiment
from histodistill.features import open_bags
from histodistill.model.pooling.blocks import GPU_ROWS, block_rows
from histodistill.model.pooling.kernels import steps_for
from histodistill.model.pooling.random_bits import random_bits
from histodistill.model.pooling.steps import PatchSteps
from histodistill.preparation.squash import Squash, in_parts, mean_of
from histodistill.training import Epoch, Failure, Fit, cross_validate, train_final
from histodistill.training.loop import trainer
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.run_folder import versions
from tests.training.cohorts import NETWORK, World, experiment

STILL = {"network": NETWORK | {"dropout": 0.0}}
NEAR = {"float32": 1e-3, "bfloat16": 0.05}


class _PowerCutError(BaseException):
    pass


class _CutAfter:
    """Ends everything after some epochs."""

    def __init__(self, epochs: int) -> None:
        self._left = epochs

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        self._left -= 1
        if not self._left:
            raise _PowerCutError

    def on_fit(self, fit: Fit) -> None:
        pass

    def on_failure(self, failure: Failure) -> None:
        raise AssertionError(failure)


def setup_of(world: World, output: Path, names: list[str], **training: Any) -> Experiment:
    own = {"max_epochs": 2, **training}
    return experiment(world.files, output, methods=dict.fromkeys(names, STILL), training=own)


def assert_near(found: pd.DataFrame, expected: pd.DataFrame, near: float) -> None:
    keys = ["method", "fold", "PATIENT"]
    found, expected = (
        table.sort_values(keys).reset_index(drop=True) for table in (found, expected)
    )
    assert found[keys].equals(expected[keys])
    columns = ["student", "multimodal", "genomic"]
    assert not expected[columns].isna().all().any()
    ours, theirs = (table[columns].to_numpy(float) for table in (found, expected))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=near)


@pytest.mark.parametrize("precision", NEAR)
def test_training_is_that_of_the_cpu(
    precision: str, world: World, tmp_path: Path, gpu: torch.device
) -> None:
    """Alone on the CPU, in stacked passes on a GPU, which waits for the next call otherwise."""
    names = ["mkd", "abmil", "snn"]
    there = setup_of(world, tmp_path / "gpu", names, device="cuda", precision=precision)
    assert FitRunner(there, world.data).fits_in_a_pass("abmil") > 1
    found = cross_validate(there, world.data)
    expected = cross_validate(setup_of(world, tmp_path / "cpu", names, device="cpu"), world.data)
    assert_near(found, expected, NEAR[precision])


def test_patches_are_read_in_larger_parts_than_on_the_cpu(gpu: torch.device) -> None:
    bag = torch.arange(5000.0).reshape(-1, 2)
    assert len(in_parts(bag.to(gpu))) == 1
    np.testing.assert_allclose(mean_of(torch.neg, bag.to(gpu)), [-2499, -2500])


def test_patches_are_squashed_on_the_device(gpu: torch.device) -> None:
    bag = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    squash = Squash(bag.mean(dim=0), 1 / bag.std(dim=0))
    found = squash.transform(bag.to(gpu))
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), squash.transform(bag))


def test_dropout_draws_on_the_device(world: World, tmp_path: Path, gpu: torch.device) -> None:
    setup = experiment(
        world.files, tmp_path, methods={"abmil": {}}, training={"max_epochs": 1, "device": "cuda"}
    )
    assert len(cross_validate(setup, world.data))
    bits = random_bits(1000, gpu, torch.Generator(gpu).manual_seed(3))
    assert (bits.device.type, len(bits.unique())) == ("cuda", 1000)


def test_an_interrupted_training_goes_on(
    world: World, tmp_path: Path, gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)
    whole = cross_validate(setup_of(world, tmp_path / "whole", ["mkd"], device="cuda"), world.data)
    cut = setup_of(world, tmp_path / "cut", ["mkd"], device="cuda")
    with pytest.raises(_PowerCutError):
        cross_validate(cut, world.data, watcher=_CutAfter(2))
    assert list((tmp_path / "cut").rglob(trainer.CHECKPOINT))
    assert_near(cross_validate(cut, world.data), whole, 1e-4)


def test_a_model_answers_new_patients_as_on_the_cpu(
    world: World, tmp_path: Path, gpu: torch.device
) -> None:
    setup = setup_of(world, tmp_path / "run", ["mkd"], device="cuda")
    bundle = train_final(setup, world.data, "ER", "mkd", seed=0)
    bundle.save(tmp_path / "bundle")
    bags = world.data.bags
    assert bags is not None
    paths = {p: [slide.path for slide in bags.slides(p)] for p in bags.patients}
    opened = open_bags(paths, cache=tmp_path / "cache")
    answers = [
        deploy.predict(deploy.Bundle.load(tmp_path / "bundle"), bags=opened, device=name).table
        for name in ("cuda", "cpu")
    ]
    numbers = answers[0].select_dtypes("number").columns
    assert len(numbers)
    ours, theirs = (table[numbers].to_numpy() for table in answers)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_bags_move_to_the_gpu_and_are_the_same(
    world: World, tmp_path: Path, gpu: torch.device
) -> None:
    bags = world.data.bags
    assert bags is not None
    paths = {p: [slide.path for slide in bags.slides(p)] for p in bags.patients}
    packed = open_bags(paths, cache=tmp_path)
    moved = packed.to(gpu)
    assert moved is not packed
    assert packed.to(gpu) is moved
    for patient in bags.patients:
        assert moved.bag(patient).device == gpu
        assert torch.equal(moved.bag(patient).cpu(), packed.bag(patient).cpu())


def test_what_a_gpu_is_asked_and_given(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTODISTILL_COMPILE", "0")  # that is not asked here
    assert resolve_device("auto") == resolve_device("cuda") == gpu
    assert fast_precision(gpu) in ("bfloat16", "float32")
    assert block_rows(gpu, torch.float32) == GPU_ROWS
    assert type(steps_for(torch.float32, torch.bfloat16, gpu)) is PatchSteps
    assert versions()["gpu"] == torch.cuda.get_device_name()
    assert " GB" in dict(acceleration().rows())["GPU"]
