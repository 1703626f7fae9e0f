"""Training the networks together, and cross-validating them honestly."""

from histodistill.training.crossval import Fit, cross_validate
from histodistill.training.final import fold_ensemble, forget_final, train_final
from histodistill.training.trainer import Epoch, Trainer

__all__ = [
    "Epoch",
    "Fit",
    "Trainer",
    "cross_validate",
    "fold_ensemble",
    "forget_final",
    "train_final",
]
