"""What each patch brought to the logits of its bag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histodistill.model.pooling.parts import MaxParts, PooledParts

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Way = Literal["exact", "integrated gradients", "leave-one-out"]
# Points of each stretch of the path from nothing to the bag, Gauss-Legendre; stretches are halved
# until the shares add up to the logits within COMPLETE, as far as MOST_STRETCHES.
_POINTS, _FEWEST_STRETCHES, MOST_STRETCHES = 8, 4, 64
COMPLETE = 0.01
# What a probability of nothing counts as where its logarithm is taken.
_LEAST_PROBABILITY = 1e-300


@dataclass(frozen=True)
class Contributions:
    """Shares of the patches in the logits.

    ``constant + shares.sum(axis=0)`` are the logits: exactly (rounding apart) where ``way`` is
    ``exact``, within the error of the path's sum otherwise.

    Attributes:
        shares: Signed share of each patch in the logit of each class, [N, C].
        constant: What the network says of no patch at all, [C].
        way: How the shares were found.
        expected: What the average patch of the bag would have brought with the weight of each
            patch, [N, C]; None where patches are not weighted and added up.
    """

    shares: Floats
    constant: Floats
    way: Way
    expected: Floats | None = None

    @property
    def logits(self) -> Floats:
        """Logits [C] of the whole bag, from the shares."""
        return np.asarray(self.constant + self.shares.sum(axis=0))

    def against_average(self) -> Contributions | None:
        """The same logits, shared out by how a patch differs from the bag's average patch.

        With weights a_ib that add up to 1 in each branch b, votes v_ib and their plain mean
        m_b over the bag, ``sum a_ib v_ib = sum_b m_b + sum a_ib (v_ib - m_b)``: the constant takes
        up what the average patch says, and a patch that speaks like it has no share, however
        much attention it has. None where patches are not weighted and added up.
        """
        if self.expected is None:
            return None
        constant = self.constant + self.expected.sum(axis=0)
        return replace(
            self,
            shares=self.shares - self.expected,
            constant=constant,
            expected=np.zeros_like(self.expected),
        )

    def support(self, target: int) -> Floats:
        """How much each patch supports a class against the mean of the others, [N].

        With two classes this is its share in the log odds.
        """
        others = np.delete(self.shares, target, axis=1).mean(axis=1)
        return np.asarray(self.shares[:, target] - others)


def average(members: list[Contributions], probabilities: Floats | None = None) -> Contributions:
    """The mean over the members of an ensemble.

    Args:
        members: What each says.
        probabilities: The ensemble's answer [C], the mean of its members' probabilities. The
            logits are then those of this answer (and of the mean logits' mean over classes, which
            no probability tells): what averaging probabilities instead of logits changes is no
            patch's, and goes into the constant. None leaves the members' mean logits.
    """
    order: tuple[Way, ...] = ("exact", "integrated gradients", "leave-one-out")
    expected = [member.expected for member in members if member.expected is not None]
    mean = Contributions(
        np.mean([member.shares for member in members], axis=0),
        np.mean([member.constant for member in members], axis=0),
        max((member.way for member in members), key=order.index),
        np.mean(expected, axis=0) if len(expected) == len(members) else None,
    )
    if probabilities is None or len(members) == 1:
        return mean
    answer = np.log(np.maximum(probabilities, _LEAST_PROBABILITY))
    moved = answer - answer.mean() + mean.logits.mean() - mean.logits
    return replace(mean, constant=mean.constant + moved)


@dataclass(frozen=True)
class Votes:
    """What the patches say of the classes, before they are weighted.

    Attributes:
        said: ``w_cb . h_i``, [N, B, C] float64: with a linear head the logits are the weighted
            means of the branches, added up, and the constant.
        constant: Logits of a pooled bag of zeros, [C] float64.
    """

    said: Floats
    constant: Floats


def votes(parts: PooledParts) -> Votes:
    """The votes of the patches.

    With a linear head, the rows w of its matrix: exact. With any other, their mean along the path
    from a pooled bag of zeros to the bag's own: integrated gradients (Sundararajan et al., ICML
    2017, eq. 1) of the head alone, whose inner product with the pooled bag is linear in it again.
    """
    # A linear head has the same slope everywhere.
    nothing = parts.hidden.new_zeros(parts.scores.shape[1], parts.hidden.shape[1])
    end = nothing if parts.linear else parts.pooled()
    slopes, constant = _slopes(parts.head, end, linear=parts.linear)
    matrix = slopes.permute(2, 1, 0).flatten(1).to(parts.hidden.dtype)
    shape = len(parts.hidden), slopes.shape[1], slopes.shape[0]
    said = (parts.hidden @ matrix).double().reshape(shape)
    return Votes(said.numpy(), constant.numpy())


def pooled_contributions(parts: PooledParts, found: Votes | None = None) -> Contributions:
    """Contributions to a network that adds up weighted patches: weight times vote.

    Args:
        parts: The bag as the network pools it.
        found: The votes of its patches, where they are known already.
    """
    found = found or votes(parts)
    weights = parts.weights.numpy()
    shares = np.einsum("nb,nbc->nc", weights, found.said)
    way: Way = "exact" if parts.linear else "integrated gradients"
    return Contributions(shares, found.constant, way, weights @ found.said.mean(axis=0))


def max_contributions(parts: MaxParts) -> Contributions:
    """Contributions to a network that takes each hidden feature from the patch that has most.

    The patch from which a feature is taken (the first of equals) brought what it says.
    """
    pooled, owner = parts.hidden.max(dim=0)
    slopes, constant = _slopes(lambda p: parts.head(p[:, 0]), pooled[None], linear=True)
    brought = slopes[:, 0] * pooled.double()
    shares = torch.zeros(len(parts.hidden), len(constant), dtype=torch.float64)
    shares.index_add_(0, owner, brought.T)
    return Contributions(shares.numpy(), constant.numpy(), "exact")


def path_contributions(answer: Callable[[Tensor], Tensor], bag: Tensor) -> Contributions | None:
    """Integrated gradients of a whole network, from a bag whose patches are all zero.

    Source: Sundararajan et al., ICML 2017, eq. 1, summed by Gauss-Legendre quadrature on more
    and more stretches of the path, until the shares add up.

    Args:
        answer: Logits [C] of a bag [N, F]; differentiable.
        bag: The patches as the network reads them, [N, F] (standardised where it standardises,
            so that zero is the mean patch of the training patients).

    Returns:
        None where the shares do not add up to the logits within 1 %: the network jumps on the
        way, as those do that choose patches.
    """
    with torch.no_grad():
        logits = answer(bag).double()
        constant = answer(torch.zeros_like(bag)).double()
    allowed = COMPLETE * float((logits - constant).abs().max())
    stretches = _FEWEST_STRETCHES
    while stretches <= MOST_STRETCHES:
        shares = _path_shares(answer, bag, len(logits), stretches)
        if float((constant + shares.sum(dim=0) - logits).abs().max()) <= allowed:
            return Contributions(shares.numpy(), constant.numpy(), "integrated gradients")
        stretches *= 2
    return None


def left_out_contributions(answer: Callable[[Indices], Floats], group: Indices) -> Contributions:
    """What the logits lose without each patch, or without each group of patches.

    The constant is what is left of the logits, so that all adds up.

    Args:
        answer: Logits [C] of the bag cut to some patches, given by their increasing positions.
        group: The group of each patch, [N], from 0; the loss is shared out evenly within it.
    """
    whole = answer(np.arange(len(group)))
    n_groups = int(group.max()) + 1
    if n_groups < 2:
        lost = whole[None]
    else:
        lost = np.stack([whole - answer(np.flatnonzero(group != g)) for g in range(n_groups)])
    shares = lost[group] / np.bincount(group)[group][:, None]
    return Contributions(shares, whole - shares.sum(axis=0), "leave-one-out")


def _path_shares(
    answer: Callable[[Tensor], Tensor], bag: Tensor, n_classes: int, stretches: int
) -> Tensor:
    """Shares [N, C] float64 of the patches, summed along the path."""
    total = torch.zeros(n_classes, *bag.shape, dtype=torch.float64)
    with torch.enable_grad():
        for point, weight in quadrature(stretches):
            place = (bag * point).requires_grad_()
            logits = answer(place)
            for target in range(n_classes):
                (slope,) = torch.autograd.grad(
                    logits[target], place, retain_graph=True, materialize_grads=True
                )
                total[target] += weight * slope.double()
    return (total * bag.double()).sum(dim=2).T


def _slopes(
    head: Callable[[Tensor], Tensor], pooled: Tensor, *, linear: bool
) -> tuple[Tensor, Tensor]:
    """Mean gradient of each logit along the path to the pooled bag, [C, B, d]; logits at 0, [C]."""
    nothing = torch.zeros_like(pooled)
    with torch.enable_grad():
        points = [(1.0, 1.0)] if linear else quadrature(MOST_STRETCHES)
        places = torch.stack([pooled * point for point, _ in points]).requires_grad_()
        logits = head(places)
        slopes = [
            torch.autograd.grad(logits[:, target].sum(), places, retain_graph=True)[0].double()
            for target in range(logits.shape[1])
        ]
    weights = torch.tensor([weight for _, weight in points], dtype=torch.float64)
    means = torch.stack([torch.einsum("k,kbd->bd", weights, slope) for slope in slopes])
    with torch.no_grad():
        constant = head(nothing[None])[0].double()
    return means, constant


def quadrature(stretches: int) -> list[tuple[float, float]]:
    """Points between 0 and 1, and their weights: Gauss-Legendre on equal stretches."""
    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    return [
        (float(stretch + (p + 1) / 2) / stretches, float(w) / 2 / stretches)
        for stretch in range(stretches)
        for p, w in zip(points, weights, strict=True)
    ]
