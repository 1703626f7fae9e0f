"""An experiment that is read back from its results names what its file named."""

from __future__ import annotations

import json

from histodistill.experiment import read_experiment
from histodistill.experiment.recorded import CONFIGURATION, recorded_experiment
from tests.experiment.small import experiment_file


def test_defaults_that_are_recorded_are_not_what_a_user_named(tmp_path):
    path = experiment_file(tmp_path, {"cohort": {"slides": None}})
    experiment = read_experiment(path)
    (tmp_path / CONFIGURATION).write_text(json.dumps(experiment.model_dump(mode="json")))
    recorded = recorded_experiment(tmp_path)
    assert recorded == experiment
    assert "genes" not in recorded.model_fields_set
    assert recorded.cohort.model_fields_set == {"clinical", "site_column", "survival"}
