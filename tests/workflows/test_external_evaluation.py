"""Labels of an external cohort join the predictions of bundles, from Python as well."""

from __future__ import annotations

import pandas as pd
import pytest

import histodistill as hd
from histodistill.errors import InputError


def _predictions(path, target="ER", method="abmil", shift=0.0):
    rows = {
        "PATIENT": ["a", "b", "c"],
        "student": [0.2 + shift, 0.6, 0.7],
        "student_threshold": 0.5,
        "target": target,
        "classes": "negative|positive",
        "positive_class": "positive",
        "method": method,
        "bundle": "0123",
    }
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("PATIENT,ER\na,negative\nb,Positive\nc,positive\n")
    return hd.LabelTable(path)


def test_each_file_becomes_a_method_with_its_bundle(tmp_path, labels):
    files = [_predictions(tmp_path / "one.csv"), _predictions(tmp_path / "two.csv", method="mkd")]
    labelled = hd.label_predictions(files, labels)
    assert set(labelled.table["method"]) == {"abmil", "mkd"}
    assert labelled.table["label"].tolist() == ["negative", "positive", "positive"] * 2
    assert labelled.bundles["mkd"].startswith("bundle 0123; predictions ")
    aucs = hd.evaluate(labelled.table).summary.query("metric == 'auc'")
    assert aucs["estimate"].tolist() == [1.0, 1.0]


def test_two_files_of_one_method_are_told_apart_by_their_names(tmp_path, labels):
    files = [_predictions(tmp_path / "one.csv"), _predictions(tmp_path / "two.csv", shift=0.1)]
    labelled = hd.label_predictions(files, labels)
    assert set(labelled.table["method"]) == {"abmil (one)", "abmil (two)"}


def test_a_second_file_of_another_target_is_refused_by_name(tmp_path, labels):
    files = [_predictions(tmp_path / "one.csv"), _predictions(tmp_path / "pr.csv", target="PR")]
    with pytest.raises(InputError, match=r"pr\.csv: its predictions are of the target PR"):
        hd.label_predictions(files, labels)
