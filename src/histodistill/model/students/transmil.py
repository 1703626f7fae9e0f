"""TransMIL: a transformer over the patches (Shao et al., NeurIPS 2021, algorithms 2 and 3).

The authors pad the sequence with zeros until the landmarks divide it, and let the padding be
attended; here nothing is padded. Landmarks make attention cheaper in large bags alone: up to eight
patches for each landmark, all are attended exactly. (torchmil 1.0.2 knows two classes, lacks the
convolution of the values, and lets the bags of a batch change each other's pseudo-inverse.) The
order of the patches counts: they are laid row by row on a square.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.ends import classifier, patch_embedding
from histodistill.model.layers.nystrom import NystromAttention
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent


class PyramidPositions(nn.Module):
    """PPEG: positions by depthwise convolutions of three sizes over the square of patches.

    Args:
        width: Size d of a hidden patch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
            for kernel in (7, 5, 3)
        )

    def forward(self, patches: Tensor) -> Tensor:
        """From the patches of a square [side * side, d], row by row, to the same shape."""
        side = math.isqrt(len(patches))
        grid = patches.T.view(-1, side, side)
        located: Tensor = grid + sum(convolve(grid) for convolve in self.convolutions)
        return located.flatten(1).T


@STUDENTS.declare(
    "transmil",
    text="TransMIL, Nyström self-attention",
    source="Shao 2021, NeurIPS",
    differs="nothing is padded, where the code pads with zeros that are attended; up to eight "
    "patches for each landmark are attended exactly: up to 0.24 of a mean size of 0.7 "
    "apart in bags of 2 patches, 0.10 in 100, 0.03 in 1000, less than 0.01 from 2500 on",
    reads="slides, the order of patches counts",
    heads=True,
)
class TransMIL(MILStudent):
    """Two layers of self-attention with positions between them; a class token is the feature.

    There are half as many landmarks as hidden features.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width = settings.width
        self.patches = patch_embedding(shape.feature_width, settings)
        self.token = nn.Parameter(torch.randn(1, width))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width),
                NystromAttention(width, max(1, width // 2), settings.dropout),
            )
            for _ in range(2)
        )
        self.positions = PyramidPositions(width)
        self.norm = nn.LayerNorm(width)
        self.classifier = classifier(shape.n_classes, settings)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = torch.split(self.patches(bags.patches), list(bags.sizes))
        features = self.norm(torch.stack([self._attended_token(bag) for bag in hidden]))
        return Output(features, self.classifier(features), bags.rows)

    def _attended_token(self, bag: Tensor) -> Tensor:
        """The class token [d] after both layers, for one bag [N, d]."""
        first, second = self.layers
        sequence = torch.cat([self.token.to(bag.dtype), squared(bag)])
        sequence = sequence + first(sequence)
        sequence = torch.cat([sequence[:1], self.positions(sequence[1:])])
        token: Tensor = sequence[0] + second(sequence)[0]
        return token


def squared(bag: Tensor) -> Tensor:
    """The patches [N, d], repeated from the start until their number is a square."""
    side = math.isqrt(len(bag) - 1) + 1
    return torch.cat([bag, bag[: side * side - len(bag)]])
