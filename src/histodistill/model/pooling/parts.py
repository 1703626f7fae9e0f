"""A bag as a network pools it, patch by patch, for whoever asks what each patch brought."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PooledParts:
    """What a network makes of a bag of N patches before it adds them up.

    The logits are ``head(p)`` of the pooled bag ``p_b = sum_i a_ib h_i``, where the weights
    ``a_ib = exp(s_ib) / sum_j exp(s_jb)`` of each of B branches add up to 1. Everything that
    explains the network follows: what a patch brought, and what the logits are without it.

    Attributes:
        scores: Logarithms s of the weights, up to a constant of each branch, [N, B].
        hidden: Hidden patches h, [N, d].
        head: From pooled bags [m, B, d] to their logits [m, C].
        linear: Whether the head is linear (a matrix and a constant), so that the shares of the
            patches in a logit are exact.
    """

    scores: Tensor
    hidden: Tensor
    head: Callable[[Tensor], Tensor]
    linear: bool

    @property
    def mass(self) -> Tensor:
        """Weights up to a constant of each branch, the largest 1, [N, B] float64."""
        scores = self.scores.double()
        return torch.exp(scores - scores.amax(dim=0))

    @property
    def weights(self) -> Tensor:
        """The weights a of the patches, [N, B] float64; each column adds up to 1."""
        mass = self.mass
        return mass / mass.sum(dim=0)

    def pooled(self) -> Tensor:
        """The pooled bag, [B, d], in the type of the hidden patches."""
        return self.weights.to(self.hidden.dtype).T @ self.hidden

    def logits(self) -> Tensor:
        """Logits of the whole bag, [C] float64."""
        return self.head(self.pooled()[None])[0].double()


@dataclass(frozen=True)
class MaxParts:
    """A bag whose hidden features are each taken from the patch that has most of it.

    Attributes:
        hidden: Hidden patches, [N, d].
        head: From pooled bags [m, d] to their logits [m, C]; linear.
    """

    hidden: Tensor
    head: Callable[[Tensor], Tensor]

    def logits(self) -> Tensor:
        """Logits of the whole bag, [C] float64."""
        return self.head(self.hidden.amax(dim=0)[None])[0].double()


def attended_parts(
    scores: Tensor, hidden: Tensor, head: Callable[[Tensor], Tensor], *, linear: bool = True
) -> PooledParts:
    """Parts of a bag with a single branch of attention.

    Args:
        scores: Logarithms of the weights, [N].
        hidden: Hidden patches, [N, d].
        head: From pooled bags [m, d] to their logits [m, C].
        linear: Whether the head is linear.
    """
    return PooledParts(scores[:, None], hidden, lambda pooled: head(pooled[:, 0]), linear)


def averaged_parts(hidden: Tensor, head: Callable[[Tensor], Tensor]) -> PooledParts:
    """Parts of a bag whose patches count alike, with a linear head."""
    return attended_parts(hidden.new_zeros(len(hidden)), hidden, head)
