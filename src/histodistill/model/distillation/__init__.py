"""Ways to teach the student from a teacher, by name: one file each, built and called alike.

A distiller is built as ``Distiller(width, n_classes)``, ``width`` being the size of the
features of both networks, and called as ``distiller(student, teacher, labels)`` with the
outputs of the same n patients, row by row, the teacher's detached, and their labels [n]
(-1 where unknown). It answers a scalar loss. Its own weights, if any, are trained with the
student and thrown away afterwards.
"""

from __future__ import annotations

from histodistill.model.distillation.attention_transfer import AttentionTransfer
from histodistill.model.distillation.correlation_congruence import CorrelationCongruence
from histodistill.model.distillation.crd import ContrastiveDistillation
from histodistill.model.distillation.dist import StrongerTeacher
from histodistill.model.distillation.distiller import Distiller
from histodistill.model.distillation.dkd import DecoupledDistillation
from histodistill.model.distillation.fitnet import FitNet
from histodistill.model.distillation.hinton import Hinton
from histodistill.model.distillation.mlkd import MultiLevelDistillation
from histodistill.model.distillation.nkd import NormalisedDistillation
from histodistill.model.distillation.pkt import ProbabilisticTransfer
from histodistill.model.distillation.rkd import RelationalDistillation
from histodistill.model.distillation.similarity_preserving import SimilarityPreserving
from histodistill.model.distillation.tdc import TopologyDiscrepancyContrast
from histodistill.model.distillation.vid import VariationalInformation
from histodistill.model.settings import DistillationName

DISTILLERS: dict[DistillationName, type[Distiller]] = {
    "kd": Hinton,
    "fitnet": FitNet,
    "at": AttentionTransfer,
    "sp": SimilarityPreserving,
    "rkd": RelationalDistillation,
    "pkt": ProbabilisticTransfer,
    "crd": ContrastiveDistillation,
    "vid": VariationalInformation,
    "cc": CorrelationCongruence,
    "dkd": DecoupledDistillation,
    "dist": StrongerTeacher,
    "nkd": NormalisedDistillation,
    "mlkd": MultiLevelDistillation,
    "tdc": TopologyDiscrepancyContrast,
}

__all__ = ["DISTILLERS", "Distiller", "Hinton"]
