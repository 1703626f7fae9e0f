"""Batches made in the background, and bags moved to the device: the same training."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from histodistill.features import BagStore, PackedBags, open_bags
from histodistill.model import Batch
from histodistill.preparation import PreparedPatients
from histodistill.training.fit.joint_training import train_stage
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.fold.reading import prepare
from tests.training.cohorts import World, fold_data, method

Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


def with_bags(inputs: FoldData, cache: Path | None = None, **settings: Any) -> FoldData:
    """The same fold, its bags opened in another way."""
    bags = inputs.data.bags
    assert bags is not None
    paths = {patient: [slide.path for slide in bags.slides(patient)] for patient in bags.patients}
    opened = open_bags(paths, cache=cache, **settings)
    return replace(inputs, data=replace(inputs.data, bags=opened))


def trained(world: World, inputs: FoldData, folder: Path, **training: Any) -> Weights:
    """Weights after two epochs."""
    settings = method(world.files, max_epochs=2, **training)
    done = train_stage(settings, prepare(settings, inputs), inputs, 0, folder)
    return done.networks.state_dict()


def equal(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


@pytest.mark.parametrize("patches", [None, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_batches_made_in_the_background_train_the_same(
    world: World,
    inputs: FoldData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    patches: int | None,
    packed: bool,
) -> None:
    makers: list[bool] = []
    plain = PreparedPatients.batch

    def watched(self: PreparedPatients, patients: Any, **settings: Any) -> Batch:
        if not torch.is_inference_mode_enabled():  # in training
            makers.append(threading.current_thread() is threading.main_thread())
        return plain(self, patients, **settings)

    monkeypatch.setattr(PreparedPatients, "batch", watched)
    cache = tmp_path / "cache" if packed else None
    found = []
    for kept, limit in ((True, 2**30), (False, 0)):
        makers.clear()
        opened = with_bags(inputs, cache, memory_limit_bytes=limit)
        assert prepare(method(world.files), opened).in_memory == kept
        found.append(trained(world, opened, tmp_path / str(kept), patches=patches))
        assert len(makers) >= 4
        assert set(makers) == {kept}
    assert equal(*found)


def test_what_goes_wrong_in_the_background_is_told(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = with_bags(inputs, memory_limit_bytes=0)

    def unreadable(self: BagStore, patient: str) -> Tensor:
        raise OSError(f"{patient}: no disk")

    monkeypatch.setattr(BagStore, "bag", unreadable)
    with pytest.raises(OSError, match="no disk"):
        trained(world, opened, tmp_path)


def test_packed_bags_move_to_the_device_once_for_all_trainings(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The meta device stands in for a GPU: tensors there have a shape and no values.
    meta = torch.device("meta")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**30))
    moves = []

    def to(self: PackedBags, device: torch.device) -> PackedBags:
        moves.append(device)
        return plain(self, meta)

    plain = PackedBags.to
    monkeypatch.setattr(PackedBags, "to", to)
    opened = with_bags(inputs, tmp_path / "cache")
    for seed in range(2):
        prepared = prepare(method(world.files, device="cuda"), opened)
        patients = [patient for patient in opened.fold.train if prepared.has_slides(patient)]
        generator = torch.Generator().manual_seed(seed)
        batch = prepared.batch(patients, device=meta, patches=4, generator=generator)
        assert batch.bags is not None
        assert batch.bags.stored.device == meta
        assert set(batch.bags.sizes) == {3, 4}
    assert moves == [torch.device("cuda:0")]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("patches", [None, 4])
def test_bags_on_a_gpu_are_the_same(
    world: World, inputs: FoldData, tmp_path: Path, patches: int | None
) -> None:
    opened = with_bags(inputs, tmp_path / "cache")
    bags = opened.data.bags
    assert bags is not None
    prepared = prepare(method(world.files, device="cuda"), opened)
    patients = [patient for patient in opened.fold.train if prepared.has_slides(patient)]
    batch = prepared.batch(
        patients,
        device=torch.device("cuda"),
        patches=patches,
        generator=torch.Generator().manual_seed(3),
    )
    drawn = torch.Generator().manual_seed(3)
    expected = [
        bags.bag(patient) if patches is None else bags.sample(patient, patches, drawn)
        for patient in patients
    ]
    assert batch.bags is not None
    assert torch.equal(batch.bags.stored.cpu(), torch.cat(expected))
    assert bags.bag(patients[0]).device.type == "cpu"
