"""The trainer: one forward and one backward for a batch of patients, all networks together."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from histodistill.computing.freed_memory import keep_freed_memory
from histodistill.errors import InputError
from histodistill.experiment.methods import MethodSettings
from histodistill.features import prefetched
from histodistill.files import write_text
from histodistill.inference import Probabilities, probabilities
from histodistill.model import Batch, Networks
from histodistill.model.heads import ONE_TARGET, Heads
from histodistill.model.losses.objectives.total import Outputs
from histodistill.model.training_terms import TrainingTerms, total
from histodistill.preparation import PreparedPatients
from histodistill.training.loop.checkpoint import load_state, save_state
from histodistill.training.loop.clock import clock_of
from histodistill.training.loop.epoch import Epoch, OnEpoch
from histodistill.training.loop.frozen_teachers import FrozenTeachers
from histodistill.training.loop.optimiser import AdamW
from histodistill.training.loop.precision import precision_of
from histodistill.training.loop.sampling import batches, epoch_order, sampling_weights
from histodistill.training.loop.seeds import derived_seed
from histodistill.training.loop.validation import EarlyStopping, Figures, validation_figures

CHECKPOINT = "checkpoint.pt"
CURVES = "curves.jsonl"
# A checkpoint of the paper's networks is 90 MB, which takes as long to write as an epoch of a
# few hundred sampled bags takes to run. An interruption costs this much time at most.
CHECKPOINT_SECONDS = 20.0
# The curves are for reading: writing them after each of a small training's epochs took as long as
# the epochs.
CURVES_SECONDS = 1.0
CPU = torch.device("cpu")


class Trainer:
    """Trains networks on some patients and keeps the best epoch by the validation patients.

    Args:
        networks: Networks with initial weights.
        method: Objective and optimisation.
        prepared: Bags, genes and labels.
        training: Training patients.
        validation: Validation patients, all with a label.
        seed: Seed of sampling and dropout.
        device: Where to compute.
        teachers: Finished teachers of these networks, which stay as they are.
        heads: Which logits answer which target.

    Attributes:
        networks: The networks; after ``fit`` as they were in the best epoch.
        method: Objective and optimisation.
        heads: Which logits answer which target.
        device: Where it computes.
        dtype: Type that patches are read in, and products are taken in.
        optimizer: Updates the networks and the terms of the loss that have weights.
        teachers: Finished teachers.
        seconds: Time spent in epochs, over all interruptions, by the device's clock.
    """

    def __init__(
        self,
        networks: Networks,
        method: MethodSettings,
        prepared: PreparedPatients,
        *,
        training: Sequence[str],
        validation: Sequence[str],
        seed: int,
        device: torch.device,
        teachers: FrozenTeachers | None = None,
        heads: Heads = ONE_TARGET,
    ) -> None:
        self.networks = networks.to(device)
        self.heads = heads
        self.seconds = 0.0
        self.teachers = FrozenTeachers() if teachers is None else teachers
        self.method = method
        self._settings = method.training
        self._prepared = prepared
        self._training = list(training)
        self._validation = list(validation)
        self._seed = seed
        self.device = device
        narrow = precision_of(method, device) == "bfloat16"
        self.dtype = torch.bfloat16 if narrow else torch.float32
        torch.manual_seed(derived_seed(seed, "weights", "terms"))
        genes = prepared.genes(self._training, CPU) if method.objective.reads_genes else None
        self._terms = TrainingTerms(method.objective, networks, genes, heads).to(device)
        self.optimizer = AdamW(
            [*self.networks.parameters(), *self._terms.parameters()],
            lr=self._settings.learning_rate,
            weight_decay=self._settings.weight_decay,
            fused=True,
        )
        self._stopping = EarlyStopping(self._settings.monitor, self._settings.patience)
        self._best = self._weights()
        self._curves: list[dict[str, object]] = []
        self._saved_at = self._told_at = -math.inf
        self._clock = clock_of(device)
        self._epoch = 0
        self._folder = Path()
        self._on_epoch: OnEpoch | None = None

    def fit(self, folder: Path, on_epoch: OnEpoch | None = None) -> None:
        """Train, or go on where an interrupted training stopped.

        Afterwards the networks hold the weights of the best epoch, all of the same one.

        Args:
            folder: Gets ``curves.jsonl`` and, until the training is finished, a checkpoint.
            on_epoch: Called after every epoch.
        """
        self.begin(folder, on_epoch)
        while not self.finished:
            started = self._clock()
            losses = self._train_epoch()
            self.end_epoch(losses, self._clock() - started)
        self.restore_best()

    def begin(self, folder: Path, on_epoch: OnEpoch | None = None) -> None:
        """Make ready for the first epoch, or for the one after an interruption."""
        keep_freed_memory()
        self._folder, self._on_epoch = folder, on_epoch
        self._epoch = self._resume(folder)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left, or patience is spent."""
        return self._epoch >= self._settings.max_epochs or self._stopping.stops

    @property
    def learning_rate(self) -> float:
        """In the present epoch."""
        return cosine(self._settings.learning_rate, self._epoch, self._settings.cosine_epochs)

    @property
    def epoch_seed(self) -> int:
        """Seed of all that is random in the present epoch."""
        return derived_seed(self._seed, "epoch", self._epoch)

    @cached_property
    def _drawn(self) -> Tensor | None:
        """How often each training patient is drawn; None where everybody comes once."""
        if not self._settings.balanced:
            return None
        return sampling_weights(self._prepared.labels(self._training))

    def epoch_batches(self) -> tuple[int, Iterator[tuple[list[str], Batch]]]:
        """How many batches the present epoch has; the patients of each, and the batch.

        They are made one by one, and read ahead where the bags lie on disk.
        """
        generator = torch.Generator().manual_seed(self.epoch_seed)  # order, patches
        order = epoch_order(len(self._training), self._drawn, generator)
        parts = batches(order, self._settings.batch_size)
        made = self._made(parts, generator)
        return len(parts), made if self._prepared.in_memory else prefetched(made)

    def end_epoch(self, losses: dict[str, float], seconds: float) -> None:
        """Validate, keep the weights if they are the best so far, and write all down.

        Args:
            losses: Mean of each term of the loss over the batches.
            seconds: That training took.
        """
        if not all(map(math.isfinite, losses.values())):
            raise self._diverged()
        started = self._clock()
        figures = self._validate()
        best = self._stopping.update(self._epoch, figures)
        if best:
            self._best = self._weights()
        self.seconds += seconds + self._clock() - started
        done = Epoch(self._epoch, self.learning_rate, losses, figures, best)
        self._curves.append(done.record())
        self._epoch += 1
        self._write()
        if self._on_epoch is not None:
            self._on_epoch(done)

    def restore_best(self) -> None:
        """Give the networks the weights of the best epoch, all of the same one."""
        self.networks.load_state_dict(self._best)

    @property
    def best_figure(self) -> float:
        """The monitored figure of the best epoch, a loss with its sign changed: more is better."""
        return self._stopping.best

    def _train_epoch(self) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        torch.manual_seed(self.epoch_seed)  # dropout
        self.networks.train()
        sums: defaultdict[str, float] = defaultdict(float)
        n_batches, made = self.epoch_batches()
        for patients, batch in made:
            taught = self.teachers.outputs(patients)
            for name, value in self._step(batch, taught).items():
                sums[name] += value / n_batches
        return dict(sums)

    def _made(
        self, parts: Sequence[Tensor], generator: torch.Generator
    ) -> Iterator[tuple[list[str], Batch]]:
        for part in parts:
            patients = [self._training[row] for row in part.tolist()]
            yield (
                patients,
                self._prepared.batch(
                    patients,
                    device=self.device,
                    dtype=self.dtype,
                    patches=self._settings.patches,
                    generator=generator,
                ),
            )

    def precision(self) -> AbstractContextManager[object]:
        """Where the networks compute in the method's precision."""
        reduced = self.dtype is torch.bfloat16
        return torch.autocast(self.device.type, torch.bfloat16, enabled=reduced)

    def _step(self, batch: Batch, taught: Outputs) -> dict[str, float]:
        """One forward, one backward, one update; ``taught`` holds what finished teachers say."""
        with self.precision():
            outputs = self.networks(batch)
        # Covariances and inner products lose too much in bfloat16.
        precise = {name: output.float() for name, output in outputs.items()}
        every: dict[str, Tensor] = self._terms({**precise, **taught}, batch)
        # What finished teachers alone decide, such as their cross-entropy, teaches nothing.
        terms = {name: term for name, term in every.items() if term.requires_grad}
        if not terms:  # nobody of this batch has a label, and no other term applies
            return {}
        loss = total(terms)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return _as_floats(terms | {"total": loss})

    def _validate(self) -> Figures:
        drawn = self._settings.validation_patches
        # The same patches in every epoch: a figure moves for the weights alone.
        stream = torch.Generator().manual_seed(derived_seed(self._seed, "validation"))
        answers = probabilities(
            self.networks,
            self._prepared,
            self._validation,
            self.device,
            dtype=self.dtype,
            patches=drawn,
            generator=None if drawn is None else stream,
        )
        if self._lacks_numbers(answers):
            raise self._diverged()
        labels = self._prepared.labels(self._validation).numpy()
        figures = validation_figures(answers, labels, self.heads)
        if np.isnan(figures[self._settings.monitor]):
            raise InputError(
                f"the validation patients give no {self._settings.monitor}: a class is missing "
                "among those the network can answer; monitor a loss, or divide otherwise"
            )
        return figures

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the weights as they are now."""
        return {name: value.clone() for name, value in self.networks.state_dict().items()}

    def _lacks_numbers(self, answers: Probabilities) -> bool:
        """Whether a network gives NaN for a validation patient whom it can answer."""
        for name, answer in answers.items():
            able = [self._prepared.has_inputs(patient, name) for patient in self._validation]
            if np.isnan(answer[able]).any():
                return True
        return False

    def _write(self) -> None:
        """The curves and the state, each where it is long ago; the curves at the end as well."""
        now = time.monotonic()
        saves = now - self._saved_at >= CHECKPOINT_SECONDS
        if saves or self.finished or now - self._told_at >= CURVES_SECONDS:
            self._write_curves()
        if saves:
            self._save()
            self._saved_at = time.monotonic()

    def _write_curves(self) -> None:
        lines = (json.dumps(epoch) + "\n" for epoch in self._curves)
        write_text(self._folder / CURVES, "".join(lines))
        self._told_at = time.monotonic()

    def _diverged(self) -> InputError:
        """What to say of an epoch without numbers; the curves that led there are written."""
        if self._curves:
            self._write_curves()
        return InputError(
            f"epoch {self._epoch}: the loss is no longer a number; give a lower `learning_rate`"
        )

    def _save(self) -> None:
        save_state(
            self._folder / CHECKPOINT,
            {
                "epoch": self._epoch - 1,
                "seconds": self.seconds,
                # Copies: a weight of a stack would be written with those of all its models.
                "networks": self._weights(),
                "terms": self._terms.state_dict(),
                "best": self._best,
                "optimizer": self.optimizer.state_dict(),
                "stopping": self._stopping.state(),
                "curves": self._curves,
            },
        )

    def _resume(self, folder: Path) -> int:
        """Load the checkpoint, where there is one; the epoch to go on with."""
        state = load_state(folder / CHECKPOINT, self.device)
        if state is None:
            return 0
        self.networks.load_state_dict(state["networks"])
        self._terms.load_state_dict(state["terms"])
        self._best = state["best"]
        self.optimizer.load_state_dict(state["optimizer"])
        self._stopping = EarlyStopping(**state["stopping"])
        self._curves = state["curves"]
        self.seconds = state["seconds"]
        return int(state["epoch"]) + 1


def cosine(learning_rate: float, epoch: int, half_period: int) -> float:
    """Cosine schedule without a floor: half a period from the full rate to 0, and back.

    Source: Loshchilov & Hutter, "SGDR", ICLR 2017, eq. 5, without restarts.
    """
    return learning_rate * (1 + math.cos(math.pi * epoch / half_period)) / 2


def _as_floats(terms: dict[str, Tensor]) -> dict[str, float]:
    """Scalars on the CPU, with one transfer for all of them."""
    values = torch.stack([term.detach() for term in terms.values()]).tolist()
    return dict(zip(terms, values, strict=True))
