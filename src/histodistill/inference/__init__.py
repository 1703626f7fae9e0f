"""Trained models and their answers, for validation, tests and new patients alike."""

from histodistill.inference.answers import Probabilities, probabilities
from histodistill.inference.features import student_features
from histodistill.inference.member import Member

__all__ = ["Member", "Probabilities", "probabilities", "student_features"]
