"""Fixtures of the experiment tests."""

from tests.experiment.small import cohort, template

__all__ = ["cohort", "template"]
