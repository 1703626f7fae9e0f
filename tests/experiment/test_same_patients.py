"""One patient under two names is a problem that names both."""

import shutil

import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.experiment import read_experiment
from histodistill.experiment.data import load
from tests.experiment.small import change_table, experiment_file


def second_name(cohort, **changes: str) -> tuple[str, str]:
    """Give a patient's first slide to a new patient, who is otherwise the same."""
    slides = pd.read_csv(cohort / "slides.csv")
    patient, name = slides.loc[0, "PATIENT"], slides.loc[0, "FILENAME"]
    other = f"{patient[:-4]}9999"
    shutil.copy(cohort / "features" / name, cohort / "features" / f"{other}.h5")
    row = pd.DataFrame({"PATIENT": [other], "FILENAME": [f"{other}.h5"]})
    change_table(cohort / "slides.csv", lambda table: pd.concat([table, row]))
    change_table(
        cohort / "clinical.csv",
        lambda table: pd.concat(
            [table, table[table["PATIENT"] == patient].assign(PATIENT=other, **changes)]
        ),
    )
    return patient, other


@pytest.mark.parametrize(
    ("changes", "evidence"),
    [
        ({}, "the same follow-up"),
        ({"OS_MONTHS": "123.4", "OS_STATUS": "0:LIVING"}, "though their follow-up differs"),
    ],
)
@pytest.mark.parametrize("cache", ["auto", None])
def test_the_same_features_under_two_names(cohort, changes, evidence, cache):
    patient, other = second_name(cohort, **changes)
    path = experiment_file(cohort.parent)
    if cache is None:
        path.write_text(path.read_text().replace("features:\n", "features:\n  cache: null\n"))
    with pytest.raises(InputError) as caught:
        load(read_experiment(path))
    (problem,) = caught.value.problems
    assert problem.startswith(f"patients {patient}, {other} have the same features in ")
    assert f"{other}.h5" in problem
    assert evidence in problem
