"""CLOD: two networks that learn from each other's predictions."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def collaboration(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """``KL(first <- second) + KL(second <- first)``: each is taught by the other.

    Source: MKD (MICCAI 2025), CLOD for one pair; after Zhang et al., "Deep mutual
    learning", CVPR 2018, eq. 5-8, with the temperature of Hinton et al. 2015.

    Args:
        first: Logits, [n, C].
        second: Logits of the same patients, [n, C].
        temperature: Temperature T.
    """
    return distillation(first, second, temperature) + distillation(second, first, temperature)


def distillation(learner: Tensor, target: Tensor, temperature: float) -> Tensor:
    """``T^2 batchmean KL( softmax(target / T) || softmax(learner / T) )``, target detached.

    Source: Hinton et al., "Distilling the knowledge in a neural network", 2015, section 2.
    """
    divergence = kl_div(
        log_softmax(learner / temperature, dim=1),
        log_softmax(target.detach() / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence
