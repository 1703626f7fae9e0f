from .batch import Bags as Bags, Batch as Batch, Genes as Genes, Output as Output
from .layers.gene_tokens import to_tokens as to_tokens
from .losses.objectives import objective as objective
from .networks import Networks as Networks
from .settings import (
    NETWORKS as NETWORKS,
    Fusion as Fusion,
    NetworkName as NetworkName,
    NetworkSettings as NetworkSettings,
    ObjectiveSettings as ObjectiveSettings,
)
from .shape import Shape as Shape
from .students.base import MILStudent as MILStudent
from .teachers.genomic.base import GenomicTeacher as GenomicTeacher
from .teachers.multimodal.base import MultimodalTeacher as MultimodalTeacher
