"""Teachers first, then the student: frozen, shared, resumable."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from histodistill.claims import claimed, held
from histodistill.experiment.methods import MethodSettings
from histodistill.model import Batch, Networks
from histodistill.training.fit.ensemble import fit_ensemble
from histodistill.training.fit.fitted_model import FittedModel
from histodistill.training.fit.joint_training import train_stage
from histodistill.training.fit.teachers import WEIGHTS, teacher_of, train_offline
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.fold.reading import prepare, readable
from histodistill.training.loop import trainer
from histodistill.training.loop.frozen_teachers import FrozenTeachers, teacher_answers
from histodistill.training.loop.trainer import CHECKPOINT, Trainer
from tests.training.cohorts import CPU, NETWORK, World, experiment, fold_data, method

EVERYTHING = ("orthogonality", "alignment", "similarity", "collaboration")


@pytest.fixture(scope="module")
def inputs(world: World) -> FoldData:
    return fold_data(world)


def fit(world: World, inputs: FoldData, settings: MethodSettings, folder: Path) -> FittedModel:
    setup, teachers = experiment(world.files, folder), folder / "teachers"
    fitted = fit_ensemble(setup, settings, inputs, 0, folder / "fit", teachers=teachers)
    (model,) = fitted.models
    return model


def weights(fitted: FittedModel, network: str) -> dict[str, Tensor]:
    return fitted.member.networks.get_submodule(network).state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())


def test_the_teachers_are_those_that_were_trained_alone(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    settings = method(world.files, "mkd-offline")
    fitted = fit(world, inputs, settings, tmp_path)
    assert fitted.member.networks.settings == settings.network
    for name in ("multimodal", "genomic"):
        alone = method(world.files, name, monitor=f"{name}_loss")
        trained = train_stage(alone, prepare(alone, inputs), inputs, 0, tmp_path / name)
        assert same(weights(fitted, name), trained.networks.get_submodule(name).state_dict())
    answers = fitted.answer(inputs.fold.test)
    assert set(answers) == {"student", "multimodal", "genomic"}
    assert set(fitted.member.thresholds) == set(answers)


def test_the_student_learns_from_constants_alone(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[tuple[Networks, dict[str, float]]] = []
    original = Trainer._step

    def step(self: Trainer, batch: Batch, outputs: object) -> dict[str, float]:
        terms = original(self, batch, outputs)  # type: ignore[arg-type]
        if self.networks.settings.networks == ("student",):
            assert batch.genes is None
            assert set(outputs) == {"multimodal", "genomic"}  # type: ignore[call-overload]
            for output in outputs.values():  # type: ignore[attr-defined]
                assert not output.features.requires_grad
                assert not output.logits.requires_grad
            taught.append((self.networks, terms))
        return terms

    monkeypatch.setattr(Trainer, "_step", step)
    fit(world, inputs, method(world.files, "mkd-offline", max_epochs=1), tmp_path)
    assert taught
    for networks, terms in taught:
        assert networks.multimodal is networks.genomic is None
        assert set(terms) == {"ce_student", *EVERYTHING, "total"}


def test_a_teacher_is_asked_once_a_patient(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are those of eval mode and whole bags, found by patient, repeats included."""
    settings = teacher_of(method(world.files, "mkd-offline"), "multimodal")
    prepared = prepare(settings, inputs)
    teacher = train_stage(settings, prepared, inputs, 0, tmp_path).networks
    patients = readable(prepared, inputs.fold.train)
    frozen = FrozenTeachers({"multimodal": teacher_answers(teacher, prepared, patients, CPU)})
    chosen = [*patients[5:9], patients[2], patients[5], "stranger"]
    able = [
        row
        for row, patient in enumerate(chosen[:-1])
        if prepared.has_slides(patient) and prepared.has_genes(patient)
    ]
    (output,) = frozen.outputs(chosen).values()
    assert output.rows.tolist() == able
    with torch.no_grad():
        expected = teacher(prepared.batch(chosen[:-1], device=CPU))["multimodal"]
    torch.testing.assert_close(output.features, expected.features)
    torch.testing.assert_close(output.logits, expected.logits)
    assert FrozenTeachers().outputs(chosen) == {}
    assert frozen.outputs(["stranger"]) == {}


