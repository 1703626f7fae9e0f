"""Training the networks together, and cross-validating them honestly."""

from histodistill.training.loop.epoch import Epoch
from histodistill.training.loop.trainer import Trainer
from histodistill.training.run.crossval import cross_validate
from histodistill.training.run.final import fold_ensemble, forget_final, train_final, train_panel
from histodistill.training.run.parallel import Failure, Watcher
from histodistill.training.run.planned_fits import Fit, fits_of

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
    "train_panel",
]
