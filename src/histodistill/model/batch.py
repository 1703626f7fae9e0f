"""What the networks read: the bags and the genes of a batch of patients."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from histodistill.features import FeatureScaler


@dataclass(frozen=True)
class Bags:
    """The patch features of several patients, laid end to end without padding.

    Most networks read ``patches``, which are ready. A network that works through the rows in
    blocks (:mod:`histodistill.model.pooling.towers`) reads ``parts`` and applies ``scaler``
    itself, so that the whole batch never lies in memory in the wider type, and is not copied at
    all where the parts are those of a store.

    Attributes:
        parts: Patch features in the small type that they are kept in, not standardised yet, in
            pieces [., F] that hold all bags one after the other: one for each bag, or one for
            all of them, or any other.
        sizes: Patches in each bag; they add up to P.
        rows: Position in the batch of each bag's patient, [n] int64, increasing.
        scaler: Standardisation of the patches; None where they are read as they are.
        dtype: Type of ``patches``; None for float32, or for a wider type they are kept in.
    """

    parts: tuple[Tensor, ...]
    sizes: tuple[int, ...]
    rows: Tensor
    scaler: FeatureScaler | None = None
    dtype: torch.dtype | None = None

    @cached_property
    def stored(self) -> Tensor:
        """Patch features as they are kept, [P, F]; joined at the first use, then kept."""
        if len(self.parts) == 1:
            return self.parts[0]
        # Autocast refuses to join patches of another small type than its own.
        device = self.parts[0].device.type
        known = torch.amp.is_autocast_available(device)
        with torch.autocast(device, enabled=False) if known else nullcontext():
            return torch.cat(self.parts)

    @cached_property
    def patches(self) -> Tensor:
        """Patch features as networks read them, [P, F]; made at the first use, then kept."""
        scaled = self.stored if self.scaler is None else self.scaler.transform(self.stored)
        patches = scaled.to(self.dtype or torch.promote_types(scaled.dtype, torch.float32))
        # A part may be a store's own, which nobody shall change by way of the batch.
        return patches.clone() if patches is self.parts[0] else patches

    def split_stored(self) -> tuple[Tensor, ...]:
        """The bags one by one as they are kept, [size, F] each."""
        if tuple(len(part) for part in self.parts) == self.sizes:
            return self.parts
        return torch.split(self.stored, list(self.sizes))

    def split(self) -> tuple[Tensor, ...]:
        """The bags one by one, [size, F] each; views of ``patches``."""
        return torch.split(self.patches, list(self.sizes))


@dataclass(frozen=True)
class Genes:
    """The gene tokens of several patients, one tensor a block (mRNA, copy number, ...).

    Attributes:
        tokens: For each block, [n, T, token_size]; the last token is padded with zeros.
        present: For each block, [n] bool: False where the patient was not measured.
            Every patient has at least one block.
        rows: Position in the batch of each patient, [n] int64, increasing.
    """

    tokens: dict[str, Tensor]
    present: dict[str, Tensor]
    rows: Tensor

    def mask(self) -> Tensor:
        """Which tokens count, [n, sum of T] bool, blocks in their order."""
        return torch.cat(
            [
                self.present[name][:, None].expand(-1, block.shape[1])
                for name, block in self.tokens.items()
            ],
            dim=1,
        )


@dataclass(frozen=True)
class Batch:
    """A batch of b patients, each with slides, genes or both.

    Attributes:
        bags: Bags of the patients with slides; None where no patient has any.
        genes: Tokens of the patients with genomics; None where no patient has any.
        labels: Class index of each patient, [b] int64, of T targets that are learnt together
            [b, T]; -1 where unknown.
    """

    bags: Bags | None
    genes: Genes | None
    labels: Tensor

    @cached_property
    def paired_rows(self) -> Tensor:
        """Positions in the batch of the patients with slides and genes, [m] int64."""
        if self.bags is None or self.genes is None:
            return self.labels.new_empty(0)
        return self.bags.rows[torch.isin(self.bags.rows, self.genes.rows)]


@dataclass(frozen=True)
class Output:
    """What one network makes of the n patients of a batch that it can answer.

    Attributes:
        features: Patient features before the classifier, [n, d].
        logits: Class scores, [n, C].
        rows: Position in the batch of each patient, [n] int64, increasing.
        auxiliary: A loss of the network's own (scalar), in training only; None where it has
            none.
        internals: What terms of the loss read of the network's inside, in training only, by
            names that the network and the term agree on.
        weight: Which rows count, [n] of 0 and 1; None where all do. In a stack of models all
            networks answer all rows of a padded batch, and this tells padding apart.
    """

    features: Tensor
    logits: Tensor
    rows: Tensor
    auxiliary: Tensor | None = None
    internals: Mapping[str, Tensor] = field(default_factory=dict)
    weight: Tensor | None = None

    def float(self) -> Output:
        """The same in float32."""
        auxiliary = None if self.auxiliary is None else self.auxiliary.float()
        internals = {name: value.float() for name, value in self.internals.items()}
        return Output(self.features.float(), self.logits.float(), self.rows, auxiliary, internals)

    def detached(self) -> Output:
        """The same, out of reach of gradients."""
        return Output(self.features.detach(), self.logits.detach(), self.rows)

    def labelled(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and labels of the patients whose label is known."""
        mine = labels[self.rows]
        known = mine >= 0
        return self.logits[known], mine[known]


def paired(bags: Bags, genes: Genes) -> tuple[Bags, Genes]:
    """The bags and the genes of the patients who have both, in the same order."""
    if torch.equal(bags.rows, genes.rows):
        return bags, genes
    with_genes = torch.isin(bags.rows, genes.rows)
    with_bag = torch.isin(genes.rows, bags.rows)
    keep = with_genes.tolist()
    kept = tuple(bag for bag, own in zip(bags.split_stored(), keep, strict=True) if own)
    return (
        replace(
            bags,
            parts=kept,
            sizes=tuple(len(bag) for bag in kept),
            rows=bags.rows[with_genes],
        ),
        Genes(
            {name: block[with_bag] for name, block in genes.tokens.items()},
            {name: block[with_bag] for name, block in genes.present.items()},
            genes.rows[with_bag],
        ),
    )


def common(first: Output, second: Output) -> tuple[Output, Output]:
    """The two outputs cut to the patients that both networks answer, row by row."""
    if first.weight is not None or torch.equal(first.rows, second.rows):
        return first, second
    return _only(first, second.rows), _only(second, first.rows)


def _only(output: Output, rows: Tensor) -> Output:
    keep = torch.isin(output.rows, rows)
    return Output(output.features[keep], output.logits[keep], output.rows[keep], output.auxiliary)
