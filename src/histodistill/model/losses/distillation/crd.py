"""CRD: a student feature recognises its own patient among the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.critic import Critic, contrast
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.distillation.teacher_queue import TeacherQueue
from histodistill.model.registries import DISTILLERS

QUEUE_SIZE = 512
WEIGHT = 0.8


@DISTILLERS.declare(
    "crd",
    text="contrastive representation distillation",
    source="Tian 2020, ICLR",
    in_words="noise contrast: its own teacher feature against those of other patients, in the "
    "batch and in a queue of the last 512",
    reads="features, labels where known (nobody of the own class is a negative)",
    balance="two linear embeddings of 128; 0.8",
    one_width=True,
    differs="a bounded queue takes the place of a memory of every training sample, and negatives "
    "are a few hundred instead of 16,384; one direction, where the code adds that of the "
    "teacher among the student's: the loss starts near 0.8 x 7, the code's near 0.8 x 2 x"
    " 11",
)
class ContrastiveDistillation(Distiller):
    """``WEIGHT mean_i [ - log h(s_i, t_i) - sum_{j negative} log(1 - h(s_i, t_j)) ]``.

    ``h(s, t) = e^u / (e^u + N)``, ``u = <g_s(s), g_t(t)> / T - log Z`` (see ``critic``).
    Negatives are the other patients of the batch and those of a queue of the last
    QUEUE_SIZE teacher features, except those known to be of the patient's own class: the
    paper's choice where labels exist. They also keep a patient who is drawn twice, or is
    still in the queue, from being repelled from itself; a patient without a label has no such
    protection. The minimum is not at equal features: the embeddings g are learned.

    Source: Tian, Krishnan & Isola, "Contrastive representation distillation", ICLR 2020,
    section 3. The paper's memory holds a feature of every training sample, by its index, from
    both networks, and gives each positive 16,384 negatives; cohorts are smaller than that. The
    queue holds features before the embedding, so that only the network's own change makes
    them stale, and one set of scores trains both embeddings.

    Weight: the paper's 0.8. Per positive the loss starts near ``log(N + 1) + 1``, which is 6
    for a full queue and 10 in the paper.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__(width, n_classes)
        self.critic = Critic(width)
        self.queue = TeacherQueue(QUEUE_SIZE, width)

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        """The loss of n patients, who then join the queue."""
        features, classes, present = self.queue.behind(teacher.features, labels)
        scores = self.critic(student.features, self.critic.embed_teacher(features))
        own = torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
        alike = (labels[:, None] == classes) & (labels[:, None] >= 0)
        losses = contrast(scores, own.to(scores.dtype), present & ~own & ~alike)
        self.queue.push(teacher.features, labels)
        return WEIGHT * losses.mean()
