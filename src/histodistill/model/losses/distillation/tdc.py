"""TDC: contrastive distillation that keeps neighbourhoods and pays heed to lost confidence."""

from __future__ import annotations

import torch
from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.critic import Critic, contrast
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.distillation.target_class import of_others, of_target
from histodistill.model.losses.distillation.teacher_queue import TeacherQueue
from histodistill.model.registries import DISTILLERS

QUEUE_SIZE = 512
POSITIVES = 6
MOST_DISCREPANCY = 1.0
WEIGHT = 0.05


@DISTILLERS.declare(
    "tdc",
    text="topology-preserving contrastive distillation",
    source="Xing 2024, Med. Image Anal.",
    in_words="as `crd`, with the 6 nearest of the class (itself among them) as positives, and "
    "patients counting up to twice where the student is less sure than the teacher",
    reads="features, logits (for the weight), labels",
    balance="two linear embeddings of 128; 0.05",
    one_width=True,
    differs="a bounded queue as in `crd`",
)
class TopologyDiscrepancyContrast(Distiller):
    """``WEIGHT mean_i v_i [ - sum_k w_ik log h_ik - sum_{j negative} log(1 - h_ij) ]``.

    ``h_ij = h(s_i, t_j)`` is CRD's. What is added:

    - Topology: positives are the patient's own teacher feature and its nearest ones of the
      same class, POSITIVES in all, with weights ``w`` in proportion to their cosine among the
      teacher's embedded features (negative ones count 0). All others are negatives.
    - Discrepancy: ``v = 1 + clip(m_t - m_s, 0, MOST_DISCREPANCY)``, m being the label's logit
      minus the largest other, so that a patient counts up to twice where the student is
      less sure than the teacher. v has no gradient.

    Patients without a label have neither neighbours nor v and are left out, but serve as
    negatives of others.

    Source: the TDC-Distill module (local topology preserving and discrepancy eliminating
    contrastive distillation) of Xing et al., "Comprehensive learning and adaptive teaching:
    distilling multi-modal knowledge for pathological glioma grading", Medical Image Analysis,
    2024. MKD's released code lists this loss, from that paper's code, as ``TDCLoss``; MoMKD
    compares with "TDC" without code, and is taken to mean the same. The form here is that of
    the released code with nearest neighbours as positives; its memory of every training
    sample is a queue here, as in CRD, and its neighbours do not serve as negatives as well.
    That paper's other parts (masking, mean teacher, gradient-guided weights) are not this
    loss.

    Weight: 0.05, POSITIVES and MOST_DISCREPANCY as in the authors' training script.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__(width, n_classes)
        self.critic = Critic(width)
        self.queue = TeacherQueue(QUEUE_SIZE, width)

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        """The loss of n patients, who then join the queue."""
        features, classes, present = self.queue.behind(teacher.features, labels)
        embedded = self.critic.embed_teacher(features)
        alike = (labels[:, None] == classes) & (labels[:, None] >= 0)
        positive = _neighbours(embedded.detach(), alike)
        scores = self.critic(student.features, embedded)
        losses = contrast(scores, positive, present & (positive == 0))
        self.queue.push(teacher.features, labels)
        known = labels >= 0
        counted = known * _discrepancy(student.logits, teacher.logits, labels.clamp(min=0))
        return WEIGHT * (counted * losses).sum() / known.sum().clamp(min=1)


def _neighbours(embedded: Tensor, alike: Tensor) -> Tensor:
    """Weights [n, m] of the nearest patients of the same class, each patient among its own."""
    n, m = alike.shape
    own = torch.eye(n, m, dtype=torch.bool, device=alike.device)
    cosine = (embedded[:n] @ embedded.T).masked_fill(~alike, -torch.inf)
    least = cosine.topk(min(POSITIVES, m), dim=1).values[:, -1:]
    weights = torch.where(alike & (cosine >= least), cosine.clamp(min=0), 0.0)
    weights = torch.where(own, 1.0, weights)
    return weights / weights.sum(dim=1, keepdim=True)


def _discrepancy(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    lost = (_margin(teacher, labels) - _margin(student, labels)).detach()
    return 1 + lost.clamp(min=0, max=MOST_DISCREPANCY)


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    largest = of_others(logits, labels).amax(dim=1)
    return of_target(logits, labels).squeeze(1) - largest
