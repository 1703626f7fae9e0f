"""RKD: the student keeps the distances and the angles between patients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

DISTANCE_WEIGHT = 25.0
ANGLE_WEIGHT = 50.0
# Two patients nearer than this, relative to the mean distance, have no direction: it would be
# rounding error, with a gradient as large as the distance is small.
COINCIDENT = 1e-4
SMALLEST_MEAN = 1e-6


@DISTILLERS.declare(
    "rkd",
    text="relational KD, distances and angles",
    source="Park 2019, CVPR",
    in_words="Huber loss of relative distances between patients, and of the angles among three",
    reads="features",
    balance="none; 25 and 50",
)
class RelationalDistillation(Distiller):
    """``DISTANCE_WEIGHT mean_ij huber(psi_ij) + ANGLE_WEIGHT mean_ijk huber(psi_ijk)``.

    ``psi_ij`` are the differences between student and teacher of the distances of patients i
    and j, each divided by the network's mean distance; ``psi_ijk`` those of the cosine of the
    angle at j. Neither depends on the scale, the origin or the rotation of the features.

    Source: Park et al., "Relational knowledge distillation", CVPR 2019, section 3.2. Both means
    run over all n^2 pairs and n^3 triplets, as in the authors' code. With two patients
    distances and angles are constant and the loss is 0.

    Weights: the paper's for classification (25 and 50); they are free of scale.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        distances, angles = _relations(student.features)
        target_distances, target_angles = _relations(teacher.features)
        return DISTANCE_WEIGHT * smooth_l1_loss(
            distances, target_distances
        ) + ANGLE_WEIGHT * smooth_l1_loss(angles, target_angles)


def _relations(features: Tensor) -> tuple[Tensor, Tensor]:
    """Relative distances [n, n], and cosines [n, n, n] of the angles at the first patient."""
    n = len(features)
    differences = features[None] - features[:, None]
    distances = torch.linalg.vector_norm(differences, dim=2)
    relative = distances / (distances.sum() / (n * (n - 1))).clamp(min=SMALLEST_MEAN)
    apart = relative > COINCIDENT
    length = torch.where(apart, distances, 1.0)
    directions = torch.where(apart[:, :, None], differences / length[:, :, None], 0.0)
    return relative, directions @ directions.transpose(1, 2)
