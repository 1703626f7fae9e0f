"""One training: deterministic, resumable, and all networks from the same best epoch."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from histodistill.errors import InputError
from histodistill.experiment.recipes import recipes
from histodistill.inference import probabilities
from histodistill.model import Batch
from histodistill.preparation import PreparedPatients
from histodistill.training import Epoch, Trainer
from histodistill.training.fit.ensemble import fit_ensemble
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.loop.initial_networks import build_networks
from histodistill.training.loop.trainer import CHECKPOINT, CURVES, cosine
from histodistill.training.loop.validation import validation_figures
from tests.training.cohorts import (
    CPU,
    World,
    experiment,
    fold_data,
    method,
    prepared_patients,
    trainer,
    two_blocks,
    with_copy_number,
)


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


@pytest.fixture(scope="module")
def both_blocks(world: World) -> FoldData:
    return fold_data(with_copy_number(world), genomics=two_blocks(world.files))


def weights(one: Trainer) -> dict[str, Tensor]:
    return one.networks.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def curves(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / CURVES).read_text().splitlines()]


def test_the_seed_decides_everything(world: World, inputs: FoldData, tmp_path: Path) -> None:
    runs = [trainer(method(world.files), inputs, seed) for seed in (3, 3, 4)]
    for number, run in enumerate(runs):
        run.fit(tmp_path / str(number))
        torch.rand(number + 1)  # what others draw in between does not matter
    assert same(weights(runs[0]), weights(runs[1]))
    assert curves(tmp_path / "0") == curves(tmp_path / "1")
    assert not same(weights(runs[0]), weights(runs[2]))


def test_a_network_starts_alike_whatever_is_trained_with_it(world: World) -> None:
    settings = method(world.files)

    def initial(*names: str, seed: int = 0) -> dict[str, Tensor]:
        network = settings.network.model_copy(update={"networks": names})
        chosen = settings.model_copy(update={"network": network})
        return build_networks(chosen, 6, {"mrna": 16}, 2, seed).state_dict()

    everything = initial("student", "multimodal", "genomic")
    for names in [("student",), ("genomic",), ("multimodal",), ("genomic", "student")]:
        alone = initial(*names)
        assert same(alone, {k: v for k, v in everything.items() if k.split(".")[0] in names})
    assert not same(everything, initial("student", "multimodal", "genomic", seed=1))


def test_all_networks_are_kept_from_the_best_epoch(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    settings = method(world.files, max_epochs=40, learning_rate=0.03, patience=3)
    run = trainer(settings, inputs)
    after: list[dict[str, Tensor]] = []
    run.fit(tmp_path, lambda _: after.append(copy.deepcopy(weights(run))))

    records = curves(tmp_path)
    losses = [record["validation"]["student_loss"] for record in records]
    best = int(np.argmin(losses))
    assert best == max(record["epoch"] for record in records if record["best"])
    assert len(records) == len(after) == best + 1 + 3 < 40
    assert same(weights(run), after[best])
    for name in ("student", "multimodal", "genomic"):
        changed = [key for key in after[best] if key.startswith(name)]
        assert any(not torch.equal(after[best][key], after[-1][key]) for key in changed)


def test_evaluation_is_without_dropout(world: World, inputs: FoldData, tmp_path: Path) -> None:
    """The kept networks give, in eval mode, exactly the figures that they were chosen by."""
    run = trainer(method(world.files), inputs)
    run.fit(tmp_path)
    prepared = prepared_patients(inputs)
    patients = list(inputs.fold.validation)
    run.networks.train()
    answers = probabilities(run.networks, prepared, patients, CPU)
    assert run.networks.training
    figures = validation_figures(answers, prepared.labels(patients).numpy())
    best = [record for record in curves(tmp_path) if record["best"]][-1]
    assert figures == best["validation"]
    student = run.networks.student
    batch = prepared.batch(patients, device=CPU)
    assert student is not None
    assert batch.bags is not None
    assert not torch.equal(student(batch.bags).logits, student(batch.bags).logits)


def test_curves_tell_every_epoch(world: World, inputs: FoldData, tmp_path: Path) -> None:
    told: list[Epoch] = []
    trainer(method(world.files), inputs).fit(tmp_path, told.append)
    records = curves(tmp_path)
    assert records == [epoch.record() for epoch in told]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    for record in records:
        assert record["learning_rate"] == cosine(5e-3, record["epoch"], 50)
        losses = dict(record["losses"])
        total = losses.pop("total")
        assert set(losses) == {
            *(f"ce_{name}" for name in ("student", "multimodal", "genomic")),
            *("orthogonality", "alignment", "similarity", "collaboration"),
        }
        assert total == pytest.approx(sum(losses.values()), rel=1e-5)


class _PowerCutError(Exception):
    """Stands for an interruption."""


@pytest.mark.parametrize("epoch", [0, 1, 3, -1])
def test_an_interruption_after_any_epoch_changes_nothing(
    world: World,
    inputs: FoldData,
    tmp_path: Path,
    epoch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("histodistill.training.loop.trainer.CHECKPOINT_SECONDS", 0)
    settings = method(world.files, max_epochs=7, patience=4, learning_rate=0.02)
    whole = trainer(settings, inputs)
    whole.fit(tmp_path / "whole")
    epochs = range(len(curves(tmp_path / "whole")))
    assert len(epochs) > 4

    def cut(done: Epoch) -> None:
        if done.epoch == epochs[epoch]:
            raise _PowerCutError

    with pytest.raises(_PowerCutError):
        trainer(settings, inputs).fit(tmp_path / "cut", cut)
    assert len(curves(tmp_path / "cut")) == epochs[epoch] + 1
    seen: list[int] = []
    resumed = trainer(settings, inputs, weights=5)  # its own initial weights are not used
    resumed.fit(tmp_path / "cut", lambda done: seen.append(done.epoch))
    assert seen == list(epochs)[epochs[epoch] + 1 :]
    assert same(weights(resumed), weights(whole))
    assert curves(tmp_path / "cut") == curves(tmp_path / "whole")


class _Trap:
    """Does harm when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("sprung").touch, ())


