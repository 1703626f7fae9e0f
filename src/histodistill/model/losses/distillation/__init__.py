"""Ways to teach the student from a teacher, by name: one file each, built and called alike.

A distiller is built as ``Distiller(width, n_classes)``, ``width`` being the size of the
features of both networks, and called as ``distiller(student, teacher, labels)`` with the
outputs of the same n patients, row by row, the teacher's detached, and their labels [n]
(-1 where unknown). It answers a scalar loss. Its own weights, if any, are trained with the
student and thrown away afterwards.
"""

from __future__ import annotations

from histodistill.model.losses.distillation.attention_transfer import AttentionTransfer
from histodistill.model.losses.distillation.correlation_congruence import CorrelationCongruence
from histodistill.model.losses.distillation.crd import ContrastiveDistillation
from histodistill.model.losses.distillation.dist import StrongerTeacher
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.distillation.dkd import DecoupledDistillation
from histodistill.model.losses.distillation.fitnet import FitNet
from histodistill.model.losses.distillation.hinton import Hinton
from histodistill.model.losses.distillation.mlkd import MultiLevelDistillation
from histodistill.model.losses.distillation.nkd import NormalisedDistillation
from histodistill.model.losses.distillation.pkt import ProbabilisticTransfer
from histodistill.model.losses.distillation.rkd import RelationalDistillation
from histodistill.model.losses.distillation.similarity_preserving import SimilarityPreserving
from histodistill.model.losses.distillation.tdc import TopologyDiscrepancyContrast
from histodistill.model.losses.distillation.vid import VariationalInformation
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
