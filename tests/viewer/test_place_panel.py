"""The feature map puts no name from a user's files into the page as HTML."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.viewer.test_tables import cohort

pytest.importorskip("nicegui")


def test_names_are_drawn_and_never_read_as_html() -> None:
    from histodistill.viewer.pages.place_panel import _options

    answers = np.array([[0.1, 0.9], [0.4, 0.6], [0.3, 0.7]])
    found = cohort(("negative", "positive"), "positive", answers)
    session: Any = SimpleNamespace(cohort=found, mapped=["A", "B"])
    options = _options(session, 1, [[0.0, 1.0], [2.0, 3.0]], (0.6, 0.2))
    assert options["tooltip"]["renderMode"] == "richText"
    named = {point["name"]: point["value"] for s in options["series"] for point in s["data"]}
    assert named == {"A": [0.0, 1.0], "B": [2.0, 3.0]}
    (here,) = (s["data"] for s in options["series"] if s["name"] == "this patient")
    assert [point["name"] for point in here] == ["B"]
