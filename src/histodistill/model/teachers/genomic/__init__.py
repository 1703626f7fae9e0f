"""Genomics-only networks by name: one file each, all built and called alike.

A genomic teacher is built as ``Teacher(blocks, n_classes, settings)``, ``blocks`` giving the
number of tokens of each block of genes, and called as ``teacher(genes)``.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from histodistill.model.settings import GenomicName, NetworkSettings
from histodistill.model.teachers.genomic.branches import BranchedTeacher
from histodistill.model.teachers.genomic.linear import LinearGenomicTeacher
from histodistill.model.teachers.genomic.snn import SNN
from histodistill.model.teachers.genomic.tokens import GenomicTeacher

GENOMIC_TEACHERS: dict[GenomicName, type[nn.Module]] = {
    "tokens": GenomicTeacher,
    "snn": SNN,
    "branches": BranchedTeacher,
    "linear": LinearGenomicTeacher,
}


def build_genomic_teacher(
    blocks: Mapping[str, int], n_classes: int, settings: NetworkSettings
) -> nn.Module:
    """The genomic teacher that the settings name, with fresh weights."""
    return GENOMIC_TEACHERS[settings.genomic](blocks, n_classes, settings)


__all__ = [
    "GENOMIC_TEACHERS",
    "SNN",
    "GenomicTeacher",
    "LinearGenomicTeacher",
    "build_genomic_teacher",
]
