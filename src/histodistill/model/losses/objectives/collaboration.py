"""CLOD: two networks that learn from each other's predictions."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax

from histodistill.model.losses.objectives.counting import mean_over_patients


def collaboration(
    first: Tensor, second: Tensor, temperature: float, weight: Tensor | None = None
) -> Tensor:
    """``KL(first <- second) + KL(second <- first)``: each is taught by the other.

    Source: MKD (MICCAI 2025), CLOD for one pair; after Zhang et al., "Deep mutual
    learning", CVPR 2018, eq. 5-8, with the temperature of Hinton et al. 2015.

    Args:
        first: Logits, [n, C].
        second: Logits of the same patients, [n, C].
        temperature: Temperature T.
        weight: Which patients count, [n] of 0 and 1; None for all.
    """
    towards_second = distillation(first, second, temperature, weight)
    return towards_second + distillation(second, first, temperature, weight)


def distillation(
    learner: Tensor, target: Tensor, temperature: float, weight: Tensor | None = None
) -> Tensor:
    """``T^2 batchmean KL( softmax(target / T) || softmax(learner / T) )``, target detached.

    Source: Hinton et al., "Distilling the knowledge in a neural network", 2015, section 2.
    """
    says = log_softmax(learner / temperature, dim=1)
    shall_say = log_softmax(target.detach() / temperature, dim=1)
    divergence = (shall_say.exp() * (shall_say - says)).sum(dim=1)
    return temperature**2 * mean_over_patients(divergence, weight)
