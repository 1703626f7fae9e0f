"""The networks that are trained together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from histodistill.errors import InputError
from histodistill.model.batch import Batch, Output
from histodistill.model.building import (
    build_genomic_teacher,
    build_multimodal_teacher,
    build_student,
)
from histodistill.model.pooling.towers import pool_patches
from histodistill.model.registries import MULTIMODAL_TEACHERS, STUDENTS
from histodistill.model.settings import NetworkName, NetworkSettings
from histodistill.model.shape import Shape
from histodistill.model.students.base import PooledStudent
from histodistill.model.teachers.multimodal.base import PooledTeacher


class Networks(nn.Module):
    """The student and its teachers, or those of them that the settings name.

    Args:
        feature_width: Size F of a patch feature; None where no network reads slides.
        blocks: Tokens of each block of genes; left out where no network reads genes.
        n_classes: Number C of classes, at least 2; or those of each of several targets, whose
            logits are then laid side by side.
        settings: Which networks, and their sizes.

    Attributes:
        heads: Number of classes of each target.
        n_classes: Number of all classes together, of every target.
    """

    def __init__(
        self,
        feature_width: int | None,
        blocks: Mapping[str, int],
        n_classes: int | tuple[int, ...],
        settings: NetworkSettings,
    ) -> None:
        super().__init__()
        self.feature_width = feature_width
        self.blocks = dict(blocks) if settings.reads_genes else {}
        self.heads = (n_classes,) if isinstance(n_classes, int) else n_classes
        self.n_classes = sum(self.heads)
        self.settings = settings
        self.student: nn.Module | None = None
        self.multimodal: nn.Module | None = None
        self.genomic: nn.Module | None = None
        if settings.reads_slides and feature_width is None:
            raise ValueError("a network that reads slides needs the width of the patch features")
        shape = Shape(self.n_classes, settings, feature_width or 0, blocks)
        if "student" in settings.networks:
            self.student = build_student(shape)
        if "multimodal" in settings.networks:
            self.multimodal = build_multimodal_teacher(shape)
        if "genomic" in settings.networks:
            self.genomic = build_genomic_teacher(shape)

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
        """Student and teacher, where both declare that they can pool the patches together."""
        bags, genes = batch.bags, batch.genes
        together = (
            STUDENTS.facts_of(type(self.student)).pooled_together
            and MULTIMODAL_TEACHERS.facts_of(type(self.multimodal)).pooled_together
        )
        if not together or bags is None or genes is None or not len(batch.paired_rows):
            return {}
        student = cast("PooledStudent", self.student)
        teacher = cast("PooledTeacher", self.multimodal)
        for_student, for_teacher = pool_patches(bags, [student.tower(), teacher.tower()])
        return {
            "student": student.answer(for_student, bags.rows),
            "multimodal": teacher.answer(for_teacher, bags, genes),
        }

    def of_target(self, place: int) -> Self:
        """Networks that answer one of the targets alone, as they answer it among the others.

        What they share is shared no longer: a copy of its own weights, and of each last layer the
        rows of its classes.

        Args:
            place: Of the target among those that are learnt together.
        """
        if len(self.heads) == 1:
            return self
        first = sum(self.heads[:place])
        own = type(self)(self.feature_width, self.blocks, self.heads[place], self.settings)
        rows = slice(first, first + self.heads[place])

        def cut(value: Tensor, wanted: Tensor) -> Tensor:
            return value if value.shape == wanted.shape else value[rows]

        mine = self.state_dict()
        own.load_state_dict({k: cut(mine[k], wanted) for k, wanted in own.state_dict().items()})
        return own.to(next(self.parameters()).device).train(self.training)

    def class_probabilities(self, logits: Tensor) -> Tensor:
        """Softmax of logits [n, C], of those of each target by themselves."""
        parts = torch.split(logits, list(self.heads), dim=1)
        return torch.cat([torch.softmax(part, dim=1) for part in parts], dim=1)

    def architecture(self) -> dict[str, Any]:
        """What is needed to build the same networks of one target again, as plain JSON values."""
        return {
            "feature_width": self.feature_width,
            "blocks": self.blocks,
            "n_classes": self.n_classes,
            "settings": self.settings.model_dump(mode="json"),
        }

    @classmethod
    def from_architecture(
        cls, architecture: dict[str, Any], allow: Collection[str] = ()
    ) -> Networks:
        """Build networks, with fresh weights, from what ``architecture`` returned.

        Args:
            architecture: May come from a file of somebody else's.
            allow: Import paths of networks that may be imported, by the reader's own choice.

        Raises:
            InputError: It names a network by an import path that is not allowed, or one that
                is not installed.
        """
        settings = NetworkSettings.model_validate(architecture["settings"])
        refused = [name for name in settings.import_paths if name not in allow]
        if refused:
            raise InputError(
                *(
                    f"the model is made of `{name}`, code of another package, which is not run "
                    f"unasked; if you trust it, install it and allow it: --allow {name}, or "
                    f"allow=[{name!r}] in Python"
                    for name in refused
                )
            )
        return cls(
            architecture["feature_width"],
            architecture["blocks"],
            architecture["n_classes"],
            settings,
        )
