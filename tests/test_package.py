"""The package's front door: every public name is there, whatever is imported first."""

from __future__ import annotations

import histodistill


def test_every_public_name_can_be_had():
    names = dir(histodistill)
    assert "cross_validate" in names
    for name in names:
        assert getattr(histodistill, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(histodistill, "nonsense")
