"""The networks that are trained together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from histodistill.model.batch import Batch, Output
from histodistill.model.pooling.towers import pool_patches
from histodistill.model.settings import NetworkName, NetworkSettings
from histodistill.model.students import Student, build_student
from histodistill.model.teachers.genomic import build_genomic_teacher
from histodistill.model.teachers.multimodal import MultimodalTeacher, build_multimodal_teacher


class Networks(nn.Module):
    """The student and its teachers, or those of them that the settings name.

    Args:
        feature_width: Size F of a patch feature; None where no network reads slides.
        blocks: Tokens of each block of genes; left out where no network reads genes.
        n_classes: Number C of classes, at least 2.
        settings: Which networks, and their sizes.
    """

    def __init__(
        self,
        feature_width: int | None,
        blocks: Mapping[str, int],
        n_classes: int,
        settings: NetworkSettings,
    ) -> None:
        super().__init__()
        self.feature_width = feature_width
        self.blocks = dict(blocks) if settings.reads_genes else {}
        self.n_classes = n_classes
        self.settings = settings
        self.student: nn.Module | None = None
        self.multimodal: nn.Module | None = None
        self.genomic: nn.Module | None = None
        if "student" in settings.networks:
            self.student = build_student(_width(feature_width), n_classes, settings)
        if "multimodal" in settings.networks:
            self.multimodal = build_multimodal_teacher(
                _width(feature_width), blocks, n_classes, settings
            )
        if "genomic" in settings.networks:
            self.genomic = build_genomic_teacher(blocks, n_classes, settings)

    def forward(self, batch: Batch) -> dict[NetworkName, Output]:
        """What each network makes of the patients that it can answer.

        A network that can answer none of the batch is left out.
        """
        outputs = self._shared_pass(batch)
        if "student" not in outputs and self.student is not None and batch.bags is not None:
            labels = batch.labels[batch.bags.rows] if self.training else None
            outputs["student"] = self.student(batch.bags, labels)
        if "multimodal" not in outputs and self.multimodal is not None and len(batch.paired_rows):
            outputs["multimodal"] = self.multimodal(batch.bags, batch.genes)
        if self.genomic is not None and batch.genes is not None:
            outputs["genomic"] = self.genomic(batch.genes)
        return outputs

    def _shared_pass(self, batch: Batch) -> dict[NetworkName, Output]:
        """Student and teacher, where both are of the kind that can pool the patches together."""
        student, teacher, bags, genes = self.student, self.multimodal, batch.bags, batch.genes
        if not (isinstance(student, Student) and isinstance(teacher, MultimodalTeacher)):
            return {}
        if bags is None or genes is None or not len(batch.paired_rows):
            return {}
        for_student, for_teacher = pool_patches(bags, [student.tower(), teacher.tower()])
        return {
            "student": student.answer(for_student, bags.rows),
            "multimodal": teacher.answer(for_teacher, bags, genes),
        }

    def architecture(self) -> dict[str, Any]:
        """What is needed to build the same networks again, as plain JSON values."""
        return {
            "feature_width": self.feature_width,
            "blocks": self.blocks,
            "n_classes": self.n_classes,
            "settings": self.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_architecture(cls, architecture: dict[str, Any]) -> Networks:
        """Build networks, with fresh weights, from what ``architecture`` returned."""
        return cls(
            architecture["feature_width"],
            architecture["blocks"],
            architecture["n_classes"],
            NetworkSettings.model_validate(architecture["settings"]),
        )


def _width(feature_width: int | None) -> int:
    if feature_width is None:
        raise ValueError("a network that reads slides needs the width of the patch features")
    return feature_width
