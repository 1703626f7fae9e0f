"""DTFD-MIL: two tiers of attention over random pseudo-bags (Zhang et al., CVPR 2022).

A bag is divided at random into pseudo-bags. The first tier, a gated ABMIL, learns to give each the
label of its bag; of each, one or two vectors are distilled, and the second tier, another gated
ABMIL, judges the bag by these. The four ways to distil are those of section 3.3 of the paper.

As in the paper each tier learns from its own loss alone: no gradient goes from the second to the
first. Whatever else is asked of features and logits therefore trains the second tier.

In evaluation pseudo-bag g of G holds the patches g, g + G, g + 2 G, ...: the answer is
deterministic, but it depends on the order of the patches.

(torchmil 1.0.2 lacks MAS, hands on all patches where MaxS and MaxMinS distil one or two, ranks them
without their attention, sends gradients between the tiers and divides at random in evaluation.)
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import GatedAttention, pool_bags
from histodistill.model.layers.ends import classifier, patch_embedding
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent

PSEUDO_BAGS = 8  # the paper's number for slides of TCGA


class _DTFD(MILStudent):
    """Two tiers; what is distilled between them is the subclass's choice.

    The paper's loss is the sum of the tiers' cross-entropies. The auxiliary loss is that of the
    first tier (mean over pseudo-bags, then over bags), so that its sum with the cross-entropy of
    the logits is the paper's.

    Sizes, the same in both tiers.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.patches = patch_embedding(shape.feature_width, settings)
        self.first_attention = GatedAttention(settings.width, settings.attention_width)
        self.first_classifier = classifier(shape.n_classes, settings)
        self.attention = GatedAttention(settings.width, settings.attention_width)
        self.classifier = classifier(shape.n_classes, settings)
        init_self_normalising(self)

    @abstractmethod
    def distil(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """What the second tier learns of one pseudo-bag.

        Args:
            hidden: Its patches, [N, d].
            weights: Their attention, [N], adding up to one.

        Returns:
            One or two vectors, [r, d].
        """

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        """Features [n, d] and logits [n, C] of the n bags; the loss of the first tier."""
        order, sizes = self._pseudo_bags(bags)
        hidden = self.patches(bags.patches)[order]
        scores = self.first_attention(hidden)
        counts = [len(of_bag) for of_bag in sizes]
        lengths = [size for of_bag in sizes for size in of_bag]
        distilled = torch.split(self._distilled(hidden.detach(), scores.detach(), lengths), counts)
        vectors = torch.cat([of_bag.flatten(0, 1) for of_bag in distilled])
        of_each = [of_bag.shape[0] * of_bag.shape[1] for of_bag in distilled]
        features = pool_bags(self.attention(vectors), vectors, of_each)
        auxiliary = None
        if labels is not None and (labels >= 0).any():
            logits = self.first_classifier(pool_bags(scores, hidden, lengths))
            auxiliary = _first_tier_loss(logits, counts, labels)
        return Output(features, self.classifier(features), bags.rows, auxiliary)

    def _pseudo_bags(self, bags: Bags) -> tuple[Tensor, list[list[int]]]:
        """An order of all patches, pseudo-bag by pseudo-bag, and their sizes for each bag."""
        order, sizes, start = [], [], 0
        for size in bags.sizes:
            patches = start + (torch.randperm(size) if self.training else torch.arange(size))
            parts = [patches[first::PSEUDO_BAGS] for first in range(min(PSEUDO_BAGS, size))]
            order.extend(parts)
            sizes.append([len(part) for part in parts])
            start += size
        return torch.cat(order).to(bags.patches.device), sizes

    def _distilled(self, hidden: Tensor, scores: Tensor, lengths: list[int]) -> Tensor:
        """The distilled vectors of all pseudo-bags, [G, r, d]."""
        parts = zip(torch.split(hidden, lengths), torch.split(scores, lengths), strict=True)
        return torch.stack(
            [self.distil(part, torch.softmax(s, dim=0).to(part.dtype)) for part, s in parts]
        )

    def _evidence(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """How much each patch [N, d] speaks for a positive bag, [N].

        The paper derives the class probabilities of a patch by Grad-CAM: they are the softmax of
        its part of the pseudo-bag's logits. A patch is ranked by the probability that it is of
        any class but the first; this is the log-odds of that, which tells apart the patches of
        large bags where the probabilities are all alike to the last digit.
        """
        last = self.first_classifier.get_parameter("1.weight").detach()
        parts = weights[:, None] * linear(hidden, last)
        return torch.logsumexp(parts[:, 1:], dim=1) - parts[:, 0]


@STUDENTS.declare(
    "dtfd-maxs",
    text="DTFD-MIL, the most positive patch of each pseudo-bag",
    source="Zhang 2022, CVPR",
    reads="slides, the order counts in evaluation",
    differs="in evaluation a bag is divided by position instead of at random: deterministic; "
    "patches are ranked by the probability of any class but the first",
)
class MaxS(_DTFD):
    """Distils the patch that speaks most for a positive bag."""

    def distil(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """One patch, [1, d]."""
        return hidden[self._evidence(hidden, weights).argmax()][None]


@STUDENTS.declare(
    "dtfd-maxmins",
    text="DTFD-MIL, the most and the least positive patch",
    source="Zhang 2022, CVPR",
    reads="slides, the order counts in evaluation",
    differs="as `dtfd-maxs`",
)
class MaxMinS(_DTFD):
    """Distils the patches that speak most and least for a positive bag."""

    def distil(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """Two patches, [2, d]; the same one twice where there is no other."""
        evidence = self._evidence(hidden, weights)
        return hidden[torch.stack([evidence.argmax(), evidence.argmin()])]


@STUDENTS.declare(
    "dtfd-mas",
    text="DTFD-MIL, the most attended patch",
    source="Zhang 2022, CVPR",
    reads="slides, the order counts in evaluation",
    differs="as `dtfd-maxs`",
)
class MAS(_DTFD):
    """Distils the patch of highest attention."""

    def distil(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """One patch, [1, d]."""
        return hidden[weights.argmax()][None]


@STUDENTS.declare(
    "dtfd-afs",
    text="DTFD-MIL, each pseudo-bag's pooled feature",
    source="Zhang 2022, CVPR",
    reads="slides, the order counts in evaluation",
    differs="as `dtfd-maxs`",
)
class AFS(_DTFD):
    """Distils the aggregated feature of the pseudo-bag."""

    def distil(self, hidden: Tensor, weights: Tensor) -> Tensor:
        """The attention-weighted mean, [1, d]."""
        return (weights @ hidden)[None]


def _first_tier_loss(logits: Tensor, counts: list[int], labels: Tensor) -> Tensor:
    """Cross-entropy of pseudo-bags with the labels of their bags, over bags with a label."""
    number = torch.tensor(counts, device=labels.device)
    losses = cross_entropy(
        logits, labels.repeat_interleave(number), ignore_index=-1, reduction="none"
    )
    means = torch.stack([of_bag.mean() for of_bag in torch.split(losses, counts)])
    return means[labels >= 0].mean()
