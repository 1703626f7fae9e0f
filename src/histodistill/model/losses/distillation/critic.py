"""The critic of contrastive distillation: do two features belong to the same patient?"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize

EMBEDDING_WIDTH = 128
TEMPERATURE = 0.07


class Critic(nn.Module):
    """Learned embeddings of student and teacher features on the unit sphere, and their scores.

    Source: Tian, Krishnan & Isola, "Contrastive representation distillation", ICLR 2020,
    section 3; embedding width and temperature as in the authors' code.

    Args:
        width: Size d of the features.
    """

    log_normaliser: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.student = nn.Linear(width, EMBEDDING_WIDTH)
        self.teacher = nn.Linear(width, EMBEDDING_WIDTH)
        self.register_buffer("log_normaliser", torch.tensor(math.nan))

    def embed_teacher(self, features: Tensor) -> Tensor:
        """Unit vectors [m, EMBEDDING_WIDTH] of teacher features [m, d]."""
        return normalize(self.teacher(features), dim=1)

    def forward(self, student: Tensor, embedded: Tensor) -> Tensor:
        """Scores ``<g(s), g(t)> / T - log Z``, [n, m].

        Z, the mean of the exponentials among the patients of the first batch, stays as it is,
        as in the authors' code.

        Args:
            student: Student features, [n, d].
            embedded: Embedded teacher features, [m, EMBEDDING_WIDTH]; the first n are those
                of the same patients.
        """
        n = len(student)
        scores = normalize(self.student(student), dim=1) @ embedded.T / TEMPERATURE
        first = scores[:, :n].detach().flatten().logsumexp(dim=0) - 2 * math.log(n)
        self.log_normaliser = torch.where(self.log_normaliser.isnan(), first, self.log_normaliser)
        return scores - self.log_normaliser


def contrast(scores: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """``- sum_j w_j log h_j - sum_{j negative} log(1 - h_j)`` of each patient, [n].

    ``h = e^score / (e^score + N)``, N the number of the patient's negatives (at least 1).

    Source: noise-contrastive estimation as in CRD (Tian et al. 2020), eq. 18.

    Args:
        scores: Scores, [n, m].
        positive: Weights w of the positives, [n, m]; each row adds up to 1.
        negative: Which are negatives, [n, m] bool.
    """
    n_negatives = negative.sum(dim=1, keepdim=True).clamp(min=1)
    odds = scores - n_negatives.log()
    attracted = (positive * logsigmoid(odds)).sum(dim=1)
    repelled = (negative * logsigmoid(-odds)).sum(dim=1)
    return -(attracted + repelled)
