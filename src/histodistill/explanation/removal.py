"""What a network says of a bag while its patches are taken away, one group after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from histodistill.explanation.contributions import Floats, Indices, Votes, votes
from histodistill.model.pooling.parts import PooledParts


class Removal(Protocol):
    """A bag of N patches that can be asked again without some of them."""

    @property
    def n_patches(self) -> int:
        """Number N of patches."""

    def logits(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Floats:
        """Logits after groups of patches are taken away, one after the other.

        Args:
            group: When each patch is taken away, [N], 0 first.
            block: Which block of tissue each patch belongs to, [N].
            n_groups: Number S of groups.
            n_blocks: Number G of blocks.

        Returns:
            [G + 1, S, C]: at ``[g, s]`` without the groups before s and without the block g; the
            last row leaves no block out. NaN where no patch is left.
        """


class LinearRemoval:
    """Networks that add up weighted patches and have a linear head: curves are cumulative sums.

    Nothing is computed again: the weight and the vote of a patch do not depend on the other
    patches, and the softmax is a quotient of two sums.

    Args:
        mass: Weights of the patches, up to a constant of each branch, [N, B].
        votes: What the patches say of the classes.
    """

    def __init__(self, mass: Floats, votes: Votes) -> None:
        self._mass = mass
        self._said = mass[:, :, None] * votes.said
        self._constant = votes.constant

    @property
    def n_patches(self) -> int:
        """Number N of patches."""
        return len(self._mass)

    def logits(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Floats:
        """See :meth:`Removal.logits`."""
        cells = _Cells(group, block, n_groups, n_blocks)
        mass, said = cells.left(self._mass), cells.left(self._said)
        with np.errstate(invalid="ignore"):  # nothing left is NaN
            return np.asarray((said / mass[..., None]).sum(axis=2) + self._constant)


class PooledRemoval:
    """The same where the head is any function of the pooled bag: it is asked once a step.

    Args:
        parts: The bag as the network pools it.
    """

    def __init__(self, parts: PooledParts) -> None:
        self._parts = parts
        self._mass = parts.mass.numpy()

    @property
    def n_patches(self) -> int:
        """Number N of patches."""
        return len(self._mass)

    def logits(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Floats:
        """See :meth:`Removal.logits`."""
        cells = _Cells(group, block, n_groups, n_blocks)
        hidden = self._parts.hidden.detach()
        sums = [cells.left(column[:, None] * hidden.numpy()) for column in self._mass.T]
        with np.errstate(invalid="ignore"):  # nothing left is NaN
            pooled = np.stack(sums, axis=2) / cells.left(self._mass)[..., None]
        flat = torch.from_numpy(pooled.reshape(-1, *pooled.shape[2:])).to(hidden.dtype)
        with torch.no_grad():
            answers = self._parts.head(flat).double().numpy()
        return np.asarray(answers.reshape(*pooled.shape[:2], -1))


def removal_of(parts: PooledParts) -> Removal:
    """The fastest way to take patches away from a bag that a network pools."""
    if parts.linear:
        return LinearRemoval(parts.mass.numpy(), votes(parts))
    return PooledRemoval(parts)


class AskedRemoval:
    """Any network at all: it is asked again for each part of the bag that is left.

    Args:
        answer: Logits [C] of the bag cut to some patches, given by their increasing positions.
        n_patches: Number N of patches.
        n_classes: Number C of classes.
    """

    def __init__(self, answer: Callable[[Indices], Floats], n_patches: int, n_classes: int) -> None:
        self._answer = answer
        self._n_classes = n_classes
        self.n_patches = n_patches

    def logits(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Floats:
        """See :meth:`Removal.logits`."""
        curves = np.full((n_blocks + 1, n_groups, self._n_classes), np.nan)
        for left_out in range(n_blocks + 1):
            for step in range(n_groups):
                kept = np.flatnonzero((group >= step) & (block != left_out))
                if len(kept):
                    curves[left_out, step] = self._answer(kept)
        return curves


class _Cells:
    """Patches by the block that they belong to and the group that they are taken away with."""

    def __init__(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> None:
        self._cell = block * n_groups + group
        self._shape = n_blocks, n_groups

    def left(self, values: Floats) -> Floats:
        """Sums of values [N, ...] over what is left, [G + 1, S, ...]."""
        columns = values.reshape(len(values), -1).T
        size = self._shape[0] * self._shape[1]
        sums = np.stack([np.bincount(self._cell, c, size) for c in columns], axis=-1)
        sums = sums.reshape(*self._shape, -1)
        # Sums of what is left, never differences: where nothing is left they are exactly 0.
        own = sums[:, ::-1].cumsum(axis=1)[:, ::-1]
        nothing = np.zeros_like(own[:1])
        before = np.concatenate([nothing, own.cumsum(axis=0)])
        after = np.concatenate([own[::-1].cumsum(axis=0)[::-1], nothing])
        left = np.concatenate([before[:-1] + after[1:], before[-1:]])
        return left.reshape(*left.shape[:2], *values.shape[1:])
