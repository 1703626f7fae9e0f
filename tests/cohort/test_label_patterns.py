"""Labels that the order of a table, a hospital or a batch tells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histodistill.cohort import declared_target, read_clinical
from histodistill.cohort.label_patterns import label_patterns
from histodistill.cohort.receptors import receptors_of

N = 60
PATIENTS = pd.Series([f"P{i:02d}" for i in range(N)])
SITES = pd.Series([f"S{i % 4}" for i in range(N)], PATIENTS)
RANDOM = np.random.default_rng(0).random(N) < 0.6


def told(labels, table=None, patients=PATIENTS):
    frame = pd.DataFrame({"ER": pd.array(labels.astype(int), "Int64")}, pd.Index(PATIENTS))
    table = pd.DataFrame({"PATIENT": patients}) if table is None else table
    return list(label_patterns(table, patients, frame, SITES))


def test_labels_by_chance_are_not_told():
    batches = pd.DataFrame({"BATCH": np.where(np.arange(N) % 2, "a", "b"), "GRADE": RANDOM})
    assert told(RANDOM) == []
    assert told(RANDOM, batches.astype(str)) == []


def test_names_and_sorted_rows_that_tell_the_label():
    (note,) = told(np.arange(N) < 40)
    assert "the names of the patients tell ER" in note
    (note,) = told(RANDOM, patients=PATIENTS[np.argsort(RANDOM, kind="stable")])
    assert "the rows are sorted by ER" in note


def test_hospitals_and_technical_columns_that_tell_the_label():
    (note,) = told(SITES.isin(["S0", "S1"]).to_numpy())
    assert "the hospital tells ER" in note
    columns = pd.DataFrame({"SCANNER_ID": np.where(RANDOM, "a", "b"), "ER_IHC": RANDOM})
    (note,) = told(RANDOM, columns.astype(str))
    assert "column 'SCANNER_ID' tells ER" in note


def test_the_clinical_table_tells_it(tmp_path):
    target = declared_target("ER", None, ("negative", "positive"), "positive")
    table = pd.DataFrame({"PATIENT": PATIENTS, "ER": np.where(RANDOM, "positive", "negative")})
    table.sort_values("ER").to_csv(tmp_path / "clinical.csv", index=False)
    (note,) = read_clinical(tmp_path / "clinical.csv", [target]).notes
    assert "the rows are sorted by ER" in note


def test_receptors_are_known_by_their_columns():
    assert [r.gene for r in receptors_of(["ER_STATUS_BY_IHC"])] == ["ESR1"]
    assert [r.gene for r in receptors_of(["my target", "HER2"])] == ["ERBB2"]
    assert list(receptors_of(["GRADE", "PREDICTED", "OTHER"])) == []
