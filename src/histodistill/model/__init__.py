"""The three networks of MKD and the objective that trains them together."""

from histodistill.model.batch import Bags, Batch, Genes, Output
from histodistill.model.layers.gene_tokens import to_tokens
from histodistill.model.losses.objectives import objective
from histodistill.model.networks import Networks
from histodistill.model.settings import (
    NETWORKS,
    Fusion,
    NetworkName,
    NetworkSettings,
    ObjectiveSettings,
)
from histodistill.model.students import Student
from histodistill.model.teachers.genomic import GenomicTeacher
from histodistill.model.teachers.multimodal import MultimodalTeacher

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
