"""Answers that mean what they say: calibrated probabilities, and triage at a stated risk."""

from histodistill.calibration.calibrator import Calibrator, CalibratorName
from histodistill.calibration.calibrators import fit_calibrator
from histodistill.calibration.triage import TriagePolicy, TriageRule, fit_triage

__all__ = [
    "Calibrator",
    "CalibratorName",
    "TriagePolicy",
    "TriageRule",
    "fit_calibrator",
    "fit_triage",
]
