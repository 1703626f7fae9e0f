"""SP: patients that are alike for the teacher are alike for the student."""

from __future__ import annotations

from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.objectives.similarity import similarity
from histodistill.model.registries import DISTILLERS

WEIGHT = 3000 / 64


@DISTILLERS.declare(
    "sp",
    text="similarities between patients",
    source="Tung 2019, ICCV",
    in_words="squared difference of the patients' similarities, each row of unit norm, a mean over "
    "rows",
    reads="features",
    balance="none; 3000 / 64",
    differs="a mean over patients instead of pairs, so that the balance does not hang on the "
    "batch size; the factor is that of the benchmark of CRD at its 64 samples a batch",
)
class SimilarityPreserving(Distiller):
    """``WEIGHT / n || rn(S S^T) - rn(T T^T) ||_F^2``, rn dividing each row by its L2 norm.

    Source: Tung & Mori, "Similarity-preserving knowledge distillation", ICCV 2019, eq. 2-4.

    Weight: the paper's 3000 is for a mean over n^2 pairs of patients. Rows have unit norm,
    so that mean shrinks as 1 / n; 3000 at 64 samples (the benchmark of CRD, Tian et al.
    2020) is 3000 / 64 for each row, which does not depend on the batch size.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        return WEIGHT * len(student.rows) * similarity(student.features, teacher.features)
