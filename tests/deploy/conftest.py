"""Fixtures of the bundle tests."""

from tests.experiment.small import cohort, template

__all__ = ["cohort", "template"]
