"""Slides and an encoder, as the tests of extraction have them."""

from tests.extraction.conftest import weights

__all__ = ["weights"]
