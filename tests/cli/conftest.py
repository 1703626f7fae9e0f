"""Fixtures of the command line tests."""

from tests.experiment.small import cohort, template

__all__ = ["cohort", "template"]
