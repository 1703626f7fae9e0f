"""Slide-only networks by name: one file each, all built and called alike.

A student is built as ``Student(feature_width, n_classes, settings)`` and called as
``student(bags, labels)``. It answers every bag with features [n, settings.width], or [n, F] if
linear, and logits [n, C]. ``labels`` [n] (-1 where unknown) are given in training only, for
students that add a loss of their own, which they return as ``Output.auxiliary``;
``Output.internals`` then holds what terms of the loss read of them.
"""

from __future__ import annotations

from torch import nn

from histodistill.model.settings import NetworkSettings, StudentName
from histodistill.model.students.abmil import Student
from histodistill.model.students.abmil_plain import PlainABMIL
from histodistill.model.students.clam import ClamMB, ClamSB
from histodistill.model.students.dsmil import DSMIL
from histodistill.model.students.dtfd import AFS, MAS, MaxMinS, MaxS
from histodistill.model.students.ghanet.student import GenomeInformedStudent
from histodistill.model.students.linear import LinearStudent
from histodistill.model.students.momkd.student import MomentumMemoryStudent
from histodistill.model.students.pooling import MaxPooling, MeanPooling
from histodistill.model.students.rrt import RRT
from histodistill.model.students.transmil import TransMIL
from histodistill.model.students.wikg import WiKG

STUDENTS: dict[StudentName, type[nn.Module]] = {
    "abmil": Student,
    "abmil-plain": PlainABMIL,
    "mean": MeanPooling,
    "max": MaxPooling,
    "clam-sb": ClamSB,
    "clam-mb": ClamMB,
    "dsmil": DSMIL,
    "transmil": TransMIL,
    "dtfd-maxs": MaxS,
    "dtfd-maxmins": MaxMinS,
    "dtfd-mas": MAS,
    "dtfd-afs": AFS,
    "wikg": WiKG,
    "rrt": RRT,
    "momkd": MomentumMemoryStudent,
    "ghanet": GenomeInformedStudent,
    "linear": LinearStudent,
}


def build_student(feature_width: int, n_classes: int, settings: NetworkSettings) -> nn.Module:
    """The student that the settings name, with fresh weights."""
    return STUDENTS[settings.student](feature_width, n_classes, settings)


__all__ = ["STUDENTS", "LinearStudent", "Student", "build_student"]
