"""AT: the student is active where the teacher is."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

WEIGHT = 1000.0


@DISTILLERS.declare(
    "at",
    text="attention transfer",
    source="Zagoruyko 2017, ICLR",
    in_words="mean squared difference of the squared features, each patient's of unit norm; "
    "features take the part of an image's places",
    reads="features",
    balance="none; 1000",
    one_width=True,
)
class AttentionTransfer(Distiller):
    """``WEIGHT mean_ij ( Q(s)_ij - Q(t)_ij )^2``, ``Q(f)_i = f_i^2 / || f_i^2 ||``.

    Source: Zagoruyko & Komodakis, "Paying more attention to attention", ICLR 2017,
    section 3.1, activation-based, in the squared form of the authors' code.

    The paper's attention map holds, for each place of an image, the squared activations
    summed over channels. Patient features have no places: the d features themselves take
    their part, so that feature j of the student is compared with feature j of the teacher.

    Weight: the paper's 10^3, which it divides by the number of places and of samples, as the
    mean does here. Both maps are unit vectors, so the loss is at most 2000 / d (7.8 for
    d = 256) whatever the scale of the features.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        difference = _attention(student.features) - _attention(teacher.features)
        return WEIGHT * difference.square().mean()


def _attention(features: Tensor) -> Tensor:
    return normalize(features.square(), dim=1)
