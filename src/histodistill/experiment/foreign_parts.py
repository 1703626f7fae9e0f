"""Parts of other packages, tried on toy patients before anything is trained with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from histodistill.baselines.registry import BASELINES
from histodistill.cohort import Fold
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.settings import Experiment

if TYPE_CHECKING:
    from histodistill.model.rehearsal import ToyPatients

Folds = Mapping[str, Sequence[Fold]]


def require_foreign_parts(experiment: Experiment, data: ExperimentData, folds: Folds) -> None:
    """Refuse to train with parts of other packages that cannot be trained.

    Args:
        experiment: The experiment.
        data: Its inputs.
        folds: Folds of each target.

    Raises:
        InputError: A sentence for each, with the file and line.
    """
    _refuse(foreign_part_problems(experiment, data, folds))


def require_foreign_methods(
    experiment: Experiment, data: ExperimentData, folds: Folds, methods: Collection[str]
) -> None:
    """:func:`require_foreign_parts` for some methods alone, without baselines."""
    _refuse(_of_methods(experiment, data, folds, methods))


def _refuse(problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        raise InputError(*found)


def foreign_part_problems(
    experiment: Experiment, data: ExperimentData, folds: Folds
) -> Iterator[str]:
    """What keeps networks, losses and baselines of other packages from being trained.

    Args:
        experiment: The experiment.
        data: Its inputs.
        folds: Folds of each target.
    """
    yield from _of_methods(experiment, data, folds, experiment.methods)
    for name in experiment.baselines:
        if folds and BASELINES.package_of(name) is not None:
            problems = _of_baseline(experiment, data, folds, name)
            yield from dict.fromkeys(f"baselines: {problem}" for problem in problems)


def _of_methods(
    experiment: Experiment, data: ExperimentData, folds: Folds, methods: Collection[str]
) -> Iterator[str]:
    for name in methods:
        method = experiment.methods[name]
        if not method.foreign_parts:
            continue
        # PyTorch, which no other audit waits for.
        from histodistill.experiment.heads import heads_of
        from histodistill.model.rehearsal import rehearsal_problems

        toys = _toy_patients(method, data, folds)
        reduced = method.training.precision == "bfloat16"
        lessons = dict.fromkeys(heads_of(method, experiment.targets, target) for target in folds)
        problems = (
            problem
            for heads in lessons
            for problem in rehearsal_problems(
                method.network, method.objective, toys, heads, reduced=reduced
            )
        )
        yield from dict.fromkeys(f"methods.{name}: {problem}" for problem in problems)


def _toy_patients(method: MethodSettings, data: ExperimentData, folds: Folds) -> ToyPatients:
    """Patients shaped as those that a method is trained on."""
    from histodistill.model.rehearsal import ToyPatients

    wanted, bags = method.network.blocks, data.bags
    blocks = {n: t for n, t in data.genomics.items() if wanted is None or n in wanted}
    everybody = set(data.patients)
    have_all = everybody.intersection(*(table.index for table in blocks.values()))
    sizes = [bags.n_patches(patient) for patient in bags.patients] if bags is not None else []
    return ToyPatients(
        patches=(min(sizes), max(sizes)) if sizes else None,
        width=0 if bags is None else method.network.programmes or bags.width,
        blocks=tuple(blocks),
        complete=have_all == everybody and (bags is None or everybody <= data.with_slides),
        n_training=min(len(have_all.intersection(part)) for part in _training_parts(folds)),
    )


def _of_baseline(
    experiment: Experiment, data: ExperimentData, folds: Folds, name: str
) -> Iterator[str]:
    """What goes wrong where a baseline is fitted on toy patients as it will be on the cohort's."""
    from histodistill.baselines.rehearsal import rehearsal_problems

    inputs: list[tuple[list[str], Collection[str]]] = []
    if BASELINES.facts(name).reads == "slides":
        if data.bags is not None:
            inputs.append(([str(i) for i in range(data.bags.width)], data.with_slides))
    else:
        for block, table in data.genomics.items():
            excluded = set(experiment.genomics[block].selection.exclude)
            inputs.append(([g for g in table.columns if g not in excluded], set(table.index)))
    for names, able in inputs:
        n_training = min(len(set(able).intersection(part)) for part in _training_parts(folds))
        for n_classes in {len(experiment.targets[target].classes) for target in folds}:
            yield from rehearsal_problems(name, names, n_training, n_classes)


def _training_parts(folds: Folds) -> list[tuple[str, ...]]:
    return [fold.train for own in folds.values() for fold in own]
