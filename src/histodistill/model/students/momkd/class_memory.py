"""Memories of the classes on a sphere, and the loss that aligns vectors with them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

AGGREGATION = 5.0
STEEPNESS = 20.0
MARGIN = 0.3


def affinities(directions: Tensor, memory: Tensor) -> Tensor:
    """``log sum_k exp(a <f, m_ck>) / a``: a smooth largest cosine with each class, [n, C].

    Source: MoMKD (see ``students.momkd``), soft angle-based alignment, a = 5.

    Args:
        directions: Unit vectors f, [n, s].
        memory: K unit vectors of each class, [C, K, s].
    """
    cosines = torch.einsum("ns,cks->nck", directions, memory)
    return torch.logsumexp(AGGREGATION * cosines, dim=2) / AGGREGATION


def soft_angle_loss(directions: Tensor, memory: Tensor, labels: Tensor) -> Tensor:
    """``softplus(20 (0.3 - (own - other)))``, a mean over patients.

    ``own`` is the affinity with the patient's class and ``other`` the largest with another.
    Source: as ``affinities``; the largest of several other classes is our reading, since the
    source has two.

    Args:
        directions: Unit vectors, [n, s].
        memory: K unit vectors of each class, [C, K, s].
        labels: Class indices, [n] int64, all known.
    """
    found = affinities(directions, memory)
    mine = labels[:, None]
    own = found.gather(1, mine).squeeze(1)
    other = found.scatter(1, mine, -torch.inf).amax(dim=1)
    return softplus(STEEPNESS * (MARGIN - (own - other))).mean()
