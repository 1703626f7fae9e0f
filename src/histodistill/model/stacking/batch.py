"""The batches of several models, one each, as tensors with one dimension more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from histodistill.model.batch import Bags, Batch, Genes, paired


class StackedBags(NamedTuple):
    """Bags of M models.

    Attributes:
        patches: As networks read them, [M, P, F]; rows beyond a model's own are 0.
        member: Which patch belongs to which bag, [M, n, P] bool; a bag that is padding holds
            every row, so that its softmax is a number.
        rows: Position in the batch of each bag's patient, [M, n] int64; b for padding.
    """

    patches: Tensor
    member: Tensor
    rows: Tensor


class StackedPairs(NamedTuple):
    """Patients with bags and genes, of M models.

    Attributes:
        bags: Places among the bags, [M, m] int64; 0 for padding.
        genes: Places among the genes, [M, m] int64; 0 for padding.
        rows: Positions in the batch, [M, m] int64; b for padding.
    """

    bags: Tensor
    genes: Tensor
    rows: Tensor


class StackedGenes(NamedTuple):
    """Gene tokens of M models.

    Attributes:
        tokens: For each block, [M, n, T, token_size].
        present: For each block, [M, n] bool; True for padding.
        rows: Position in the batch of each patient, [M, n] int64; b for padding.
    """

    tokens: dict[str, Tensor]
    present: dict[str, Tensor]
    rows: Tensor


class StackedInputs(NamedTuple):
    """All that the networks of M models read of a batch, tensors of which the first dimension is M.

    Attributes:
        bags: Their bags; None where no model has any.
        genes: Their gene tokens; None where no model has any.
        pairs: Who has both; None where there are no bags or no genes.
        labels: Class indices, [M, b] int64, of T targets [M, b, T]; -1 where unknown and for
            padding.
    """

    bags: StackedBags | None
    genes: StackedGenes | None
    pairs: StackedPairs | None
    labels: Tensor


@dataclass(frozen=True)
class StackedBatch:
    """The batches of M models, padded to one size.

    Attributes:
        inputs: What the networks read.
        n_patches: Patches of each model, without padding.
        n_bags: Bags of each model.
        n_genes: Patients with genes of each model.
        n_pairs: Patients with both of each model.
    """

    inputs: StackedInputs
    n_patches: tuple[int, ...]
    n_bags: tuple[int, ...]
    n_genes: tuple[int, ...]
    n_pairs: tuple[int, ...]

    @classmethod
    def of(cls, batches: Sequence[Batch], *, pairs_only: bool = False) -> StackedBatch:
        """Lay batches, one of each model, upon each other.

        Args:
            batches: At least one, all on one device.
            pairs_only: Leave out all patients who do not have bags and genes, as networks do
                that read both.
        """
        parts = [(batch.bags, batch.genes) for batch in batches]
        if pairs_only:
            parts = [_pairs_only(*part) for part in parts]
        bags, genes = [part[0] for part in parts], [part[1] for part in parts]
        pairs = [_places(*part) for part in parts]
        size = max(len(batch.labels) for batch in batches)
        return cls(
            StackedInputs(
                _stacked_bags(bags, size),
                _stacked_genes(genes, size),
                _stacked_pairs(pairs, size),
                _padded([batch.labels for batch in batches], -1),
            ),
            n_patches=tuple(0 if own is None else sum(own.sizes) for own in bags),
            n_bags=tuple(0 if own is None else len(own.sizes) for own in bags),
            n_genes=tuple(0 if own is None else len(own.rows) for own in genes),
            n_pairs=tuple(len(own.rows) for own in pairs),
        )


def _pairs_only(bags: Bags | None, genes: Genes | None) -> tuple[Bags | None, Genes | None]:
    """Those who have both; nobody where no patient has."""
    if bags is None or genes is None or not torch.isin(bags.rows, genes.rows).any():
        return None, None
    return paired(bags, genes)


def _padded(values: Sequence[Tensor], padding: float) -> Tensor:
    return pad_sequence(list(values), batch_first=True, padding_value=padding)


def _stacked_bags(every: Sequence[Bags | None], padding: int) -> StackedBags | None:
    known = [bags for bags in every if bags is not None]
    if not known:
        return None
    nothing = known[0].patches[:0]
    n_bags = max(len(bags.sizes) for bags in known)
    patches = _padded([nothing if bags is None else bags.patches for bags in every], 0)
    member = patches.new_ones(len(every), n_bags, patches.shape[1], dtype=torch.bool)
    for own, bags in zip(member, every, strict=True):
        if bags is not None:
            sizes = torch.tensor(bags.sizes, device=own.device)
            ends = sizes.cumsum(0)
            place = torch.arange(own.shape[1], device=own.device)
            own[: len(sizes)] = (place < ends[:, None]) & (place >= (ends - sizes)[:, None])
    return StackedBags(patches, member, _padded_rows(every, padding))


def _stacked_genes(every: Sequence[Genes | None], padding: int) -> StackedGenes | None:
    known = [genes for genes in every if genes is not None]
    if not known:
        return None
    tokens, present = {}, {}
    for name in known[0].tokens:
        nothing = known[0].tokens[name][:0], known[0].present[name][:0]
        own = [nothing if g is None else (g.tokens[name], g.present[name]) for g in every]
        tokens[name] = _padded([each[0] for each in own], 0)
        present[name] = _padded([each[1] for each in own], 1)
    return StackedGenes(tokens, present, _padded_rows(every, padding))


def _padded_rows(every: Sequence[Bags | None] | Sequence[Genes | None], padding: int) -> Tensor:
    nobody = next(own.rows[:0] for own in every if own is not None)
    return _padded([nobody if own is None else own.rows for own in every], padding)


def _places(bags: Bags | None, genes: Genes | None) -> StackedPairs:
    """The pairs of one model, without its dimension."""
    if bags is None or genes is None:
        nobody = torch.empty(0, dtype=torch.int64)
        return StackedPairs(nobody, nobody, nobody)
    with_genes = torch.isin(bags.rows, genes.rows)
    with_bag = torch.isin(genes.rows, bags.rows)
    return StackedPairs(
        with_genes.nonzero().squeeze(1), with_bag.nonzero().squeeze(1), bags.rows[with_genes]
    )


def _stacked_pairs(every: Sequence[StackedPairs], padding: int) -> StackedPairs | None:
    device = next((pairs.rows.device for pairs in every if len(pairs.rows)), None)
    if device is None:
        return None
    places = zip(*((t.to(device) for t in pairs) for pairs in every), strict=True)
    return StackedPairs(
        *(_padded(list(own), pad) for own, pad in zip(places, (0, 0, padding), strict=True))
    )
