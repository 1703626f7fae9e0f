"""The inputs of an experiment: who has what, and who is left out and why."""

from __future__ import annotations

import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.experiment import load, read_experiment
from histodistill.experiment.audit import audit, count_patients, excluded_patients
from tests.experiment.small import change_table, experiment_file


def test_everybody_is_counted_or_left_out_with_one_reason(cohort):
    truth = pd.read_csv(cohort / "truth.csv")
    experiment = read_experiment(experiment_file(cohort.parent))
    data = load(experiment)
    assert data.with_slides == set(truth["PATIENT"])
    assert data.with_genes == set(truth.loc[truth["HAS_GENOMICS"], "PATIENT"])
    assert set(data.labels("ER").index) == set(truth.loc[truth["HAS_LABEL"], "PATIENT"])
    counts = count_patients(experiment, data)
    assert counts["patients"].sum() == len(truth)
    joined = truth.assign(
        label=truth["ER"].where(truth["HAS_LABEL"], "unknown"),
        modality=truth["HAS_GENOMICS"].map({True: "slides and genomics", False: "slides alone"}),
    )
    expected = joined.groupby(["label", "modality", "SITE"]).size()
    counted = counts.set_index(["class", "modality", "site"])["patients"]
    assert counted.to_dict() == expected.to_dict()


def test_reasons_name_what_a_patient_lacks(cohort):
    clinical = pd.read_csv(cohort / "clinical.csv", dtype=str)
    first, second = clinical["PATIENT"][:2]
    extra = clinical.iloc[[0]].assign(PATIENT="SIM-S01-9999", ER="positive")
    change_table(
        cohort / "clinical.csv",
        lambda table: pd.concat([table[table["PATIENT"] != first], extra.fillna("")]),
    )
    experiment = read_experiment(experiment_file(cohort.parent))
    data = load(experiment)
    excluded = excluded_patients(experiment, data)
    assert not excluded.duplicated(["PATIENT", "target"]).any()
    reasons = excluded.set_index("PATIENT")["reason"]
    assert reasons[first] == "has slides or genomics, but is not in the clinical table"
    assert (
        reasons["SIM-S01-9999"] == "is in the clinical table, but has neither slides nor genomics"
    )
    unlabelled = clinical.loc[clinical["ER"].isna() & (clinical["PATIENT"] != first), "PATIENT"]
    assert set(excluded.loc[excluded["target"] == "ER", "PATIENT"]) == set(unlabelled)
    assert set(reasons[unlabelled]) == {"the column ER tells no class"}
    assert second in data.patients


def test_a_cohort_with_genomics_alone_and_one_with_slides_alone(cohort):
    methods = {"mkd": None, "abmil": None, "genomic": {"network": {"width": 8}}}
    raw = {"features": None, "methods": methods, "cohort": {"slides": None}}
    path = experiment_file(cohort.parent, raw)
    data = load(read_experiment(path))
    assert data.bags is None
    assert set(data.patients) == data.with_genes
    slides = experiment_file(
        cohort.parent, {"genomics": None, "methods": {"mkd": {"recipe": "abmil"}}}
    )
    data = load(read_experiment(slides))
    assert data.genomics == {}
    assert set(data.patients) == data.with_slides


def test_progress_counts_every_slide_that_is_packed(cohort, tmp_path):
    n_slides = len(list((cohort / "features").glob("*.h5")))
    path = experiment_file(cohort.parent, {"features": {"cache": "packed"}})
    seen = []
    data = load(read_experiment(path), lambda *state: seen.append(state))
    assert seen == [(done, n_slides) for done in range(1, n_slides + 1)]
    assert data.bags is not None
    assert data.bags.packed is not None
    assert data.bags.packed.path.parent == tmp_path / "packed"


def test_without_a_cache_progress_counts_every_bag(cohort):
    experiment = read_experiment(experiment_file(cohort.parent))
    assert experiment.features is not None
    features = experiment.features.model_copy(update={"cache": None})
    seen = []
    data = load(
        experiment.model_copy(update={"features": features}), lambda *state: seen.append(state)
    )
    assert seen == [(done, 40) for done in range(1, 41)]
    assert data.bags is not None
    assert data.bags.packed is None


def test_a_cache_that_cannot_be_written_is_a_note(cohort, tmp_path):
    (tmp_path / "packed").touch()
    path = experiment_file(cohort.parent, {"features": {"cache": "packed"}})
    data = load(read_experiment(path))
    (note,) = (note for note in data.notes if "packed" in note)
    assert note.startswith(f"{tmp_path}/packed: bags cannot be packed there (File exists), so")
    assert data.bags is not None
    assert len(data.bags.patients) == 40


def test_problems_of_all_files_come_together(cohort):
    slide = next((cohort / "features").glob("*.h5"))
    slide.write_bytes(slide.read_bytes()[:200])
    (cohort / "mrna_zscores.txt").write_text("nothing")
    change_table(cohort / "clinical.csv", lambda table: table.drop(columns="ER"))
    with pytest.raises(InputError) as refused:
        load(read_experiment(experiment_file(cohort.parent)))
    told = "\n".join(refused.value.problems)
    assert slide.name in told
    assert "mrna_zscores.txt" in told
    assert "has no column 'ER'" in told


def test_a_selection_that_cannot_work_is_found_before_training(cohort):
    select = {"method": "list", "genes": ["SIM1", "NOGENE"]}
    path = experiment_file(cohort.parent, {"genomics": {"mrna": {"selection": select}}})
    problems = audit(read_experiment(path)).problems
    for gene, problem in zip(("SIM1", "NOGENE"), problems, strict=True):
        assert problem.startswith(
            f"genomics.mrna: `genes` names a gene that cannot be read: {gene}"
        )


def test_an_audit_proves_folds_and_tells_missing_classes(cohort):
    clinical = pd.read_csv(cohort / "clinical.csv", dtype=str)
    # One site alone keeps positives: some part of every division lacks them.
    change_table(
        cohort / "clinical.csv",
        lambda table: table.assign(
            ER=table["ER"].where((table["ER"] != "positive") | (table["SITE"] == "S01"), "negative")
        ),
    )
    assert (clinical["ER"] == "positive").any()
    splits = {"scheme": "site", "folds": 2}
    found = audit(read_experiment(experiment_file(cohort.parent, {"splits": splits})))
    lacking = [p for p in found.problems if "has no patient of class positive" in p]
    assert lacking
    assert all(p.startswith("target ER: repeat 0 fold ") for p in lacking)
    assert all(p.endswith("; use fewer folds or another scheme") for p in lacking)
    assert not any("the test part" in problem for problem in found.problems)
    (note,) = [note for note in found.notes if "the test part has no patient" in note]
    assert note.endswith("figures that need it are undefined there")
    assert found.folds is not None
    assert found.folds.columns[0] == "target"
