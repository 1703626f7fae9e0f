from __future__ import annotations

import pytest

from histodistill.errors import InputError
from histodistill.gate.patterns import require_bounded_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(N\d)",
        r"^(?P<patient>[^_]+)_",
        r"^(?:TCGA|CPTAC)-(\w{2}-\w{4})",
        r"(P[+*(]\d+)\)\+",
        r"^([^_]+)_[^_]+_[^_]+_.*$",
        r"(\d{3}-\d{4})(?:_HE)?",
        r"^([^-]+(?:-[^-]+){2})(?:-|$)",
        r"^((?:[^_]++_){3}[^_]++)(?:_|$)",
        r"(?P<patient>(\w{2}){2})",
    ],
)
def test_what_finds_a_patient_in_a_name_is_served(pattern):
    require_bounded_pattern(pattern, "the bundle", "give another")


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"(a|a)*$",
        r"(a+){9}$",
        r"(a++)+$",
        r"((a+){2}){3}$",
        r"(a+){2,9}$",
        r"((a?){9}){9}$",
        r"([)]|a+)+$",
        "(" + "a?" * 30 + "a" * 30 + ")",
        "(" + "(a|a)" * 30 + ")$",
        r"(.*)(.*)(.*)(.*)(.*)x",
        r"(.{0,99}.{0,99}.{0,99}.{0,99}.{0,99})x",
        "(" + "a" * 1000 + ")",
    ],
)
def test_what_could_take_for_ever_is_refused(pattern):
    with pytest.raises(InputError, match=r"the bundle: the pattern '.*could take for ever"):
        require_bounded_pattern(pattern, "the bundle", "give another")
