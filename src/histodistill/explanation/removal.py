"""What a network says of a bag while its patches are taken away, one group after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from histodistill.explanation.contributions import Floats, Indices, Votes, votes
from histodistill.model.pooling.parts import PooledParts

Curves = tuple[Floats, Floats]


class Removal(Protocol):
    """A bag of N patches that can be asked again without some of them."""

    @property
    def n_patches(self) -> int:
        """Number N of patches."""

    def curves(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Curves:
        """Logits while groups of patches are taken away, one after the other.

        Args:
            group: Which group each patch is in, [N], from 0.
            block: Which block of tissue each patch belongs to, [N].
            n_groups: Number S of groups.
            n_blocks: Number G of blocks.

        Returns:
            Two curves [G + 1, S, C], from the first group on and from the last one on: at
            ``[g, s]`` without the s groups that go first and without the block g; the last row
            leaves no block out. NaN where no patch is left.
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

    def curves(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Curves:
        """See :meth:`Removal.curves`."""
        cells = _Cells(group, block, n_groups, n_blocks)
        mass, said = cells.sums(self._mass), cells.sums(self._said)

        def answers(mass: Floats, said: Floats) -> Floats:
            with np.errstate(invalid="ignore"):  # nothing left is NaN
                answer = (_left(said) / _left(mass)[..., None]).sum(axis=2) + self._constant
            return np.asarray(answer)

        return answers(mass, said), answers(mass[:, ::-1], said[:, ::-1])


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

    def curves(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Curves:
        """See :meth:`Removal.curves`."""
        cells = _Cells(group, block, n_groups, n_blocks)
        hidden = self._parts.hidden.detach().numpy()
        mass = cells.sums(self._mass)
        sums = [cells.sums(column[:, None] * hidden) for column in self._mass.T]
        return self._answers(mass, sums), self._answers(mass[:, ::-1], [s[:, ::-1] for s in sums])

    def _answers(self, mass: Floats, sums: list[Floats]) -> Floats:
        with np.errstate(invalid="ignore"):  # nothing left is NaN
            pooled = np.stack([_left(own) for own in sums], axis=2) / _left(mass)[..., None]
        flat = torch.from_numpy(pooled.reshape(-1, *pooled.shape[2:]))
        with torch.no_grad():
            answers = self._parts.head(flat.to(self._parts.hidden.dtype)).double().numpy()
        return np.asarray(answers.reshape(*pooled.shape[:2], -1))


def removal_of(parts: PooledParts, found: Votes | None = None) -> Removal:
    """The fastest way to take patches away from a bag that a network pools.

    Args:
        parts: The bag as the network pools it.
        found: The votes of its patches, where they are known already.
    """
    if parts.linear:
        return LinearRemoval(parts.mass.numpy(), found or votes(parts))
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

    def curves(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> Curves:
        """See :meth:`Removal.curves`."""
        rows = n_blocks + 1
        first, last = (np.full((rows, n_groups, self._n_classes), np.nan) for _ in range(2))
        for curve, own in ((first, group), (last, n_groups - 1 - group)):
            for left_out in range(rows):
                for step in range(n_groups):
                    kept = np.flatnonzero((own >= step) & (block != left_out))
                    if len(kept):
                        curve[left_out, step] = self._answer(kept)
        return first, last


class _Cells:
    """Patches by the block that they belong to and the group that they are taken away with."""

    def __init__(self, group: Indices, block: Indices, n_groups: int, n_blocks: int) -> None:
        self._cell = block * n_groups + group
        self._shape = n_blocks, n_groups

    def sums(self, values: Floats) -> Floats:
        """Sums of values [N, ...] over each block and group, [G, S, ...]."""
        columns = values.reshape(len(values), -1).T
        size = self._shape[0] * self._shape[1]
        sums = np.stack([np.bincount(self._cell, c, size) for c in columns], axis=-1)
        return np.asarray(sums.reshape(*self._shape, *values.shape[1:]), dtype=np.float64)


def _left(sums: Floats) -> Floats:
    """Sums [G, S, ...] over what is left while groups go from the first on, [G + 1, S, ...]."""
    # Sums of what is left, never differences: where nothing is left they are exactly 0.
    own = sums[:, ::-1].cumsum(axis=1)[:, ::-1]
    nothing = np.zeros_like(own[:1])
    before = np.concatenate([nothing, own.cumsum(axis=0)])
    after = np.concatenate([own[::-1].cumsum(axis=0)[::-1], nothing])
    return np.concatenate([before[:-1] + after[1:], before[-1:]])
