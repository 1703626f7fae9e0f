"""Fixtures of the viewer's tests."""

from tests.experiment.small import template

__all__ = ["template"]
