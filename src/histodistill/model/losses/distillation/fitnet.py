"""FitNet: the student's features, through a regressor, hint at the teacher's."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS


@DISTILLERS.declare(
    "fitnet",
    text="FitNets, the teacher's features as hints",
    source="Romero 2015, ICLR",
    in_words="half the squared distance between the teacher's features and a linear map of the "
    "student's",
    reads="features",
    balance="linear map; 1",
    one_width=True,
    differs="a sum over features as the paper writes it, not a mean; no stage of its own",
)
class FitNet(Distiller):
    """``1/2 || t - r(s) ||^2``, a mean over patients; r is a learned linear map.

    Source: Romero et al., "FitNets: hints for thin deep nets", ICLR 2015, eq. 3. The hint is
    a loss of the whole training here, not a stage before it.

    Weight: the paper's formula as it is. With 256 features it is 128 times the mean squared
    error, near the factor 100 that the benchmark of CRD (Tian et al. 2020, released scripts)
    gives to the mean squared error of feature maps.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__(width, n_classes)
        self.regressor = nn.Linear(width, width)

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        missed: Tensor = teacher.features - self.regressor(student.features)
        return missed.square().sum(dim=1).mean() / 2
