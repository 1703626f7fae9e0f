"""Training the networks together, and cross-validating them honestly."""

from histodistill.training.crossval import cross_validate
from histodistill.training.final import fold_ensemble, forget_final, train_final
from histodistill.training.fits import Fit, fits_of
from histodistill.training.parallel import Failure, Watcher
from histodistill.training.trainer import Epoch, Trainer

__all__ = [
    "Epoch",
    "Failure",
    "Fit",
    "Trainer",
    "Watcher",
    "cross_validate",
    "fits_of",
    "fold_ensemble",
    "forget_final",
    "train_final",
]