def test_a_better_teacher_makes_another_student(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    students = [
        weights(fit(world, inputs, method(world.files, recipe), tmp_path / recipe), "student")
        for recipe in ("kd-offline", "kd", "mkd-offline")
    ]
    assert not same(students[0], students[1])
    assert not same(students[0], students[2])


def test_methods_share_the_teachers_that_are_alike(
    world: World, inputs: FoldData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[tuple[str, ...]] = []
    original = Trainer.fit

    def counted(self: Trainer, *args: object) -> None:
        stages.append(self.networks.settings.networks)
        original(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "fit", counted)
    first = fit(world, inputs, method(world.files, "mkd-offline", max_epochs=1), tmp_path)
    assert stages == [("multimodal",), ("genomic",), ("student",)]
    stages.clear()
    (tmp_path / "fit" / CHECKPOINT).unlink()
    settings = method(world.files, "kd-offline", max_epochs=1)
    changes = {"student": "abmil", "dropout": settings.network.dropout}
    settings = settings.model_copy(
        update={
            "network": settings.network.model_copy(update=changes),
            "objective": settings.objective.model_copy(update={"cross_entropy": 0}),
        }
    ).tuned(0.01, 0.1)
    second = fit(world, inputs, settings, tmp_path)
    assert stages == [("student",)]
    for name in ("multimodal", "genomic"):
        assert same(weights(first, name), weights(second, name))
    assert second.seconds > 0
    # Another architecture of one teacher leaves the other as it is.
    stages.clear()
    (tmp_path / "fit" / CHECKPOINT).unlink()
    network = settings.network.model_copy(update={"fusion": "concat"})
    fit(world, inputs, settings.model_copy(update={"network": network}), tmp_path)
    assert stages == [("multimodal",), ("student",)]
    kinds = {path.name.partition("-")[0] for path in (tmp_path / "teachers/ER").iterdir()}
    assert kinds == {"multimodal", "genomic"}
    assert len(list((tmp_path / "teachers").rglob(WEIGHTS))) == 3
    assert not list((tmp_path / "teachers").rglob(CHECKPOINT))


class _PowerCutError(BaseException):
    """Stands for Ctrl-C."""


@pytest.mark.parametrize("saved", [1, 4, 6, 7, 11])
def test_an_interruption_in_any_stage_changes_nothing(
    world: World,
    inputs: FoldData,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    saved: int,
) -> None:
    """Four epochs of either teacher, then four of the student."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    settings = method(world.files, "mkd-offline", patience=4)
    whole = fit(world, inputs, settings, tmp_path / "whole")
    epochs: list[int] = []
    original = trainer.Trainer._train_epoch

    def run(self: Trainer) -> dict[str, float]:
        if len(epochs) == saved:
            epochs.append(-1)
            raise _PowerCutError
        epochs.append(1)
        return original(self)

    monkeypatch.setattr(trainer.Trainer, "_train_epoch", run)
    with pytest.raises(_PowerCutError):
        fit(world, inputs, settings, tmp_path / "cut")
    resumed = fit(world, inputs, settings, tmp_path / "cut")
    assert len(epochs) == 12 + 1
    for name in ("student", "multimodal", "genomic"):
        assert same(weights(resumed, name), weights(whole, name))
    for path in (tmp_path / "whole/teachers").rglob(WEIGHTS):
        other = tmp_path / "cut" / path.relative_to(tmp_path / "whole")
        assert same(load_file(path), load_file(other))


def test_patients_without_slides_teach_nobody_but_teachers(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    settings = method(world.files, "mkd-offline", max_epochs=1, unlabelled=True)
    assert settings.network.model_dump().items() >= NETWORK.items()
    fitted = fit(world, inputs, settings, tmp_path)
    assert set(fitted.answer(inputs.fold.validation)) == {"student", "multimodal", "genomic"}


def test_a_teacher_that_another_process_trains_is_waited_for(
    world: World, inputs: FoldData, tmp_path: Path
) -> None:
    settings = method(world.files, "kd-offline", max_epochs=1)
    whole = train_offline(settings, inputs, 0, tmp_path / "whole", store=tmp_path / "store")
    weights = next((tmp_path / "store").rglob(f"*/genomic-*/**/{WEIGHTS}"))
    aside = weights.rename(tmp_path / "aside")
    with claimed(weights.parent) as mine:
        assert mine
        later = train_offline.steps(
            settings, inputs, 0, tmp_path / "later", store=tmp_path / "store"
        )
        assert [next(later), next(later)] == [(), ()]  # waits, and holds nobody up
        aside.rename(weights)
    (training,) = next(later)  # the student
    training.run()
    with pytest.raises(StopIteration) as ended:
        next(later)
    assert same(ended.value.value.networks.state_dict(), whole.networks.state_dict())


def test_who_needs_the_same_search_waits_for_it(tmp_path: Path) -> None:
    entered, order = Event(), []

    def late() -> None:
        entered.set()
        with held(tmp_path / "teacher"):
            order.append("late")

    with held(tmp_path / "teacher"):
        waiting = Thread(target=late)
        waiting.start()
        entered.wait()
        waiting.join(timeout=0.2)
        assert waiting.is_alive()
        order.append("early")
    waiting.join()
    assert order == ["early", "late"]
