"""What a draft writes, a bundle that is trained with it reads names by."""

from __future__ import annotations

import re

import pytest

from histodistill.drafting.naming import _patterns, naming_of
from histodistill.gate.patterns import require_bounded_pattern


@pytest.mark.parametrize("pattern", list(_patterns()))
def test_every_pattern_passes_where_a_bundle_s_is_checked(pattern: str) -> None:
    require_bounded_pattern(pattern, "the bundle", "give another")
    assert re.compile(pattern).groups == 1


def test_the_fewest_pieces_that_tell_a_patient_are_read() -> None:
    names = [f"SIM-S0{n}-00{n}-DX1" for n in range(3)]
    found = naming_of(names, {name.removesuffix("-DX1") for name in names}, lambda name: None)
    assert found.matched == tuple(names)
    assert [re.search(str(found.pattern), name)[1] for name in names] == [  # type: ignore[index]
        name.removesuffix("-DX1") for name in names
    ]
