"""Trainings of one architecture in one pass, each with its own patients, stream and stopping."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from histodistill.experiment.methods import MethodSettings
from histodistill.features import BagStore
from histodistill.model import Batch, NetworkName
from histodistill.model.stacking.batch import StackedBatch
from histodistill.model.stacking.networks import StackedNetworks, Weights, can_be_stacked
from histodistill.model.training_terms import total
from histodistill.training.loop.clock import clock_of
from histodistill.training.loop.trainer import Trainer

R = TypeVar("R")
_Batches = Iterator[tuple[list[str], Batch]]

# Of the batches of all models of a pass, and of what each keeps of the cohort.
_MOST_BYTES = 4 * 2**30
_BYTES = 4
MOST_MODELS = 30


def stackable(method: MethodSettings) -> bool:
    """Whether trainings of a method can share a pass; whether that pays is another question.

    A batch that gives some network no loss leaves it as it is, and that must not hang on what is
    known of each patient: trainings in which patients without a label take part stay alone.
    """
    return can_be_stacked(method.network, method.objective) and not method.training.unlabelled


def pays(method: MethodSettings, device: torch.device) -> bool:
    """Whether trainings of a method are faster in one pass; docs/performance.md has figures.

    A GPU waits for the next operation most of the time. A CPU does so only with a linear student:
    the weights of any other network fill the caches, and those of several leave them.
    """
    network = method.network
    return device.type == "cuda" or (network.networks, network.student) == (("student",), "linear")


def models_in_a_pass(method: MethodSettings, bags: BagStore | None) -> int:
    """How many trainings of a method may share a pass, so that memory holds them.

    Args:
        method: The method.
        bags: Bags of the cohort; None where no slides are read.
    """
    if bags is None or not method.network.reads_slides:
        return MOST_MODELS
    sizes = [bags.n_patches(patient) for patient in bags.patients]
    mean = sum(sizes) / len(sizes)
    values = min(mean, method.training.patches or mean) * method.training.batch_size * bags.width
    if method.network.programmes is not None and bags.in_memory:
        values += sum(sizes) * method.network.programmes  # each model reads the cohort its own way
    return max(1, min(MOST_MODELS, int(_MOST_BYTES / (_BYTES * values))))


def train_together(trainers: Sequence[Trainer]) -> list[Exception | None]:
    """Run trainings that have begun to their ends; each as it would have run alone.

    Args:
        trainers: Of one architecture and method, on one device, ``Trainer.begin`` done.

    Returns:
        Of each training the problem that ended it; None where it went well.
    """
    members = [_Member(trainer) for trainer in trainers]
    alive = _still_training(members)
    while alive:
        stack = _Stack(alive)
        survivors = alive
        while len(survivors) == len(alive):
            try:
                stack.run_epoch()
            except Exception as error:  # such as a lack of memory: it concerns all of them
                for member in alive:
                    member.problem = member.problem or error
            survivors = _still_training(alive)
        stack.dissolve()
        alive = survivors
    for member in members:
        if member.problem is None:
            member.trainer.restore_best()
    return [member.problem for member in members]


@dataclass(eq=False)
class _Member:
    """A training in a stack.

    Attributes:
        trainer: The training.
        problem: What ended it, if something did.
        sums: Of each term of the loss so far in the epoch, divided by the number of batches.
    """

    trainer: Trainer
    problem: Exception | None = None
    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def attempt(self, action: Callable[[], R]) -> R | None:
        """Do something that concerns this training alone; its problems stay its own."""
        try:
            return action()
        except Exception as error:
            self.problem = error
            return None


def _still_training(members: Sequence[_Member]) -> list[_Member]:
    return [m for m in members if m.problem is None and not m.trainer.finished]


class _Stack:
    """Trainings whose weights lie in one tensor for each parameter of their architecture.

    The parameters of every trainer are views of these tensors, so that it validates, keeps and
    writes its own weights as ever.

    Args:
        members: The trainings.
    """

    def __init__(self, members: Sequence[_Member]) -> None:
        self._members = list(members)
        self._trainers = [member.trainer for member in members]
        self._device = self._trainers[0].device
        parameters = [dict(t.networks.named_parameters()) for t in self._trainers]
        self._weights: Weights = {
            name: torch.stack([own[name].detach() for own in parameters]) for name in parameters[0]
        }
        for name, stacked in self._weights.items():
            for own, view in zip(parameters, stacked, strict=True):
                own[name].data = view
            stacked.requires_grad_()

    def dissolve(self) -> None:
        """Give every training weights of its own again."""
        for trainer in self._trainers:
            for parameter in trainer.networks.parameters():
                parameter.data = parameter.data.clone()

    def run_epoch(self) -> None:
        """One epoch of all trainings."""
        clock = clock_of(self._device)
        started = clock()
        epochs = [member.attempt(member.trainer.epoch_batches) for member in self._members]
        generators = [
            torch.Generator(self._device).manual_seed(trainer.epoch_seed)
            for trainer in self._trainers
        ]
        for trainer, member in zip(self._trainers, self._members, strict=True):
            trainer.networks.train()
            member.sums.clear()
        streams = {row: epoch[1] for row, epoch in enumerate(epochs) if epoch is not None}
        counts = {row: epoch[0] for row, epoch in enumerate(epochs) if epoch is not None}
        for rows, batches in self._in_step(streams):
            terms = self._step(rows, batches, [generators[row] for row in rows])
            for row, values in zip(rows, terms, strict=True):
                for name, value in values.items():
                    self._members[row].sums[name] += value / counts[row]
        seconds = (clock() - started) / len(self._members)
        for member in self._members:
            if member.problem is None:
                member.attempt(partial(member.trainer.end_epoch, dict(member.sums), seconds))

    def _in_step(self, streams: Mapping[int, _Batches]) -> Iterator[tuple[list[int], list[Batch]]]:
        """The next batch of every training that has one left, and which trainings those are."""
        waiting = dict(streams)
        while waiting:
            found = {}
            for row, stream in list(waiting.items()):
                made = self._members[row].attempt(partial(next, stream, None))
                if made is None:  # its last batch was taken, or this one could not be read
                    del waiting[row]
                else:
                    found[row] = made[1]
            if found:
                yield list(found), list(found.values())

    def _step(
        self,
        rows: Sequence[int],
        batches: Sequence[Batch],
        generators: Sequence[torch.Generator],
    ) -> list[dict[str, float]]:
        """One forward, one backward, one update of some of the trainings; their terms."""
        first = self._trainers[0]
        weights = self._weights
        if len(rows) < len(self._members):  # the others have had their last batch
            weights = {n: w.detach()[list(rows)].requires_grad_() for n, w in weights.items()}
        alone = first.method.network.networks == ("multimodal",)
        batch = StackedBatch.of(batches, pairs_only=alone)
        networks = StackedNetworks(first.networks, first.method.objective, generators, first.heads)
        with first.precision():
            terms = networks.terms(weights, batch)
        if not terms:  # nobody in these batches can be answered
            return [{} for _ in rows]
        losses = total(terms)
        gradients = torch.autograd.grad(losses.sum(), list(weights.values()), allow_unused=True)
        # The fused optimiser reads memory in the order of the parameters.
        dense = [None if own is None else own.contiguous() for own in gradients]
        self._update(rows, batch, dict(zip(weights, dense, strict=True)))
        values = torch.stack([*terms.values(), losses], dim=1).tolist()
        return [dict(zip([*terms, "total"], own, strict=True)) for own in values]

    def _update(
        self, rows: Sequence[int], batch: StackedBatch, gradients: dict[str, Tensor | None]
    ) -> None:
        """An AdamW step of every network that answered somebody, at its training's own rate."""
        answered: dict[NetworkName, tuple[int, ...]] = {
            "student": batch.n_bags,
            "multimodal": batch.n_pairs,
            "genomic": batch.n_genes,
        }
        by_rate: defaultdict[float, _Update] = defaultdict(_Update)
        for place, row in enumerate(rows):
            trainer = self._trainers[row]
            update = by_rate[trainer.learning_rate]
            able = {name for name, patients in answered.items() if patients[place]}
            for name, parameter in trainer.networks.named_parameters():
                gradient = gradients[name]
                if gradient is not None and name.partition(".")[0] in able:
                    update.add(trainer.optimizer, parameter, gradient[place])
        settings = self._trainers[0].optimizer.param_groups[0]
        for rate, update in by_rate.items():
            update.run(rate, settings["weight_decay"], settings["betas"], settings["eps"])


class _Update:
    """Parameters of many trainings that take an AdamW step of one learning rate."""

    def __init__(self) -> None:
        self._lists: tuple[list[Tensor], ...] = ([], [], [], [], [])

    def add(
        self, optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter, gradient: Tensor
    ) -> None:
        """Another parameter, with its training's own moments."""
        state = optimizer.state[parameter]
        if not state:  # as torch.optim.AdamW begins
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        moments = state["exp_avg"], state["exp_avg_sq"], state["step"]
        for values, value in zip(self._lists, (parameter, gradient, *moments), strict=True):
            values.append(value)

    @torch.no_grad()
    def run(self, rate: float, decay: float, betas: tuple[float, float], eps: float) -> None:
        """Update all of them in one call."""
        parameters, gradients, means, squares, steps = self._lists
        adamw(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=betas[0],
            beta2=betas[1],
            lr=rate,
            weight_decay=decay,
            eps=eps,
            maximize=False,
        )
