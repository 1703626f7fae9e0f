"""DSMIL, two streams (Li, Li & Eliceiri, CVPR 2021, sections 3.2 and 3.3).

The first stream classifies every patch; for each class, its best patch is critical. The second
pools the bag once for each class, by the likeness of the patches to the critical one; the inner
products are scaled by the square root of their width, as in the authors' code. (torchmil 1.0.2
agrees, but knows two classes and may find the critical patch in the padding of a batch.) The order
of the patches does not count.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.ends import patch_embedding
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent


@STUDENTS.declare(
    "dsmil",
    text="DSMIL, the critical patch and those like it",
    source="Li 2021, CVPR",
    differs="queries and values are linear maps as in the paper, where the code's default has two"
    " layers with tanh for queries and leaves values as they are (with its linear queries"
    " and plain values the numbers are the code's); inner products scaled by the root of "
    "their width, as in the code; loss times two",
)
class DSMIL(MILStudent):
    """Two streams, of which the second gives the features (their mean over classes) and logits.

    The paper's loss is half the cross-entropy of each stream. The auxiliary loss is the
    cross-entropy of the first, so that its sum with that of the logits is twice the paper's.

    ``attention_width`` is that of the queries.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.patches = patch_embedding(shape.feature_width, settings)
        self.instances = nn.Linear(settings.width, shape.n_classes)
        self.query = nn.Linear(settings.width, settings.attention_width)
        self.value = nn.Linear(settings.width, settings.width)
        self.classifier = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(shape.n_classes * settings.width, shape.n_classes),
        )

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        """Features [n, d] and logits [n, C] of the n bags; the loss of the first stream."""
        hidden = self.patches(bags.patches)
        scores = self.instances(hidden)
        lengths = list(bags.sizes)
        best = [bag.max(dim=0) for bag in torch.split(scores, lengths)]
        parts = zip(
            torch.split(self.query(hidden), lengths),
            torch.split(hidden, lengths),
            best,
            strict=True,
        )
        pooled = torch.stack([_pool(q, h, found.indices) for q, h, found in parts])
        # The values are linear and the weights add up to one: pooling may go first.
        by_class = self.value(pooled)
        logits = self.classifier(by_class.flatten(1))
        auxiliary = _first_stream_loss(torch.stack([found.values for found in best]), labels)
        return Output(by_class.mean(dim=1), logits, bags.rows, auxiliary)


def _pool(queries: Tensor, hidden: Tensor, critical: Tensor) -> Tensor:
    """The mean of one bag [N, d] by likeness to the critical patch of each class, [C, d]."""
    likeness = queries @ queries[critical].T / math.sqrt(queries.shape[1])
    return torch.softmax(likeness, dim=0).T.to(hidden.dtype) @ hidden


def _first_stream_loss(logits: Tensor, labels: Tensor | None) -> Tensor | None:
    if labels is None:
        return None
    known = labels >= 0
    return cross_entropy(logits[known], labels[known]) if known.any() else None
