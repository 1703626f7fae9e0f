"""CLAM with one attention branch, or one for each class (Lu et al., Nature BME 2021).

Two departures from the authors' code. A bag of fewer than 16 patches gives half of them to each
side of the clustering, and a single patch is not clustered; theirs stops there. An instance
classifier is one score instead of two whose difference alone counts in the loss.

(torchmil 1.0.2 has the single branch for two classes, and takes the sum of its smooth SVM loss over
the wrong axis.) The order of the patches does not count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import GatedAttention, pool_bags
from histodistill.model.layers.ends import classifier, patch_embedding
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.pooling.parts import PooledParts, attended_parts
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent

CLUSTERED_PATCHES = 8
BAG_WEIGHT, INSTANCE_WEIGHT = 0.7, 0.3


class InstanceClustering(nn.Module):
    """The clustering loss: patches of high attention are evidence for the class of their bag.

    The classes exclude each other, so for every class but the bag's the patches of highest
    attention are evidence against that class; for the bag's own class, those of lowest attention
    are. The loss is the smooth top-1 SVM of two classes with margin and temperature 1 (Berrada
    et al., ICLR 2018), that is softplus(1 - z) for evidence z that ought to be positive.

    Args:
        width: Size d of a hidden patch.
        n_classes: Number C of classes.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.evidence = nn.Linear(width, n_classes)

    def forward(
        self, hidden: Tensor, scores: Tensor, sizes: tuple[int, ...], labels: Tensor
    ) -> Tensor | None:
        """The mean loss of the bags that have a label and at least two patches.

        Args:
            hidden: Hidden patches, [P, d].
            scores: Attention of each patch in the branch of each class, [P, C].
            sizes: Patches in each of the n bags.
            labels: Class of each bag, [n]; -1 where unknown.

        Returns:
            A scalar; None where there is no such bag.
        """
        lengths = list(sizes)
        evidence = torch.split(self.evidence(hidden), lengths)
        bags = zip(evidence, torch.split(scores, lengths), labels.tolist(), strict=True)
        losses = [_loss(z, s, label) for z, s, label in bags if label >= 0 and len(z) > 1]
        return torch.stack(losses).mean() if losses else None


def _loss(evidence: Tensor, scores: Tensor, label: int) -> Tensor:
    """The loss of one bag, from evidence [N, C] and attention [N, C]."""
    k = min(CLUSTERED_PATCHES, len(scores) // 2)
    sign = -torch.ones_like(evidence[0])
    sign[label] = 1
    attended = evidence.gather(0, scores.topk(k, dim=0).indices)
    highest = softplus(1 - sign * attended).mean(dim=0)
    ignored = scores[:, label].topk(k, largest=False).indices
    lowest = softplus(1 + evidence[ignored, label]).mean()
    own = (highest[label] + lowest) / 2
    return (highest.sum() - highest[label] + own) / len(sign)


@STUDENTS.declare(
    "clam-sb",
    text="CLAM, one attention branch, with the instance loss",
    source="Lu 2021, Nat. Biomed. Eng.",
    differs="a bag of fewer than 16 patches gives half of them to each side of the clustering, "
    "where the code stops; a single patch is not clustered; an instance classifier is one "
    "score instead of two whose difference counts; loss divided by 0.7",
)
class ClamSB(MILStudent):
    """CLAM with a single attention branch.

    The paper's loss is .7 cross-entropy + .3 clustering. The auxiliary loss is 3/7 of the
    clustering, so that its sum with the cross-entropy is the paper's divided by .7.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.n_classes = shape.n_classes
        self.patches = patch_embedding(shape.feature_width, settings)
        self.attention = GatedAttention(settings.width, settings.attention_width)
        self.classifier = classifier(shape.n_classes, settings)
        self.clustering = InstanceClustering(settings.width, shape.n_classes)
        init_self_normalising(self)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        """Features [n, d] and logits [n, C] of the n bags; the clustering loss of labels [n]."""
        hidden = self.patches(bags.patches)
        scores = self.attention(hidden)
        features = pool_bags(scores, hidden, bags.sizes)
        every_branch = scores[:, None].expand(-1, self.n_classes)
        auxiliary = _auxiliary(self.clustering, hidden, every_branch, bags, labels)
        return Output(features, self.classifier(features), bags.rows, auxiliary)

    def parts(self, bags: Bags) -> PooledParts:
        """See :meth:`MILStudent.parts`."""
        hidden = self.patches(bags.patches)
        return attended_parts(self.attention(hidden), hidden, self.classifier)


@STUDENTS.declare(
    "clam-mb",
    text="CLAM, a branch a class, with the instance loss",
    source="Lu 2021, Nat. Biomed. Eng.",
    differs="as `clam-sb`",
)
class ClamMB(MILStudent):
    """CLAM with an attention branch for each class, which alone decides on the class's logit.

    The features are the mean of the branches. The auxiliary loss is that of ``ClamSB``.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.patches = patch_embedding(shape.feature_width, settings)
        self.gate = nn.Linear(settings.width, 2 * settings.attention_width)
        self.branches = nn.Linear(settings.attention_width, shape.n_classes)
        self.dropout = nn.Dropout(settings.dropout)
        self.classifiers = nn.Linear(settings.width, shape.n_classes)
        self.clustering = InstanceClustering(settings.width, shape.n_classes)
        init_self_normalising(self)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        """Features [n, d] and logits [n, C] of the n bags; the clustering loss of labels [n]."""
        hidden = self.patches(bags.patches)
        scores = self._scores(hidden)
        lengths = list(bags.sizes)
        parts = zip(torch.split(scores, lengths), torch.split(hidden, lengths), strict=True)
        pooled = torch.stack([torch.softmax(s, dim=0).T.to(h.dtype) @ h for s, h in parts])
        logits = self._classified(pooled)
        auxiliary = _auxiliary(self.clustering, hidden, scores, bags, labels)
        return Output(pooled.mean(dim=1), logits, bags.rows, auxiliary)

    def parts(self, bags: Bags) -> PooledParts:
        """See :meth:`MILStudent.parts`; a branch a class."""
        hidden = self.patches(bags.patches)
        return PooledParts(self._scores(hidden), hidden, self._classified, linear=True)

    def _scores(self, hidden: Tensor) -> Tensor:
        """Attention of each branch, [P, C]."""
        content, gate = self.gate(hidden).chunk(2, dim=-1)
        scores: Tensor = self.branches(torch.tanh(content) * torch.sigmoid(gate))
        return scores

    def _classified(self, pooled: Tensor) -> Tensor:
        """Logits [n, C] of bags pooled by each branch, [n, C, d]."""
        own_class = self.dropout(pooled) * self.classifiers.weight
        logits: Tensor = own_class.sum(dim=-1) + self.classifiers.bias
        return logits


def _auxiliary(
    clustering: InstanceClustering,
    hidden: Tensor,
    scores: Tensor,
    bags: Bags,
    labels: Tensor | None,
) -> Tensor | None:
    if labels is None:
        return None
    loss = clustering(hidden, scores, bags.sizes, labels)
    return None if loss is None else INSTANCE_WEIGHT / BAG_WEIGHT * loss
