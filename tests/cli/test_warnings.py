"""Warnings of this and of other packages reach a user as notes."""

from __future__ import annotations

import warnings

import pytest

from histodistill.cli.console import warnings_as_notes


def test_warnings_are_notes_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings_as_notes():
        for _ in range(2):
            warnings.warn("The validation patients (1) have one class alone.", stacklevel=1)
        place = "/x/site-packages/sklearn/linear_model.py"
        text = "lbfgs failed\nto converge.\n\nIncrease the number of iterations"
        warnings.warn_explicit(text, UserWarning, place, 3)
        warnings.warn_explicit("a name will change", FutureWarning, place, 4)
    assert capsys.readouterr().out.splitlines() == [
        "Note: The validation patients (1) have one class alone.",
        "Note: sklearn: lbfgs failed to converge.",
    ]
