"""What is installed and at hand on this machine, and how to get what is not."""

from histodistill.diagnosis.diagnosis import Diagnosis, diagnose

__all__ = ["Diagnosis", "diagnose"]
