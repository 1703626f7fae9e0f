"""Networks and losses of other packages, run once before hours of work depend on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from histodistill.model.batch import Bags, Batch, Genes, Output
from histodistill.model.heads import ONE_TARGET, Heads, n_classes_of
from histodistill.model.losses.objectives.total import Outputs
from histodistill.model.networks import Networks
from histodistill.model.settings import (
    NetworkName,
    NetworkSettings,
    ObjectiveSettings,
    foreign_parts,
)
from histodistill.model.training_terms import TrainingTerms, total
from histodistill.registry import line_at_fault

_TOKENS = 3
# Two have all, so that terms between networks apply; of the others one may lack slides, one genes.
_PATIENTS = 4
# As many as any network needs; a bag of the cohort may hold fewer.
_MOST_PATCHES = 256


@dataclass(frozen=True)
class ToyPatients:
    """Patients without any meaning, shaped as those of a cohort.

    Attributes:
        patches: Patches of the smallest and of the largest bag; None without slides.
        width: Size F of a patch feature; 0 without slides.
        blocks: Names of the blocks of genes.
        complete: Whether everybody has slides and all blocks, as far as there are any.
        n_training: Patients of the smallest training part, whose genes terms are fitted on.
    """

    patches: tuple[int, int] | None
    width: int
    blocks: tuple[str, ...]
    complete: bool
    n_training: int

    @property
    def batch_rows(self) -> tuple[Tensor, Tensor]:
        """Who of a batch has slides, and who genes."""
        rows = torch.arange(_PATIENTS)
        if self.complete or self.patches is None or not self.blocks:
            return rows, rows
        return rows[rows != _PATIENTS - 1], rows[rows != _PATIENTS - 2]

    def bags(self, rows: Tensor) -> Bags | None:
        """Bags of the smallest and of the largest size in turn; None without slides."""
        if self.patches is None:
            return None
        ends = [min(size, _MOST_PATCHES) for size in self.patches]
        sizes = tuple(ends[row % 2] for row in rows.tolist())
        return Bags((torch.randn(sum(sizes), self.width),), sizes, rows)

    def genes(self, rows: Tensor, token_size: int, *, complete: bool) -> Genes | None:
        """Tokens of each block; somebody lacks one of several unless all are complete."""
        if not self.blocks:
            return None
        shape = (len(rows), _TOKENS, token_size)
        present = {name: torch.ones(len(rows), dtype=torch.bool) for name in self.blocks}
        if not complete and len(self.blocks) > 1:
            present[self.blocks[-1]][-1] = False
        return Genes({name: torch.randn(shape) for name in self.blocks}, present, rows)

    def batch(self, token_size: int, heads: Heads) -> Batch:
        """Four patients, labelled."""
        with_slides, with_genes = self.batch_rows
        labels = torch.arange(_PATIENTS) % 2
        if len(heads) > 1:
            labels = labels[:, None].repeat(1, len(heads))
        genes = self.genes(with_genes, token_size, complete=self.complete)
        return Batch(self.bags(with_slides), genes, labels)


def rehearsal_problems(
    settings: NetworkSettings,
    objective: ObjectiveSettings,
    toys: ToyPatients,
    heads: Heads = ONE_TARGET,
    *,
    reduced: bool = False,
) -> Iterator[str]:
    """A sentence where parts of another package cannot take a step of training, and answer.

    Parts of this package are tested with it, and are not run.

    Args:
        settings: The networks, and their sizes.
        objective: Terms of the loss.
        toys: What the patients look like.
        heads: Which logits answer which target.
        reduced: Whether training is in bfloat16.
    """
    foreign = {
        f"{registry.kind} `{name}`": registry.load(name)
        for registry, name in foreign_parts(settings, objective)
    }
    if not foreign:
        return
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            wrong = _step(settings, objective, toys, heads, reduced)
    except Exception as error:  # whatever somebody's part does
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        wrong = f"{what} ({line_at_fault(error, list(foreign.values()))})"
    if wrong:
        yield f"{', '.join(foreign)}: a step of training on toy patients fails: {wrong}"


def _step(
    settings: NetworkSettings,
    objective: ObjectiveSettings,
    toys: ToyPatients,
    heads: Heads,
    reduced: bool,
) -> str:
    """What is wrong with the answers and the loss; empty where nothing is."""
    n_classes = n_classes_of(heads)
    networks = Networks(
        toys.width or None,
        dict.fromkeys(toys.blocks, _TOKENS),
        n_classes if len(heads) > 1 else n_classes[0],
        settings,
    )
    rows = torch.arange(max(toys.n_training, 2))
    genes = toys.genes(rows, settings.token_size, complete=True)
    terms = TrainingTerms(objective, networks, genes, heads)
    batch = toys.batch(settings.token_size, heads)
    with _precision(reduced):
        outputs = networks.train()(batch)
    wrong = _wrong_outputs(networks, outputs, batch)
    if wrong:
        return wrong
    losses = terms({name: output.float() for name, output in outputs.items()}, batch)
    return _wrong_losses(losses) or _backward(losses) or _wrong_answers(networks, batch)


def _precision(reduced: bool) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16, enabled=reduced)


def _wrong_outputs(networks: Networks, outputs: Outputs, batch: Batch) -> str:
    """What is wrong with the first of the outputs that is not as it must be."""
    bags, genes = batch.bags, batch.genes
    answered: dict[NetworkName, Tensor] = {"multimodal": batch.paired_rows}
    if bags is not None:
        answered["student"] = bags.rows
    if genes is not None:
        answered["genomic"] = genes.rows
    wrong = (_unlike(networks, name, output, answered[name]) for name, output in outputs.items())
    return next(filter(None, wrong), "")


def _unlike(networks: Networks, name: NetworkName, output: object, rows: Tensor) -> str:
    """What an output of a network is and should not be."""
    if not isinstance(output, Output):
        return f"{name} gives a {type(output).__name__} and not an Output"
    if output.rows.tolist() != rows.tolist():
        return f"{name} answers the rows {output.rows.tolist()} and not {rows.tolist()}"
    shape = (len(rows), networks.n_classes)
    if tuple(output.logits.shape) != shape:
        return f"{name} gives logits {list(output.logits.shape)} and not {list(shape)}"
    if not bool(output.logits.isfinite().all()):
        return f"{name} gives logits that are not finite"
    wide = (len(rows), networks.settings.width)
    if networks.settings.declared(name).fixed_width and tuple(output.features.shape) != wide:
        return (
            f"{name} gives features {list(output.features.shape)} and not {list(wide)}, which is "
            "what a network gives unless it declares `fixed_width=False`"
        )
    return ""


def _wrong_losses(losses: Mapping[str, object]) -> str:
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.ndim:
            found = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            return f"the loss `{name}` is {found} and not a number (a tensor of no dimension)"
        if not bool(loss.isfinite()):
            return f"the loss `{name}` is {float(loss)}"
    return ""


def _backward(losses: dict[str, Tensor]) -> str:
    taught = {name: loss for name, loss in losses.items() if loss.requires_grad}
    if not taught:
        return "no term of the loss has a gradient"
    total(taught).backward()  # type: ignore[no-untyped-call]
    return ""


@torch.inference_mode()
def _wrong_answers(networks: Networks, batch: Batch) -> str:
    """What is wrong with the answers for a single patient, as a new one comes."""
    networks.eval()
    one = torch.zeros(1, dtype=torch.int64)
    bags, genes = batch.bags, batch.genes
    alone = Batch(
        None if bags is None else Bags(bags.split_stored()[:1], bags.sizes[:1], one),
        None if genes is None else _first(genes, one),
        batch.labels[:1],
    )
    wrong = _wrong_outputs(networks, networks(alone), alone)
    return f"asked for one patient, {wrong}" if wrong else ""


def _first(genes: Genes, row: Tensor) -> Genes:
    """The genes of the first patient."""
    return Genes(
        {name: tokens[:1] for name, tokens in genes.tokens.items()},
        {name: present[:1] for name, present in genes.present.items()},
        row,
    )
