"""A bundle calibrated for a site: stored beside the original, and used when it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from histodistill.calibration.held_out import HeldOutAnswers
from histodistill.calibration.network_calibrator import CalibrationSettings, calibrate_network
from histodistill.calibration.triage import TriagePolicy
from histodistill.deploy import Bundle, predict
from histodistill.deploy.calibration import BundleCalibration
from histodistill.deploy.recalibration import recalibrate
from histodistill.errors import InputError
from tests.cli.command_line import fail, succeed
from tests.deploy.bundles import bags_of, bundle, member

SHIFT = -1.0


def scores(n: int, seed: int, shift: float = 0.0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.5).astype(int)
    return y, expit(shift + rng.normal(0, 1, n) + 2.5 * (y - 0.5))


def trained(scale="as given") -> Bundle:
    """A slide-only bundle whose held-out answers are known."""
    y, p = scores(600, seed=0)
    calibrator = calibrate_network(CalibrationSettings(), y, np.column_stack([1 - p, p]), 1)
    kept = p
    if scale == "calibrated":
        kept = calibrator.transform(np.column_stack([1 - p, p]), 1)[:, 1]
    held_out = HeldOutAnswers.of(y, kept, origin="out of fold", scale=scale)
    made = bundle(member(networks=("student",), thresholds={"student": 0.4}))
    calibration = BundleCalibration(
        networks={"student": calibrator}, held_out={"student": held_out}
    )
    return replace(made, calibration=calibration)


def site(made: Bundle, n: int = 200, labelled: int = 60) -> tuple[pd.DataFrame, pd.Series]:
    """Predictions at a shifted site, and the labels of some of its patients."""
    y, p = scores(n, seed=1, shift=SHIFT)
    patients = [f"S{i:03d}" for i in range(n)]
    table = pd.DataFrame(
        {"PATIENT": patients, "student": p, "target": "ER", "bundle": made.fingerprint}
    )
    labels = pd.Series(np.where(y == 1, "positive", "negative"), patients)
    return table, labels[:labelled]


@pytest.mark.parametrize("scale", ["as given", "calibrated"])
def test_threshold_and_calibration_follow_the_shift(scale: str) -> None:
    made = trained(scale)
    found = recalibrate(made, *site(made), "North")
    own = found.networks["student"]
    assert own.threshold is not None
    moved = logit(own.threshold) - logit(0.4)
    assert moved == pytest.approx(SHIFT, abs=0.35)
    y, p = scores(20_000, seed=5, shift=SHIFT)
    assert made.calibration is not None
    both = np.column_stack([1 - p, p])
    calibrated = found.calibrated("student", both, 1, made.calibration)[:, 1]
    before = made.calibration.networks["student"].transform(both, 1)[:, 1]
    assert abs(calibrated.mean() - y.mean()) < abs(before.mean() - y.mean()) / 2
    assert ((calibrated - y) ** 2).mean() < ((before - y) ** 2).mean()
    assert own.sensitivity is not None
    expected, low, high = own.sensitivity
    assert low <= expected <= high
    assert low <= (p[y == 1] >= own.threshold).mean() <= high


def test_the_site_is_used_when_it_is_told_and_the_original_stays(tmp_path: Path) -> None:
    made = trained()
    made.save(tmp_path / "bundle")
    files = {p: p.read_bytes() for p in (tmp_path / "bundle").rglob("*") if p.is_file()}
    recalibrate(made, *site(made), "North").save(tmp_path / "bundle")
    assert all(path.read_bytes() == content for path, content in files.items())
    read = Bundle.load(tmp_path / "bundle")
    assert list(read.sites) == ["North"]
    bags = bags_of(tmp_path / "features", [f"P{i}" for i in range(8)])
    plain, there = predict(read, bags=bags).table, predict(read, bags=bags, site="North").table
    pd.testing.assert_frame_equal(plain, predict(made, bags=bags).table)
    assert plain["student"].equals(there["student"])
    own = read.sites["North"].networks["student"]
    assert set(there["student_threshold"]) == {own.threshold}
    called = np.where(there["student"] >= own.threshold, "positive", "negative")
    assert there["call"].tolist() == called.tolist()
    assert (there["calibrated"] > plain["calibrated"]).all()  # scores there are lower


def test_triage_at_the_site_needs_patients_of_the_site(tmp_path: Path) -> None:
    made = trained()
    few = replace(made, sites={"North": recalibrate(made, *site(made), "North")})
    many = replace(made, sites={"North": recalibrate(made, *site(made, 400, 300), "North")})
    bags = bags_of(tmp_path / "features", ["P1", "P2", "P3"])
    policy = TriagePolicy(max_missed=0.05)
    with pytest.raises(InputError, match="it takes 59 or more"):
        predict(few, bags=bags, triage=policy, site="North")
    table = predict(many, bags=bags, triage=policy, site="North").table
    assert "labelled patients of the site" in " ".join(table["triage_why"]) or set(
        table["triage"]
    ) == {"send to IHC"}
    told = predict(made, bags=bags, site="South").notes
    assert any("not calibrated for the site South" in note for note in told)
    strange = predict(
        replace(made, info=made.info.model_copy(update={"provenance": {"sites": {"South": 9}}})),
        bags=bags,
        triage=policy,
        site="North",
    ).table
    assert set(strange["triage"]) == {"send to IHC"}
    assert strange["triage_why"].str.contains("North was never seen").all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t, s: (t.assign(bundle="other"), s), "predictions of other"),
        (lambda t, s: (t, s[:6]), "it takes 10 or more"),
        (lambda t, s: (t, s.rename(lambda name: f"X{name}")), "they are not in the predictions: X"),
        (lambda t, s: (t, s[s == "positive"]), "of both classes"),
        (lambda t, s: (pd.concat([t, t]), s), "has two rows"),
        (lambda t, s: (t.replace({"PATIENT": "S003"}, "S002"), s), "S002 has two rows"),
        (lambda t, s: (t.assign(student=0.5), s), "the same probability"),
        (lambda t, s: (t.assign(student=t["student"] * 100), s), "S000: .* is no probability"),
        (lambda t, s: (t.assign(student=["high", *t["student"][1:]]), s), "S000: high is no"),
        (lambda t, s: (t, s.replace("positive", "Pos")), "labels Pos are none of the classes"),
    ],
)
def test_what_cannot_be_recalibrated_is_refused(change, told: str) -> None:
    made = trained()
    table, labels = change(*site(made))
    with pytest.raises(InputError, match=told):
        recalibrate(made, table, labels, "North")


def test_a_site_that_was_calibrated_before_is_calibrated_from_the_bundle_itself(tmp_path: Path):
    made = trained()
    made.save(tmp_path / "bundle")
    first = recalibrate(made, *site(made), "North")
    first.save(tmp_path / "bundle")
    again = Bundle.load(tmp_path / "bundle")
    assert recalibrate(again, *site(again), "North") == first


def test_a_site_file_of_another_bundle_or_with_another_content_is_refused(tmp_path: Path) -> None:
    made = trained()
    made.save(tmp_path / "bundle")
    path = recalibrate(made, *site(made), "North").save(tmp_path / "bundle")
    stored = json.loads(path.read_text())
    stored["calibration"]["networks"]["student"]["shift"] = 9
    path.write_text(json.dumps(stored))
    with pytest.raises(InputError, match="its content changed"):
        Bundle.load(tmp_path / "bundle")
    other = recalibrate(made, *site(made), "North").model_copy(update={"bundle": "0" * 12})
    other.save(tmp_path / "bundle")
    with pytest.raises(InputError, match="of another bundle"):
        Bundle.load(tmp_path / "bundle")


def test_the_command(tmp_path: Path) -> None:
    made = trained()
    folder = tmp_path / "bundle"
    made.save(folder)
    table, labels = site(made)
    table.to_csv(tmp_path / "predictions.csv", index=False)
    labels.rename_axis("PATIENT").rename("ER").to_csv(tmp_path / "labels.csv")
    given = ["calibrate", folder, "--predictions", tmp_path / "predictions.csv"]
    given += ["--labels", tmp_path / "labels.csv", "--site"]
    said = succeed(*given, "North", "--json")
    networks = json.loads(said.stdout)["networks"]
    assert networks["student"]["threshold"] < 0.4
    said = succeed(*given, "North", "--replace")
    assert "threshold 0.400 becomes" in said.output
    assert "60 labelled patients, 140 without a label" in said.output
    assert "unlike those of training" not in said.output
    strangers = pd.Series({"X1": "positive", "X2": "negative"})
    joined = pd.concat([labels, strangers]).rename_axis("PATIENT").rename("ER")
    joined.to_csv(tmp_path / "labels.csv")
    told = " ".join(succeed(*given, "West").output.split())
    assert "the labels of 2 patients are not used" in told
    assert "X1, X2" in told
    outside = table.assign(scope=["out of scope"] * 3 + ["in scope"] * (len(table) - 3))
    outside.to_csv(tmp_path / "predictions.csv", index=False)
    told = succeed(*given, "South").output.replace("\n", " ")
    assert "3 of 200 patients of the site have slides unlike those of training" in told
    (problem,) = fail(*given, "North")
    assert "--replace does it again" in problem
    (problem,) = fail(*given, "../North")
    assert "use up to 64 letters" in problem
