"""One patient under two names is a problem that names both."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.experiment import read_experiment
from histodistill.experiment.audit import audit
from histodistill.experiment.data import load
from histodistill.experiment.same_patients import repeated_slides, same_data, same_new_patients
from tests.experiment.small import change_table, experiment_file

CNA = {"file": "cohort/cna.csv", "selection": {"method": "all"}}


def second_name(cohort, **changes: str) -> tuple[str, str]:
    """Give a patient's first slide to a new patient, who is otherwise the same."""
    slides = pd.read_csv(cohort / "slides.csv")
    patient, name = str(slides.loc[0, "PATIENT"]), str(slides.loc[0, "FILENAME"])
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


def test_a_slide_whose_patches_were_written_twice_is_told(cohort):
    doubled = str(pd.read_csv(cohort / "slides.csv").loc[5, "FILENAME"])
    with h5py.File(cohort / "features" / doubled, "a") as file:
        for key in ("features", "coords"):
            values = np.concatenate([file[key][:], file[key][:]])
            attributes = dict(file[key].attrs)
            del file[key]
            file[key] = values
            file[key].attrs.update(attributes)
    data = load(read_experiment(experiment_file(cohort.parent)))
    (note,) = repeated_slides(data.bags)
    assert note.startswith(f"1 slides have all their patches twice ({doubled})")


def test_sound_slides_count_once(cohort):
    data = load(read_experiment(experiment_file(cohort.parent)))
    assert list(repeated_slides(data.bags)) == []


def the_same_genes(cohort: Path, block: str, values: np.ndarray) -> tuple[str, str]:
    """Write a block of all patients in which the first two have the same genes."""
    patients = sorted(pd.read_csv(cohort / "clinical.csv")["PATIENT"])
    table = pd.DataFrame(values, index=pd.Index(patients, name="PATIENT"))
    table.iloc[1] = table.iloc[0]
    table.add_prefix("G").to_csv(cohort / f"{block}.csv")
    return patients[0], patients[1]


@pytest.mark.parametrize("change", [lambda row: row.round(2), lambda row: 1.01 * row + 0.02])
def test_the_same_genes_but_for_rounding_or_scale(change):
    values = np.random.default_rng(0).normal(size=(30, 60)).astype(np.float32)
    values[7] = change(values[3])
    values[5, 2] = np.nan
    block = pd.DataFrame(values, index=[f"P{n:02d}" for n in range(30)])
    ((patients, found),) = same_data(None, {"rna": block})
    assert patients == ["P03", "P07"]
    assert found.endswith("have the same values of genes in block rna, but for rounding or scale")
    # A few patients do not show what is usual.
    assert list(same_data(None, {"rna": block.iloc[[3, 7, 9]]})) == []


def test_patients_who_are_alike_are_not_the_same():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(30, 1)) * rng.normal(size=60) + 0.3 * rng.normal(size=(30, 60))
    assert list(same_data(None, {"rna": pd.DataFrame(values.astype(np.float32))})) == []


def test_the_same_genes_under_two_names(cohort):
    patient, other = the_same_genes(cohort, "rna", np.random.default_rng(0).normal(size=(40, 20)))
    blocks = {"genomics": {"rna": {"file": "cohort/rna.csv", "selection": {"method": "all"}}}}
    for features in ({}, {"features": None, "cohort": {"slides": None}, "methods": None}):
        changes = blocks | features
        path = experiment_file(cohort.parent, changes)
        if features:
            path.write_text(path.read_text() + "methods: [snn]\n")
        with pytest.raises(InputError) as caught:
            load(read_experiment(path))
        (problem,) = caught.value.problems
        assert problem.startswith(
            f"patients {patient}, {other} have the same values of all genes in block rna, "
        )
        assert "one patient under several names" in problem


def test_the_same_slides_and_genes_are_one_sentence(cohort):
    patient, other = second_name(cohort)
    genes = pd.read_csv(cohort / "mrna_zscores.txt", sep="\t")
    (column,) = [name for name in genes.columns if name.startswith(patient)]
    genes[column.replace(patient, other)] = genes[column]
    genes.to_csv(cohort / "mrna_zscores.txt", sep="\t", index=False)
    with pytest.raises(InputError) as caught:
        load(read_experiment(experiment_file(cohort.parent)))
    (problem,) = caught.value.problems
    assert " and the same values of all genes in block mrna, the same labels" in problem
    assert other in problem


def test_flat_copy_numbers_are_no_sign_of_one_patient(cohort):
    the_same_genes(cohort, "cna", np.random.default_rng(0).integers(-2, 3, size=(40, 20)))
    load(read_experiment(experiment_file(cohort.parent, {"genomics": {"cna": CNA}})))


def test_a_slide_twice_in_one_bag_is_told(cohort):
    slides = pd.read_csv(cohort / "slides.csv")
    patient, name = str(slides.loc[0, "PATIENT"]), str(slides.loc[0, "FILENAME"])
    shutil.copy(cohort / "features" / name, cohort / "features" / f"copy of {name}")
    row = pd.DataFrame({"PATIENT": [patient], "FILENAME": [f"copy of {name}"]})
    change_table(cohort / "slides.csv", lambda table: pd.concat([table, row]))
    told = audit(read_experiment(experiment_file(cohort.parent)))
    assert told.problems == ()
    (note,) = (note for note in told.notes if "the same slide is there more than once" in note)
    assert note.startswith(f"{patient}: ")
    assert f"copy of {name}" in note


def test_many_copies_are_counted():
    values = np.random.default_rng(0).normal(size=(30, 40)).repeat(2, axis=0)
    names = pd.Index([f"P{n:02d}" for n in range(60)])
    *told, rest = same_new_patients(None, {"mrna": pd.DataFrame(values, names)})
    assert len(told) == 20
    assert rest.startswith("10 more groups of patients")
