"""Networks that read slides and genes, by name: one file each, all built and called alike.

A multimodal teacher is built as ``Teacher(feature_width, blocks, n_classes, settings)`` and
called as ``teacher(bags, genes)`` with the patients of a batch that have bags and genes, in
the same order. It answers features [n, settings.width], or [n, F + genes] if linear, and
logits [n, C].
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from histodistill.model.settings import MultimodalName, NetworkSettings
from histodistill.model.teachers.multimodal.cmta import CMTA
from histodistill.model.teachers.multimodal.experts import Experts
from histodistill.model.teachers.multimodal.late import LateFusion
from histodistill.model.teachers.multimodal.linear import LinearMultimodalTeacher
from histodistill.model.teachers.multimodal.mcat import MCAT
from histodistill.model.teachers.multimodal.mkd import MultimodalTeacher
from histodistill.model.teachers.multimodal.pathomic import PathomicFusion
from histodistill.model.teachers.multimodal.porpoise import Porpoise

MULTIMODAL_TEACHERS: dict[MultimodalName, type[nn.Module]] = {
    "mkd": MultimodalTeacher,
    "mcat": MCAT,
    "cmta": CMTA,
    "porpoise": Porpoise,
    "pathomic": PathomicFusion,
    "late": LateFusion,
    "experts": Experts,
    "linear": LinearMultimodalTeacher,
}


def build_multimodal_teacher(
    feature_width: int, blocks: Mapping[str, int], n_classes: int, settings: NetworkSettings
) -> nn.Module:
    """The multimodal teacher that the settings name, with fresh weights."""
    teacher = MULTIMODAL_TEACHERS[settings.multimodal]
    return teacher(feature_width, blocks, n_classes, settings)


__all__ = ["MULTIMODAL_TEACHERS", "MultimodalTeacher", "build_multimodal_teacher"]
