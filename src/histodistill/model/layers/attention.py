"""Gated attention pooling (Ilse et al., "Attention-based Deep MIL", ICML 2018, eq. 9).

This is the reference. Two other ways to compute it are tested against it: the pass over blocks
of patches, in PyTorch or compiled (:mod:`histodistill.model.pooling`), and that of several models
at once (:mod:`histodistill.model.stacking`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GatedAttention(nn.Module):
    """Scores instances by ``w . (tanh(V h) * sigmoid(U h))``.

    V and U read the same input, so they are kept as one matrix and cost one product; its
    first half is V, its second half U.

    Args:
        width: Size d of an instance.
        attention_width: Rows of V, and of U.
    """

    def __init__(self, width: int, attention_width: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 2 * attention_width)
        self.score = nn.Linear(attention_width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Unnormalised scores of instances [..., d], shape [...]."""
        content, gate = self.gate(hidden).chunk(2, dim=-1)
        scores: Tensor = self.score(torch.tanh(content) * torch.sigmoid(gate))
        return scores.squeeze(-1)


def pool_bags(scores: Tensor, hidden: Tensor, sizes: Sequence[int]) -> Tensor:
    """Attention-weighted mean of each bag; the softmax runs over the bag alone.

    Args:
        scores: Scores of all patches, [P].
        hidden: Patches, [P, d], bags laid end to end.
        sizes: Patches in each of the n bags.

    Returns:
        Pooled bags, [n, d].
    """
    # Splits are views: nothing is copied or padded, whatever the spread of bag sizes.
    lengths = list(sizes)
    bags = zip(torch.split(scores, lengths), torch.split(hidden, lengths), strict=True)
    # The softmax is taken in float32 (autocast does so too): it must sum to one over
    # tens of thousands of patches.
    return torch.stack([torch.softmax(s.float(), dim=0).to(h.dtype) @ h for s, h in bags])


def pool_tokens(scores: Tensor, hidden: Tensor, mask: Tensor) -> Tensor:
    """Attention-weighted mean of the tokens that count.

    Args:
        scores: Token scores, [n, T].
        hidden: Tokens, [n, T, d].
        mask: Which tokens count, [n, T] bool, at least one a row.

    Returns:
        Pooled tokens, [n, d].
    """
    weights = torch.softmax(scores.float().masked_fill(~mask, -torch.inf), dim=1)
    return torch.einsum("nt,ntd->nd", weights.to(hidden.dtype), hidden)
