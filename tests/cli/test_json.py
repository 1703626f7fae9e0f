"""With `--json` a script reads one object, whatever becomes of the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from histodistill.cli.console import answer, answering, console, say
from histodistill.cli.json_answer import JsonAnswer
from histodistill.cli.main import COMMANDS, app
from tests.cli.command_line import run, succeed
from tests.experiment.small import experiment_file

GROUP: Any = typer.main.get_command(app)


def answered(*words: object, status: int = 0) -> dict[str, Any]:
    """The object that a command prints, which is all that it prints."""
    result = run(*words, "--json")
    assert result.exit_code == status, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def job(template, tmp_path_factory) -> Path:
    """A folder with the cohort, the experiment, and what its cross-validation answered."""
    folder: Path = tmp_path_factory.mktemp("scripted")
    (folder / "cohort").symlink_to(template)
    changes: dict[str, Any] = {"methods": {"mkd": None}, "genomics": None, "baselines": []}
    result = run("crossval", experiment_file(folder, changes), "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    (folder / "answer.json").write_text(result.stdout)
    (folder / "told.txt").write_text(result.stderr)
    return folder


def test_a_cross_validation_answers_with_its_metrics_and_files(job):
    found = json.loads((job / "answer.json").read_text())
    assert found["predictions"] == str(job / "results" / "predictions.csv")
    assert Path(found["report"]).is_file()
    aucs = [row for row in found["results"] if row["metric"] == "auc"]
    assert [(row["target"], row["method"], row["network"]) for row in aucs] == [
        ("ER", "abmil", "student")
    ]
    assert 0 <= aucs[0]["low"] <= aucs[0]["estimate"] <= aucs[0]["high"] <= 1
    assert found["problems"] == []
    told = (job / "told.txt").read_text()
    assert "Trained 2 of 2: ER abmil seed 0 fold 1" in told
    assert "Area under the ROC curve" in told


def test_what_is_trained_predicted_and_evaluated_is_answered(job, tmp_path):
    experiment, bundle, out = job / "experiment.yaml", tmp_path / "bundle", tmp_path / "new.csv"
    trained = answered("train", experiment, "--out", bundle)
    assert (
        trained.items()
        >= {
            "bundle": str(bundle),
            "target": "ER",
            "method": "abmil",
            "seed": 0,
            "models": 1,
        }.items()
    )
    words = ("--features", job / "cohort/features", "--slides-table", job / "cohort/slides.csv")
    predicted = answered("predict", bundle, *words, "--out", out)
    assert predicted["answered_by"] == {"student": 40}
    assert (predicted["patients"], predicted["failed_slides"]) == (40, [])
    evaluated = answered(
        *("evaluate", out, "--clinical", job / "cohort/clinical.csv", "--out", tmp_path / "page")
    )
    assert {row["metric"] for row in evaluated["results"]} >= {"auc"}
    assert Path(evaluated["report"]).is_file()


def test_a_finished_suite_answers_with_its_leaderboard(job):
    found = answered("suite", job / "experiment.yaml")
    assert [row["method"] for row in found["results"]] == ["abmil"]
    assert Path(found["leaderboard"]).is_file()


def test_files_are_compared(job, tmp_path):
    table = pd.read_csv(job / "results" / "predictions.csv")
    other = tmp_path / "other" / "predictions.csv"
    other.parent.mkdir()
    table.assign(student=1 - table["student"]).to_csv(other, index=False)
    words = ("--reference", "results: abmil student", "--out", tmp_path / "compared")
    found = answered("compare", job / "results/predictions.csv", other, *words)
    (row,) = found["comparisons"]
    assert row["contender"] == "other: abmil student"
    assert row["auc"] == pytest.approx(1 - row["auc_reference"])


def test_packed_bags_are_counted(job, tmp_path):
    found = answered("pack", job / "experiment.yaml", "--cache", tmp_path / "packed")
    assert (found["patients"], found["width"], found["dtype"]) == (40, 8, "float16")
    assert Path(found["file"]).exists()
    assert len(found["notes"]) == 0


def test_an_audit_answers_with_counts_and_with_problems(job, cohort):
    clean = answered("audit", job / "experiment.yaml")
    assert {row["class"] for row in clean["patients"]} >= {"negative", "positive"}
    assert clean["problems"] == []
    next((cohort / "features").glob("*.h5")).write_bytes(b"cut")
    broken = answered("audit", experiment_file(cohort.parent, {"genomics": None}), status=1)
    assert broken["problems"]


def test_the_methods_are_listed():
    assert {"method", "reads", "text"} == set(answered("suite", "--list-methods")["methods"][0])


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (("audit", "none.yaml"), 1, "none.yaml: no such file"),
        (("audit",), 2, "Missing argument"),
        (("audit", "x.yaml", "--colour"), 2, "No such option: --colour"),
        (("nonsense",), 2, "No such command"),
        (("extract", "no-slides", "--encoder", "uni", "--out", "features"), 1, "no-slides"),
    ],
)
def test_what_is_wrong_is_answered_with_the_same_exit_status(words, status, problem):
    found = answered(*words, status=status)
    assert set(found) == {"notes", "problems"}
    assert problem in found["problems"][0]
    assert run(*words).exit_code == status


def test_a_bug_and_an_interruption_are_answered_too(monkeypatch):
    for error, status in ((RuntimeError("broken"), 1), (KeyboardInterrupt(), 130)):

        def raised(path, error=error):
            raise error

        monkeypatch.setattr("histodistill.experiment.read_experiment", raised)
        result = run("audit", "x.yaml", "--json")
        assert result.exit_code == status
        assert json.loads(result.stdout)["problems"]


def test_a_script_changes_nothing_for_the_person_after_it(capsys):
    with answering(in_json=True):
        say("to a person")
        answer(number=1)
    assert not console.stderr
    told = capsys.readouterr()
    assert (json.loads(told.out)["number"], told.err) == (1, "to a person\n")
    answer(number=2)
    say("again")
    assert capsys.readouterr().out == "again\n"


def test_only_values_of_json_are_printed(tmp_path):
    table = pd.DataFrame({"n": [1, 2], "auc": [0.5, np.nan]})
    values = {"table": table, "path": tmp_path, "many": np.int64(3), "most": np.inf, "none": None}
    found = json.loads(JsonAnswer(values).text())
    assert found["table"] == [{"n": 1, "auc": 0.5}, {"n": 2, "auc": None}]
    assert found["path"] == str(tmp_path)
    assert (found["many"], found["most"], found["none"]) == (3, None, None)


def test_the_documentation_names_every_command_that_answers():
    page = (Path(__file__).parents[2] / "docs/how-to/scripts.md").read_text()
    named = set(re.findall(r"(?m)^\| `([a-z-]+)` \|", page))
    answers = {
        name
        for name in COMMANDS
        if any("--json" in option.opts for option in GROUP.commands[name].params)
    }
    assert named == answers


def test_nothing_is_printed_where_nothing_is_answered():
    assert succeed("audit", "--help", "--json").stdout.rstrip().endswith("╯")
