"""Calibrators and triage of a bundle: stored with it, and applied to new patients."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from histodistill.calibration.held_out import HeldOutAnswers
from histodistill.calibration.network_calibrator import NetworkCalibrator
from histodistill.calibration.triage import TriagePolicy
from histodistill.deploy import Bundle, predict
from histodistill.deploy.calibration import CALIBRATION, BundleCalibration
from histodistill.deploy.checksums import write_checksums
from histodistill.errors import InputError
from tests.deploy.bundles import bags_of, bundle, expression, member

PATIENTS = [f"P{i}" for i in range(12)]
PLATT = NetworkCalibrator(name="platt", values={"slope": 0.5, "intercept": -0.3}, patients=(40, 52))


def held_out(n: int = 400, apart: float = 3.0, scale="as given") -> HeldOutAnswers:
    rng = np.random.default_rng(0)
    y = rng.random(n) < 0.5
    p = 1 / (1 + np.exp(-(rng.normal(0, 1, n) + apart * (y - 0.5))))
    return HeldOutAnswers.of(y, p, origin="out of fold", scale=scale)


def calibrated(made: Bundle | None = None, **changes: Any) -> Bundle:
    own: dict[str, Any] = {
        "networks": dict.fromkeys(("student", "multimodal", "genomic"), PLATT),
        "held_out": dict.fromkeys(("student", "multimodal", "genomic"), held_out()),
    }
    return replace(made or bundle(), calibration=BundleCalibration(**own | changes))


@pytest.fixture
def bags(tmp_path):
    return bags_of(tmp_path / "features", PATIENTS)


def test_both_probabilities_are_written_and_the_old_columns_stay(bags):
    before = predict(bundle(), bags=bags).table
    after = predict(calibrated(), bags=bags).table
    old = [c for c in map(str, before) if not c.endswith("calibrated") and "scope" not in c]
    assert after[old].equals(before[old])
    assert list(after.columns[: len(old)]) == old
    odds = np.log(after["student"] / (1 - after["student"]))
    expected = 1 / (1 + np.exp(-(0.5 * odds - 0.3)))
    np.testing.assert_allclose(after["student_calibrated"], expected)
    np.testing.assert_allclose(after["calibrated"], expected)
    assert after["genomic_calibrated"].isna().all()
    assert before["calibrated"].isna().all()


def test_who_answers_gives_the_calibrated_answer(bags):
    table = predict(calibrated(), bags=bags, genomics={"mrna": expression(PATIENTS[:3])}).table
    by = table["answered_by"]
    assert set(by) == {"multimodal", "student"}
    for _, row in table.iterrows():
        assert row["calibrated"] == row[f"{row['answered_by']}_calibrated"]


def test_three_classes(bags):
    values: dict[str, Any] = {"slope": 0.5, "biases": [0.4, 0.0, -0.4]}
    own = NetworkCalibrator(name="temperature", values=values, patients=(9, 9, 9))
    made = calibrated(
        bundle(member(classes=3), classes=("a", "b", "c")),
        networks={"student": own},
        held_out={},
    )
    table = predict(made, bags=bags).table
    columns = [f"student_calibrated:{name}" for name in "abc"]
    np.testing.assert_allclose(table[columns].sum(axis=1), 1)
    for _, row in table.iterrows():
        assert row["calibrated"] == row[f"student_calibrated:{row['call']}"]
    with pytest.raises(InputError, match="triage is for two classes"):
        predict(made, bags=bags, triage=TriagePolicy(max_missed=0.05))


def test_a_bundle_keeps_it(tmp_path):
    made = calibrated(triage=TriagePolicy(max_missed=0.05))
    made.save(tmp_path / "bundle")
    read = Bundle.load(tmp_path / "bundle")
    assert read.calibration == made.calibration
    (note,) = read.notes
    assert "does not know what slides of its training look like" in note
    assert read.fingerprint == bundle().fingerprint
    card = (tmp_path / "bundle" / "MODEL_CARD.md").read_text()
    assert "student calibrated by platt on 92 held-out patients (40 negative, 52 positive)" in card
    assert "Triage policy: max_missed 0.05" in card


def test_no_patient_can_be_told_from_what_is_kept():
    y, p = [1, 0, 1], [0.7, 0.9, 0.1]
    kept = HeldOutAnswers.of(y, p, origin="validation", part=[0, 1, 2])
    assert kept.probability == [0.1, 0.7, 0.9]
    assert kept.positive == [True, True, False]
    assert kept.part == [2, 0, 1]
    assert kept.hospital == []
    told = {"origin", "scale", "positive", "probability", "part", "hospital"}
    assert set(kept.model_dump()) == told
    numbered = HeldOutAnswers.of(y, p, origin="validation", hospital=np.array([7, 3, 7]))
    assert numbered.hospital == [0, 0, 1]  # in the order of the probabilities, not of the names


def test_an_earlier_bundle_is_read_and_told(tmp_path, bags):
    bundle().save(tmp_path / "old")
    read = Bundle.load(tmp_path / "old")
    assert "holds no calibrator" in read.notes[0]
    assert predict(read, bags=bags).table["calibrated"].isna().all()
    with pytest.raises(InputError, match="keeps no held-out answers"):
        predict(read, bags=bags, triage=TriagePolicy(max_missed=0.05))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d["networks"]["student"].update(name="magic"), "networks.student.name"),
        (lambda d: d["networks"]["student"]["patients"].append(3), "number of classes"),
        (lambda d: d["held_out"]["student"]["probability"].pop(), "different lengths"),
        (lambda d: d["held_out"]["student"]["probability"].insert(0, 7), "less than or equal"),
        (lambda d: d.update(names=["Mrs X"]), "names"),
    ],
)
def test_what_is_damaged_is_refused(tmp_path, change, told):
    calibrated().save(tmp_path / "bundle")
    path = tmp_path / "bundle" / CALIBRATION
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))
    with pytest.raises(InputError, match=CALIBRATION):
        Bundle.load(tmp_path / "bundle")  # its hash changed
    (tmp_path / "bundle" / "SHA256SUMS").unlink()
    write_checksums(tmp_path / "bundle")
    with pytest.raises(InputError, match=told):
        Bundle.load(tmp_path / "bundle")


def test_triage_is_a_column_with_its_reason(bags):
    made = calibrated()
    policy = TriagePolicy(max_missed=0.05, max_false_alarms=0.05)
    predicted = predict(made, bags=bags, triage=policy)
    table = predicted.table
    assert set(table["triage"]) <= {"positive", "negative", "send to IHC"}
    assert len(set(table["triage"])) > 1
    for _, row in table.iterrows():
        assert f"probability {row['student']:.3f}" in row["triage_why"]
        if row["triage"] != "send to IHC":
            assert "with 95 % confidence" in row["triage_why"]
    assert any("triage: student negative below" in note for note in predicted.notes)
    assert "triage" not in predict(made, bags=bags).table


def test_a_stored_policy_holds_until_another_is_stated(bags):
    made = calibrated(triage=TriagePolicy(max_missed=0.05))
    assert set(predict(made, bags=bags).table["triage"]) <= {"negative", "send to IHC"}
    asked = predict(made, bags=bags, triage=TriagePolicy(max_false_alarms=0.05)).table
    assert set(asked["triage"]) <= {"positive", "send to IHC"}


def test_a_policy_that_the_held_out_patients_cannot_support_is_refused(bags):
    made = calibrated(held_out={"student": held_out(60)})
    with pytest.raises(InputError) as refused:
        predict(made, bags=bags, triage=TriagePolicy(max_missed=0.01))
    assert any("it takes 299 or more" in problem for problem in refused.value.problems)


def test_costs_rest_on_calibrated_probabilities(bags):
    policy = TriagePolicy.model_validate({"costs": {"missed": 10, "false_alarm": 2, "ihc": 1}})
    table = predict(calibrated(), bags=bags, triage=policy).table
    # negative below ihc / missed = .1, positive from 1 - ihc / false_alarm = .5
    expected = np.select(
        [table["calibrated"] < 0.1, table["calibrated"] >= 0.5],
        ["negative", "positive"],
        "send to IHC",
    )
    assert table["triage"].tolist() == expected.tolist()
    assert table["triage_why"].str.startswith("calibrated probability").all()
    uncalibrated = calibrated(networks={})
    with pytest.raises(InputError, match="costs need calibrated probabilities"):
        predict(uncalibrated, bags=bags, triage=policy)


def test_thresholds_of_calibrated_answers_are_of_calibrated_answers(bags):
    made = calibrated(held_out={"student": held_out(scale="calibrated")})
    table = predict(made, bags=bags, triage=TriagePolicy(max_missed=0.05)).table
    (threshold,) = {
        why.split("below ")[1].split(":")[0] for why in table["triage_why"] if "is below" in why
    } or {"0"}
    called = table["triage"] == "negative"
    assert (table.loc[called, "calibrated"] < float(threshold) + 1e-3).all()
    assert table["triage_why"].str.startswith("calibrated probability").all()
