"""The three networks of MKD and the objective that trains them together."""

from histodistill.model.batch import Bags, Batch, Genes, Output
from histodistill.model.gene_tokens import to_tokens
from histodistill.model.genomic_teachers import GenomicTeacher
from histodistill.model.multimodal_teachers import MultimodalTeacher
from histodistill.model.networks import Networks
from histodistill.model.objectives import objective
from histodistill.model.settings import (
    NETWORKS,
    Fusion,
    NetworkName,
    NetworkSettings,
    ObjectiveSettings,
)
from histodistill.model.students import Student

__all__ = [
    "NETWORKS",
    "Bags",
    "Batch",
    "Fusion",
    "Genes",
    "GenomicTeacher",
    "MultimodalTeacher",
    "NetworkName",
    "NetworkSettings",
    "Networks",
    "ObjectiveSettings",
    "Output",
    "Student",
    "objective",
    "to_tokens",
]
