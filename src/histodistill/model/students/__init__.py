"""Slide-only networks by name: one file each, all built and called alike.

A student is built as ``Student(feature_width, n_classes, settings)`` and called as
``student(bags, labels)``. It answers every bag with features [n, settings.width] and logits
[n, C]. ``labels`` [n] (-1 where unknown) are given in training only, for students that add a
loss of their own, which they return as ``Output.auxiliary``.
"""

from __future__ import annotations

from torch import nn

from histodistill.model.settings import NetworkSettings, StudentName
from histodistill.model.students.abmil import Student

STUDENTS: dict[StudentName, type[nn.Module]] = {
    "abmil": Student,
}


def build_student(feature_width: int, n_classes: int, settings: NetworkSettings) -> nn.Module:
    """The student that the settings name, with fresh weights."""
    return STUDENTS[settings.student](feature_width, n_classes, settings)


__all__ = ["STUDENTS", "Student", "build_student"]
