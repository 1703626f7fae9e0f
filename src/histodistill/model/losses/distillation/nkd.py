"""NKD: the label as sure as the teacher is, and the other classes normalised."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax, softmax

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.distillation.target_class import (
    labelled,
    of_others,
    of_target,
    patient_mean,
)
from histodistill.model.registries import DISTILLERS

TEMPERATURE = 1.0
OTHERS_WEIGHT = 1.5


@DISTILLERS.declare(
    "nkd",
    text="normalised KD",
    source="Yang 2023, ICCV",
    in_words="cross-entropy of the label weighted by the teacher's probability of it, and "
    "cross-entropy of the other classes among themselves",
    reads="logits, labels",
    balance="none; 1 and 1.5",
)
class NormalisedDistillation(Distiller):
    """``- t_y log s_y - OTHERS_WEIGHT T^2 sum_{c != y} N(t)_c log N(s)_c``, a patient mean.

    ``s_y`` and ``t_y`` are the probabilities of the patient's own class y; N are the
    probabilities of the other classes among themselves, at temperature T. Patients without
    a label are left out. Cross-entropies, not divergences: the loss is not 0 where the
    student equals the teacher, and its first term wants the label's class, not the teacher's
    probability.

    With two classes N is 1 for the only other class, the second term is 0, and the loss is a
    cross-entropy in which each patient counts by the teacher's probability of the label.

    Source: Yang et al., "From knowledge distillation to self-knowledge distillation: a
    unified approach with normalized loss and customized soft labels", ICCV 2023, section 3;
    weight and T (gamma 1.5, lambda 1) as in the defaults of the authors' code.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        """The loss of n patients."""
        learner, target, known = labelled(student, teacher, labels)
        sure = of_target(softmax(target, dim=1), known)
        own = -(sure * of_target(log_softmax(learner, dim=1), known)).sum(dim=1)
        wanted = softmax(of_others(target, known) / TEMPERATURE, dim=1)
        found = log_softmax(of_others(learner, known) / TEMPERATURE, dim=1)
        others = -(wanted * found).sum(dim=1)
        return patient_mean(own + OTHERS_WEIGHT * TEMPERATURE**2 * others)
