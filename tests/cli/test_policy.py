"""A triage policy in the words of a command line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from histodistill.cli.policy import stated_policy
from histodistill.errors import InputError
from histodistill.evaluation.predictions import write_predictions
from tests.cli.command_line import fail, succeed
from tests.evaluation.simulated import two_class


def test_what_is_stated() -> None:
    assert stated_policy(None, None, None) is None
    policy = stated_policy(0.05, None, 0.9)
    assert policy is not None
    assert (policy.max_missed, policy.min_ppv) == (0.05, 0.9)
    policy = stated_policy(None, None, None, "missed=10, false_alarm=2,ihc=1")
    assert policy is not None
    assert policy.costs is not None
    assert policy.costs.model_dump() == {"missed": 10, "false_alarm": 2, "ihc": 1}


@pytest.mark.parametrize(
    ("costs", "told"),
    [
        ("10,2,1", "write it as missed=10"),
        ("missed=10,ihc=1", "write it as missed=10"),
        ("missed=10,false_alarm=2,ihc=1,ihc=2", "write it as missed=10"),
        ("missed=ten,false_alarm=2,ihc=1", "write it as missed=10"),
        ("missed=-1,false_alarm=2,ihc=1", "`--costs`"),
    ],
)
def test_costs_that_are_none(costs: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        stated_policy(None, None, None, costs)


def test_costs_and_limits_contradict_each_other() -> None:
    with pytest.raises(InputError, match="`--costs` or the other limits, not both"):
        stated_policy(0.05, None, None, "missed=10,false_alarm=2,ihc=1")


def test_triage_by_costs(tmp_path: Path) -> None:
    rows = two_class(n=300, methods=(("abmil", 3.0),))
    write_predictions(tmp_path / "predictions.csv", rows)
    said = succeed(
        "triage", tmp_path / "predictions.csv", "--costs", "missed=10,false_alarm=2,ihc=1"
    )
    assert "cost of a patient" in said.output
    summary = pd.read_csv(tmp_path / "triage" / "triage.csv").set_index("figure")
    patients = pd.read_csv(tmp_path / "triage" / "patients.csv")
    given, positive = patients["triage"], patients["positive"] == 1
    paid = 10 * ((given == "negative") & positive).mean()
    paid += 2 * ((given == "positive") & ~positive).mean() + (given == "send to IHC").mean()
    assert summary.loc["cost of a patient", "value"] == pytest.approx(paid)
    saved = summary.loc["saved of a patient against IHC for all", "value"]
    assert saved == pytest.approx(1 - paid)
    (problem,) = fail("triage", tmp_path / "predictions.csv")
    assert "`--costs`" in problem