@pytest.mark.parametrize("damage", ["empty", "text", "cut short", "pickle"])
def test_a_damaged_checkpoint_is_refused(
    world: World,
    inputs: FoldData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = method(world.files, max_epochs=1)
    trainer(settings, inputs).fit(tmp_path)
    path = tmp_path / CHECKPOINT
    content = {
        "empty": b"",
        "text": b"no checkpoint",
        "cut short": path.read_bytes()[:-200],
        "pickle": pickle.dumps(_Trap(), protocol=2),
    }[damage]
    path.write_bytes(content)
    with pytest.raises(
        InputError,
        match=r"checkpoint\.pt: damaged checkpoint \(\w+\); delete it to train this fold again",
    ):
        trainer(settings, inputs).fit(tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_trains_and_validates(
    world: World, both_blocks: FoldData, tmp_path: Path, recipe: str
) -> None:
    inputs = both_blocks
    settings = method(world.files, recipe, max_epochs=1)
    alone = settings.training.model_copy(update={"members": 1})
    settings = settings.model_copy(update={"training": alone})
    setup = experiment(world.files, tmp_path)
    fitted = fit_ensemble(setup, settings, inputs, 0, tmp_path, teachers=tmp_path / "teachers")
    (record,) = curves(tmp_path)
    terms = {
        "alignment": settings.objective.alignment,
        "orthogonality": settings.objective.orthogonality,
        "similarity": settings.objective.similarity,
        "collaboration": settings.objective.collaboration,
        **settings.objective.from_genes,
    }
    names = settings.network.networks
    # Finished teachers learn nothing any more.
    learning = ("student",) if settings.taught_offline else names
    expected = {f"ce_{name}" for name in learning} | {t for t, weight in terms.items() if weight}
    expected |= {
        f"{name}_{teacher}"
        for name in settings.objective.distillation
        for teacher in settings.objective.teachers
    }
    own = {name for name in record["losses"] if name.startswith("auxiliary_")}
    assert set(record["losses"]) - own == expected | {"total"}
    assert math.isfinite(record["losses"]["total"])
    assert set(fitted.thresholds) == set(names)
    answers = fitted.answer(inputs.fold.test)
    assert set(answers) == set(names)
    for name, answer in answers.items():
        assert not np.isnan(answer).all(), name


def test_bfloat16_stays_near_float32(world: World, inputs: FoldData, tmp_path: Path) -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        run = trainer(method(world.files, precision=precision), inputs)
        run.fit(tmp_path / precision)
        assert all(value.dtype is torch.float32 for value in weights(run).values())
        found[precision] = (
            [
                (record["losses"]["total"], record["validation"]["loss"])
                for record in curves(tmp_path / precision)
            ],
            probabilities(run.networks, prepared_patients(inputs), list(inputs.fold.test), CPU),
        )
    losses, answers = zip(*found.values(), strict=True)
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.03)
    for name in answers[0]:
        np.testing.assert_allclose(answers[1][name], answers[0][name], atol=0.03)


class _Recorder(PreparedPatients):
    """Keeps the batches that are asked for."""

    def __init__(self, prepared: PreparedPatients) -> None:
        self.__dict__ |= prepared.__dict__
        self.training: list[Batch] = []
        self.validation: list[Batch] = []

    def batch(self, patients: Any, **settings: Any) -> Batch:
        made = super().batch(patients, **settings)
        (self.validation if torch.is_inference_mode_enabled() else self.training).append(made)
        return made


def longest_bag(batches: list[Batch]) -> int:
    """Patches of the longest bag of some batches."""
    return max(size for batch in batches if batch.bags is not None for size in batch.bags.sizes)


def test_an_epoch_can_be_judged_by_the_same_few_patches(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    settings = method(world.files, validation_patches=4, max_epochs=2)
    recorder = _Recorder(prepared_patients(inputs))
    run = Trainer(
        build_networks(settings, 6, {"mrna": 16}, 2, 0),
        settings,
        recorder,
        training=list(inputs.fold.train),
        validation=inputs.fold.validation,
        seed=0,
        device=CPU,
    )
    run.fit(tmp_path)
    assert longest_bag(recorder.training) > longest_bag(recorder.validation) == 4
    half = len(recorder.validation) // 2
    for first, second in zip(recorder.validation[:half], recorder.validation[half:], strict=True):
        assert first.bags is not None
        assert second.bags is not None
        assert all(map(torch.equal, first.bags.parts, second.bags.parts))
    # What is asked for afterwards is answered from whole bags.
    recorder.validation.clear()
    probabilities(run.networks, recorder, list(inputs.fold.test), CPU)
    assert longest_bag(recorder.validation) > 4


@pytest.mark.parametrize("patches", [None, 4])
def test_patches_are_sampled_in_training_alone(
    world: World, inputs: FoldData, tmp_path: Path, patches: int | None
) -> None:
    settings = method(world.files, patches=patches, max_epochs=2)
    recorder = _Recorder(prepared_patients(inputs))
    train = list(inputs.fold.train)
    Trainer(
        build_networks(settings, 6, {"mrna": 16}, 2, 0),
        settings,
        recorder,
        training=train,
        validation=inputs.fold.validation,
        seed=0,
        device=CPU,
    ).fit(tmp_path)
    assert longest_bag(recorder.validation) > 4
    assert longest_bag(recorder.training) == 4 if patches else longest_bag(recorder.training) > 4
    # Two epochs, each of all training patients; the last batch is smaller and kept.
    sizes = [len(batch.labels) for batch in recorder.training]
    assert sum(sizes) == 2 * len(train)
    assert sizes[: len(sizes) // 2] == [8] * (len(train) // 8) + [len(train) % 8] * (
        len(train) % 8 > 0
    )


def test_balanced_sampling_evens_out_the_classes(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    shares: defaultdict[bool, list[float]] = defaultdict(list)
    labels = inputs.labels
    # Every positive patient, and three negative ones.
    positive = [p for p in inputs.fold.train if labels[p] == 1]
    few = [p for p in inputs.fold.train if labels[p] == 0][:3]
    for balanced in (True, False):
        settings = method(world.files, balanced=balanced, max_epochs=20, patience=20)
        recorder = _Recorder(prepared_patients(inputs))
        Trainer(
            build_networks(settings, 6, {"mrna": 16}, 2, 0),
            settings,
            recorder,
            training=positive + few,
            validation=inputs.fold.validation,
            seed=0,
            device=CPU,
        ).fit(tmp_path / str(balanced))
        drawn = torch.cat([batch.labels for batch in recorder.training]).double()
        shares[balanced].append(1 - float(drawn.mean()))
    assert shares[True] == [pytest.approx(0.5, abs=0.1)]
    assert shares[False] == [pytest.approx(3 / (3 + len(positive)))]


def test_a_figure_that_cannot_be_had_is_refused(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    prepared = prepared_patients(inputs)
    labels = inputs.labels
    alike = [p for p in inputs.fold.validation if labels[p] == 1]
    slides_alone = [p for p in inputs.data.patients if not prepared.has_genes(p)]
    for monitor, validation in (("student_auc", alike), ("genomic_loss", slides_alone)):
        settings = method(world.files, monitor=monitor)
        run = Trainer(
            build_networks(settings, 6, {"mrna": 16}, 2, 0),
            settings,
            prepared,
            training=inputs.fold.train,
            validation=validation,
            seed=0,
            device=CPU,
        )
        with pytest.raises(InputError, match=f"the validation patients give no {monitor}: "):
            run.fit(tmp_path / monitor)


@pytest.mark.parametrize("batch_size", [8, 64])  # in the epoch, and after its only step
def test_divergence_is_told(
    world: World, inputs: FoldData, tmp_path: Path, batch_size: int
) -> None:
    run = trainer(method(world.files, learning_rate=1e30, batch_size=batch_size), inputs)
    with pytest.raises(InputError, match=r"epoch 0: the loss is no longer a number.*learning_rate"):
        run.fit(tmp_path)
