"""The genes of a patient as one vector, for terms of the loss that read them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histodistill.errors import InputError
from histodistill.model.batch import Genes


class Expression(nn.Module):
    """All blocks of genes side by side, of the patients who have them all.

    Genes that are the same in every training patient, the padding of tokens among them, are
    left out.

    Args:
        training: Genes of the training patients; None where nobody has any.

    Raises:
        InputError: Fewer than two training patients have every block, or no gene varies.
    """

    columns: Tensor

    def __init__(self, training: Genes | None) -> None:
        super().__init__()
        flat = None if training is None else _flat(training)[_complete(training)]
        if flat is None or len(flat) < 2:
            raise InputError(
                "fewer than 2 training patients have genomics (every block): a term of the "
                "loss that reads genes needs them; leave it out, or use a recipe without it"
            )
        varies = (flat != flat[0]).any(dim=0)
        if not varies.any():
            raise InputError("no gene varies among the training patients; check the genomic files")
        self.register_buffer("columns", varies.nonzero().squeeze(1))

    @property
    def n_genes(self) -> int:
        """Genes K of the vector."""
        return len(self.columns)

    def forward(self, genes: Genes) -> tuple[Tensor, Tensor]:
        """Vectors [m, K] of the m patients who have every block, and their rows [m]."""
        complete = _complete(genes)
        return _flat(genes)[complete][:, self.columns], genes.rows[complete]


def _flat(genes: Genes) -> Tensor:
    return torch.cat([block.flatten(1) for block in genes.tokens.values()], dim=1)


def _complete(genes: Genes) -> Tensor:
    return torch.stack(list(genes.present.values())).all(dim=0)
