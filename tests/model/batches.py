"""Random batches of patients who may lack slides, blocks of genes or a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from histodistill.model import Bags, Batch, Genes, Networks, NetworkSettings

WIDTH = 6
TOKEN_SIZE = 16
TOKENS = 3
SMALL = NetworkSettings(
    width=8, attention_width=4, token_size=TOKEN_SIZE, fusion_width=4, dropout=0.0
)


def networks(
    blocks: Sequence[str] = ("mrna",),
    n_classes: int = 2,
    settings: NetworkSettings = SMALL,
    seed: int = 0,
) -> Networks:
    """Small networks in float64, so that two orders of the same sums agree closely."""
    torch.manual_seed(seed)
    tokens = dict.fromkeys(blocks, TOKENS)
    return Networks(WIDTH, tokens, n_classes, settings).double()


def bags(sizes: Mapping[int, int], seed: int = 0) -> Bags:
    """Bags of the patients at the given positions, with the given numbers of patches.

    A patient's bag does not depend on who else there is.
    """
    drawn = []
    for row, size in sizes.items():
        generator = torch.Generator().manual_seed(1000 * seed + row)
        drawn.append(torch.randn(size, WIDTH, generator=generator, dtype=torch.float64))
    return Bags(tuple(drawn), tuple(sizes.values()), torch.tensor(list(sizes)))


def genes(
    rows: Sequence[int],
    tokens: Mapping[str, int] | None = None,
    absent: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
) -> Genes:
    """Tokens of the patients at the given positions.

    Args:
        rows: Positions in the batch.
        tokens: Number of tokens of each block; three of mRNA if not given.
        absent: Positions of the patients who lack a block.
        seed: Seed.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    counts = tokens or {"mrna": 3}
    lacking = absent or {}
    values = {
        name: torch.randn(len(rows), count, TOKEN_SIZE, generator=generator, dtype=torch.float64)
        for name, count in counts.items()
    }
    present = {
        name: torch.tensor([row not in lacking.get(name, ()) for row in rows]) for name in counts
    }
    return Genes(values, present, torch.tensor(rows))


def alone(batch: Batch, row: int) -> Batch:
    """The batch that holds one of the patients and nobody else."""
    return Batch(_bag_of(batch.bags, row), _genes_of(batch.genes, row), batch.labels[row : row + 1])


def _bag_of(all_bags: Bags | None, row: int) -> Bags | None:
    if all_bags is None or row not in all_bags.rows:
        return None
    place = int((all_bags.rows == row).nonzero())
    patches = torch.split(all_bags.patches, list(all_bags.sizes))[place]
    return Bags((patches,), (len(patches),), torch.tensor([0]))


def _genes_of(all_genes: Genes | None, row: int) -> Genes | None:
    if all_genes is None or row not in all_genes.rows:
        return None
    mine = all_genes.rows == row
    return Genes(
        {name: values[mine] for name, values in all_genes.tokens.items()},
        {name: present[mine] for name, present in all_genes.present.items()},
        torch.tensor([0]),
    )


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    """The gradient of every parameter, zero where nothing flowed."""
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in module.named_parameters()
    }
