"""Teachers that are trained first, each alone: once for all the methods that they teach."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors.torch import save_file

from histodistill.claims import claimed
from histodistill.computing.device import resolve_device
from histodistill.experiment.methods import MethodSettings
from histodistill.files import whole_file, write_json, write_text
from histodistill.gate.records import Seconds, damaged_record, read_record
from histodistill.gate.tensors import read_safetensors
from histodistill.model import NetworkName, Networks, NetworkSettings, ObjectiveSettings
from histodistill.model.heads import n_classes_of
from histodistill.preparation import PreparedPatients
from histodistill.training.fit.joint_training import Trained, train_stage
from histodistill.training.fit.trainings import Steps, Stepwise
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.fold.lesson import lesson_of
from histodistill.training.fold.reading import prepare, readable
from histodistill.training.folders import COST, fold_name
from histodistill.training.loop.epoch import OnEpoch
from histodistill.training.loop.frozen_teachers import Answers, FrozenTeachers, teacher_answers
from histodistill.training.loop.shared_pass import pays, stackable
from histodistill.training.loop.trainer import CHECKPOINT

WEIGHTS = "teacher.safetensors"
SETTINGS = "settings.json"

_LABELS_ONLY = ObjectiveSettings(orthogonality=0, alignment=0, similarity=0, collaboration=0)


@dataclass(frozen=True)
class _Teacher:
    """A finished teacher, and the seconds that its training took."""

    networks: Networks
    seconds: float


@Stepwise
def train_offline(
    method: MethodSettings,
    inputs: FoldData,
    seed: int,
    folder: Path,
    *,
    store: Path,
    on_epoch: OnEpoch | None = None,
) -> Steps[Trained]:
    """Train the teachers, each alone, and then the student, with the teachers frozen.

    Args:
        method: A method whose student is taught offline.
        inputs: The fold's data.
        seed: Seed.
        folder: Gets the student's training curves and checkpoint.
        store: Folder of finished teachers; those that are there are not trained again.
        on_epoch: Called after every epoch of the student.

    Returns:
        All networks, with the student's best figure.
    """
    alone = _student_of(method)
    prepared = prepare(alone, inputs)
    device = resolve_device(method.training.device)
    taught = readable(prepared, [*inputs.fold.train, *inputs.extras])
    teachers: list[_Teacher] = []
    answers: dict[NetworkName, Answers] = {}
    for name in method.network.networks:
        if name != "student" and not _composed(method.network, name):
            settings = teacher_of(method, name)
            read = prepare(settings, inputs)
            teachers.append((yield from _finished(settings, read, inputs, seed, store)))
            answers[name] = teacher_answers(teachers[-1].networks, read, taught, device)
    student = yield from train_stage.steps(
        alone,
        prepared,
        inputs,
        seed,
        folder,
        teachers=FrozenTeachers(answers),
        on_epoch=on_epoch,
    )
    parts = [student.networks, *(teacher.networks for teacher in teachers)]
    seconds = student.seconds + sum(teacher.seconds for teacher in teachers)
    return Trained(_joined(method.network, parts).to(device), seconds, student.best_figure)


def shares_a_pass(method: MethodSettings) -> bool:
    """Whether fits of a method, or their students or teachers, are faster in one pass."""
    stages = [method]
    if method.taught_offline:
        trained = [n for n in method.network.networks if not _composed(method.network, n)]
        # A student that answers of finished teachers reach trains alone.
        reached = method.objective.between_networks and len(trained) > 1
        stages = [
            _student_of(method) if name == "student" else teacher_of(method, name)
            for name in trained
            if name != "student" or not reached
        ]
    device = resolve_device(method.training.device)
    return any(stackable(stage) and pays(stage, device) for stage in stages)


def teacher_of(method: MethodSettings, name: NetworkName) -> MethodSettings:
    """How one teacher of a method is trained.

    Whatever says nothing of this teacher is at its default, so that methods that differ in
    their students alone have equal teachers.
    """
    others = {"student", "multimodal", "genomic"} - {name}
    shared = method.network.model_dump(exclude=others | {"networks"})
    if name == "genomic":
        of_slides = (
            "fusion",
            "fusion_width",
            "programmes",
            "prototypes",
            "proportions",
            "shrinkage",
        )
        shared = {k: value for k, value in shared.items() if k not in of_slides}
    training = (method.teacher_training or method.training).model_dump(
        exclude={"offline", "unlabelled", "threshold", "monitor"}
    )
    return MethodSettings.model_validate(
        {
            "recipe": "mkd",
            "network": shared | {"networks": (name,)},
            "objective": _LABELS_ONLY,
            "training": training | {"monitor": f"{name}_loss"},
            "joint": method.joint,
        }
    )


def _student_of(method: MethodSettings) -> MethodSettings:
    """The method with its student alone; the terms between student and teachers stay."""
    network = method.network.model_copy(update={"networks": ("student",)})
    return method.model_copy(update={"network": network})


def _finished(
    settings: MethodSettings,
    prepared: PreparedPatients,
    inputs: FoldData,
    seed: int,
    store: Path,
) -> Steps[_Teacher]:
    """The teacher from the store; trained and put there, by one process, where it is lacking."""
    (name,) = settings.network.networks
    described = settings.model_dump_json(indent=2, exclude=_no_matter(settings))
    key = hashlib.sha256(described.encode()).hexdigest()[:12]
    kind = store / inputs.target / f"{name}-{key}"
    folder = kind / f"seed-{seed}" / fold_name(inputs.fold)
    while not (folder / WEIGHTS).exists():
        # Whoever waited here in a lock could hold what the other one waits for.
        with claimed(folder) as mine:
            if mine and not (folder / WEIGHTS).exists():
                write_text(kind / SETTINGS, described + "\n")
                teacher = yield from train_stage.steps(settings, prepared, inputs, seed, folder)
                _save(teacher, folder)
                (folder / CHECKPOINT).unlink(missing_ok=True)
        if not mine:
            yield ()
    heads = n_classes_of(lesson_of(settings, inputs).heads)
    networks = Networks(prepared.feature_width, prepared.blocks, heads, settings.network)
    remedy = f"remove {folder} to train this teacher again"
    weights = read_safetensors(folder / WEIGHTS)
    try:
        networks.load_state_dict(weights)
    except RuntimeError as error:
        raise damaged_record(folder / WEIGHTS, "weights of another network", remedy) from error
    return _Teacher(networks.eval(), read_record(folder / COST, _Cost, remedy).training_seconds)


def _no_matter(settings: MethodSettings) -> dict[str, Any]:
    """Settings that make no other teacher; targets that are learnt alone are left out, as ever."""
    device = {"training": {"device"}}
    return device if settings.joint else device | {"joint": True}


@dataclass(frozen=True)
class _Cost:
    training_seconds: Seconds


def _save(teacher: Trained, folder: Path) -> None:
    """Write a teacher; its weights come last, and tell that it is finished."""
    write_json(folder / COST, {"training_seconds": teacher.seconds})
    weights = {k: v.cpu().contiguous() for k, v in teacher.networks.state_dict().items()}
    with whole_file(folder / WEIGHTS) as temporary:
        save_file(weights, temporary)


def _joined(settings: NetworkSettings, parts: list[Networks]) -> Networks:
    """The networks that were trained alone, as one."""
    blocks = {name: size for part in parts for name, size in part.blocks.items()}
    widths = [part.feature_width for part in parts if part.feature_width is not None]
    together = Networks(widths[0] if widths else None, blocks, parts[0].heads, settings)
    for part in parts:
        (name,) = part.settings.networks
        together.get_submodule(name).load_state_dict(part.get_submodule(name).state_dict())
    if "multimodal" in settings.networks and _composed(settings, "multimodal"):
        experts = cast("Any", together.multimodal)
        experts.take(together.get_submodule("student"), together.get_submodule("genomic"))
    return together.eval()


def _composed(settings: NetworkSettings, name: NetworkName) -> bool:
    """Whether a teacher is made of the other networks when they are finished."""
    return settings.declared(name).composed
