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
from .students import Student as Student
from .teachers.genomic import GenomicTeacher as GenomicTeacher
from .teachers.multimodal import MultimodalTeacher as MultimodalTeacher
