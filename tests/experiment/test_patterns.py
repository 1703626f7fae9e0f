"""Patterns that find patients in names: what a model trained here will do with new files."""

from __future__ import annotations

from pathlib import Path

import pytest

from histodistill.experiment import read_experiment
from histodistill.experiment.audit import audit
from tests.experiment.small import experiment_file


@pytest.mark.parametrize(
    ("pattern", "told"), [(r"^(SIM-[^-]++-[^-_]++)", False), (r"^((?:[A-Z]+-?)+\d+-\d+)", True)]
)
def test_one_that_predict_would_not_use_is_told_before_training(
    cohort: Path, pattern: str, told: bool
) -> None:
    changes = {"cohort": {"slides": None, "patient_pattern": pattern}}
    notes = audit(read_experiment(experiment_file(cohort.parent, changes))).notes
    found = [note for note in notes if note.startswith("cohort.patient_pattern: the pattern")]
    assert len(found) == told
    assert all("will read names by --patient-pattern alone" in note for note in found)
