"""A few malformed files before a few commands; ``python -m tests.malformed`` runs hundreds."""

from __future__ import annotations

import pytest

from tests.malformed.cases import Case, cases
from tests.malformed.harness import FAULTS, Judge

KINDS = ("bundle json", "features h5", "clinical csv", "predictions", "experiment")


@pytest.mark.slow
def test_malformed_files_are_told_in_bounded_time_and_memory(tmp_path):
    judge = Judge(tmp_path)
    drawn: dict[str, Case] = {}
    for case in cases(600, seed=7):
        drawn.setdefault(case.subject.kind, case)
    for kind in KINDS:
        verdict, outcome = judge.judge(drawn[kind], seconds=600)
        assert verdict not in FAULTS, (str(drawn[kind]), outcome)
