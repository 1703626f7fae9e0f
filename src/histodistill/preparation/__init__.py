"""From tables and files to batches: what is fitted on training patients, and its use."""

from histodistill.preparation.patients import PreparedPatients
from histodistill.preparation.programmes import ExpressionProgrammes
from histodistill.preparation.transforms import Transforms, fit_transforms

__all__ = ["ExpressionProgrammes", "PreparedPatients", "Transforms", "fit_transforms"]
