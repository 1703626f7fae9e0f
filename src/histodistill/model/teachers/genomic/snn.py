"""The self-normalising network: all genes as one vector."""

from __future__ import annotations

from torch import nn

from histodistill.model.batch import Genes, Output
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.layers.self_normalising import SelfNormalisingNetwork
from histodistill.model.registries import GENOMIC_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.genomic.base import GenomicTeacher


@GENOMIC_TEACHERS.declare(
    "snn",
    text="self-normalising network",
    source="Klambauer 2017, NeurIPS",
    differs="two layers with ELU and alpha dropout, the form that MCAT and PORPOISE give to their "
    "genes",
    stackable=True,
    heads=True,
)
class SNN(GenomicTeacher):
    """Two self-normalising layers on all genes of all blocks.

    Source: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, in the form that
    MCAT (ICCV 2021) and PORPOISE (Cancer Cell 2022) give to their genes.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.genes = SelfNormalisingNetwork(
            shape.blocks, (settings.width, settings.width), settings
        )
        self.classifier = nn.Linear(settings.width, shape.n_classes)
        init_self_normalising(self)

    def forward(self, genes: Genes) -> Output:
        """Features [n, d] and logits [n, C] of n patients."""
        features = self.genes(genes)
        return Output(features, self.classifier(features), genes.rows)
