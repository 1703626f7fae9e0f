"""What students share whose patches are embedded one by one and pooled by attention."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import pool_bags
from histodistill.model.pooling.parts import PooledParts, attended_parts
from histodistill.model.students.base import MILStudent


class AttendedStudent(MILStudent):
    """Attention pooling of the hidden patches. The order of the patches does not count.

    Attributes:
        patches: From patches [P, F] to hidden ones [P, d].
        attention: From hidden patches to unnormalised scores [P].
        classifier: From features [n, d] to logits [n, C].
    """

    patches: nn.Module
    attention: nn.Module
    classifier: nn.Module

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = self.patches(bags.patches)
        features = pool_bags(self.attention(hidden), hidden, bags.sizes)
        return Output(features, self.classifier(features), bags.rows)

    def parts(self, bags: Bags) -> PooledParts:
        """See :meth:`MILStudent.parts`."""
        hidden = self.patches(bags.patches)
        return attended_parts(self.attention(hidden), hidden, self.classifier)
