"""Cross-entropy of ordered classes: an answer two classes away is worse than one class away."""

from __future__ import annotations

import torch
from torch import Tensor


def ordered_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the C - 1 cuts of the cross-entropy of "above the cut" against "at or below".

    ``-1/(C-1) sum_k log p(side of cut k on which the label is)``, where the probability of a side
    is the sum of its classes' softmax. With two classes it is the cross-entropy. It is proper:
    the true probabilities have the least expected loss.

    Source: the ranked ignorance score, Tödter & Ahrens, "Generalization of the ignorance score:
    continuous ranked version and its decomposition", Monthly Weather Review 2012, section 3.

    Args:
        logits: [n, C], classes from the least to the most.
        labels: Class indices, [n] int64.

    Returns:
        [n], of each patient.
    """
    below = torch.logcumsumexp(logits, dim=1)
    above = torch.logcumsumexp(logits.flip(1), dim=1).flip(1)
    cuts = torch.arange(logits.shape[1] - 1, device=logits.device)
    side = torch.where(labels[:, None] > cuts, above[:, 1:], below[:, :-1])
    return (below[:, -1:] - side).mean(dim=1)
