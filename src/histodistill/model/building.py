"""Networks and terms of the loss, built from what settings name."""

from __future__ import annotations

from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import (
    DISTILLERS,
    GENOMIC_TEACHERS,
    MULTIMODAL_TEACHERS,
    STUDENTS,
)
from histodistill.model.settings import ObjectiveSettings
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent
from histodistill.model.teachers.genomic.base import GenomicTeacher
from histodistill.model.teachers.multimodal.base import MultimodalTeacher


def build_student(shape: Shape) -> MILStudent:
    """The student that the settings name, with fresh weights."""
    settings = shape.settings
    return STUDENTS.load(settings.student)(shape, **settings.student_options)


def build_genomic_teacher(shape: Shape) -> GenomicTeacher:
    """The genomic teacher that the settings name, with fresh weights."""
    settings = shape.settings
    return GENOMIC_TEACHERS.load(settings.genomic)(shape, **settings.genomic_options)


def build_multimodal_teacher(shape: Shape) -> MultimodalTeacher:
    """The multimodal teacher that the settings name, with fresh weights."""
    settings = shape.settings
    return MULTIMODAL_TEACHERS.load(settings.multimodal)(shape, **settings.multimodal_options)


def build_distiller(
    name: str, settings: ObjectiveSettings, width: int, n_classes: int
) -> Distiller:
    """A way to distil, with fresh weights of its own, if it has any."""
    options = settings.distillation_options.get(name, {})
    return DISTILLERS.load(name)(width, n_classes, **options)
