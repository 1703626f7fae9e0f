"""A linear genomic teacher: logistic regression on all genes."""

from __future__ import annotations

import math

from torch import nn

from histodistill.model.batch import Genes, Output
from histodistill.model.layers.dropout import Dropout
from histodistill.model.layers.self_normalising import present_tokens
from histodistill.model.registries import GENOMIC_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.genomic.base import GenomicTeacher


@GENOMIC_TEACHERS.declare(
    "linear",
    text="logistic regression on all genes, trained like the networks",
    differs="this library's; weights start from 0, genes are divided by the root of their number",
    recipe="linear-genomic",
    fixed_width=False,
    stackable=True,
    heads=True,
)
class LinearGenomicTeacher(GenomicTeacher):
    """One layer on all genes of all blocks, with dropout of its inputs.

    Genes of a block that a patient lacks are read as 0, the mean of a standardised gene. The
    features are the genes, divided by the root of their number, so that networks of any width
    learn at the same rate. Weights start from 0.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        layer = nn.Linear(sum(shape.blocks.values()) * settings.token_size, shape.n_classes)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        self.blocks = tuple(shape.blocks)
        self.classifier = nn.Sequential(Dropout(settings.dropout), layer)

    def forward(self, genes: Genes) -> Output:
        """Features [n, genes] and logits [n, C] of n patients."""
        every = present_tokens(genes, self.blocks).flatten(1)
        features = every / math.sqrt(every.shape[1])
        return Output(features, self.classifier(features), genes.rows)
