"""Many methods by one command: trained, ranked, ablated."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from histodistill.cli import live_table, progress, training_progress
from histodistill.cli.console import console
from histodistill.cli.live_table import LiveTable
from histodistill.experiment import load, read_experiment
from histodistill.experiment.descriptions import descriptions
from histodistill.experiment.recipes import recipes
from histodistill.training import Epoch, Failure, cross_validate, fits_of
from tests.cli.command_line import fail, run, succeed
from tests.experiment.small import NETWORK, experiment_file

METHODS = {"kd-offline": {"network": NETWORK}, "mkd": {"seeds": [0, 3]}}


@pytest.fixture(scope="module")
def job(template, tmp_path_factory) -> Path:
    """A folder with the cohort, the suite, and its finished run."""
    folder: Path = tmp_path_factory.mktemp("suite")
    (folder / "cohort").symlink_to(template)
    suite = experiment_file(folder, {"methods": METHODS})
    (folder / "told.txt").write_text(succeed("suite", suite, "--reference", "kd-offline").stdout)
    return folder


def test_a_suite_tells_validation_figures_until_all_is_trained(job):
    told = (job / "told.txt").read_text()
    lines = [line for line in told.splitlines() if line.startswith("Trained ")]
    assert len(lines) == 2 * (1 + 1 + 1 + 2)
    assert lines[0].startswith("Trained 1 of 10: ER baselines seed 0 fold 0: validation AUC log")
    assert lines[-1].startswith("Trained 10 of 10: ER mkd seed 3 fold 1: validation AUC ")
    validation = pd.read_csv(job / "results/fits/ER/mkd/seed-3/repeat-0-fold-1/validation.csv")
    positive = validation["label"] == "positive"
    pairs = [
        (good > bad) + (good == bad) / 2
        for good in validation.loc[positive, "student"]
        for bad in validation.loc[~positive, "student"]
    ]
    assert lines[-1].endswith(f" {sum(pairs) / len(pairs):.3f}")
    assert told.index("Test AUC, mean over folds and seeds") > told.index(lines[-1])


def test_a_suite_ends_with_tables_a_page_and_costs(job):
    results = job / "results"
    assert (results / "leaderboard/index.html").is_file()
    board = pd.read_csv(results / "leaderboard/results.csv")
    assert {"abmil", "kd-offline", "mkd", "logistic-slides"} <= set(board["method"])
    compared = pd.read_csv(results / "leaderboard/comparisons.csv")
    assert set(compared["reference"]) == {"kd-offline"}
    costs = pd.read_csv(results / "costs.csv")
    trained = costs["method"].isin({"abmil", *METHODS})
    assert trained.sum() == 2 * (1 + 3 + 2 * 3)
    assert set(costs["method"]) == set(board["method"])
    predictions = pd.read_csv(results / "predictions.csv")
    seeds = predictions.groupby("method")["seed"].unique()
    assert sorted(seeds["mkd"]) == [0, 3]
    assert list(seeds["abmil"]) == [0]
    page = (results / "leaderboard/index.html").read_text()
    assert "Seeds of mkd" in page
    assert "imulated" in page


def test_a_finished_suite_is_not_trained_again_and_grows(job):
    before = next((job / "results/fits/ER/abmil").rglob("predictions.csv")).stat().st_mtime_ns
    suite = experiment_file(job, {"methods": METHODS | {"genomic": {"network": NETWORK}}})
    told = succeed("suite", suite).stdout
    assert "Trained 12 of 12: ER genomic seed 0 fold 1" in told
    after = next((job / "results/fits/ER/abmil").rglob("predictions.csv")).stat().st_mtime_ns
    assert after == before


def test_a_suite_with_hospitals_apart(template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    changes = {
        "splits": {"scheme": "site"},
        "methods": {"mkd": None},
        "genomics": None,
        "baselines": [],
    }
    suite = experiment_file(tmp_path, changes)
    told = succeed("suite", suite, "--threads", 1).stdout
    assert "Trained 2 of 2: ER abmil seed 0 fold 1" in told
    predictions = pd.read_csv(tmp_path / "results/predictions.csv")
    sites = pd.read_csv(tmp_path / "cohort/clinical.csv").set_index("PATIENT")["SITE"]
    per_site = predictions.groupby(sites[predictions["PATIENT"]].to_numpy())["fold"].nunique()
    assert (per_site == 1).all()


def test_a_failing_method_is_told_and_the_rest_is_kept(template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    hopeless = {"recipe": "abmil", "network": NETWORK, "training": {"learning_rate": 1e30}}
    suite = experiment_file(
        tmp_path,
        {"methods": {"mkd": None, "hopeless": hopeless}, "genomics": None, "baselines": []},
    )
    problems = fail("suite", suite)
    assert problems[:2] == [
        f"ER hopeless seed 0 fold {fold}: epoch 0: the loss is no longer a number; "
        "give a lower `learning_rate`"
        for fold in (0, 1)
    ]
    assert problems[-1].startswith("2 of 4 trainings failed; the others are finished")
    assert "Failed: ER hopeless seed 0 fold 1" in run("suite", suite).stdout
    assert len(list((tmp_path / "results/fits/ER/abmil").rglob("predictions.csv"))) == 2


def test_a_misspelt_reference_is_refused_before_anything_is_trained(template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    suite = experiment_file(tmp_path, {"baselines": []})
    assert fail("suite", suite, "--reference", "abmill") == [
        "no method 'abmill': --reference is one of abmil, mkd"
    ]
    assert not (tmp_path / "results").exists()


def test_every_method_is_listed_with_what_it_is(monkeypatch):
    monkeypatch.setattr(console, "_width", 200)
    told = succeed("suite", "--list-methods").stdout
    known = {one.name: one for one in descriptions()}
    assert list(known) == list(recipes())
    for name, one in known.items():
        assert one.text, name
        assert f"{name} " in told
        assert one.text in told
    assert known["abmil"].reads == "slides"
    assert known["kd-offline"].reads == known["momkd"].reads == "slides; genes in training"
    assert known["kd-offline"].text == f"{known['kd'].text}, by finished teachers"
    assert (known["snn"].reads, known["mcat"].reads) == ("genes", "slides and genes")


def test_the_live_table_fills_in_a_terminal(job, monkeypatch):
    screen = Console(file=StringIO(), force_terminal=True, width=100, height=60)
    for module in (live_table, progress, training_progress):
        monkeypatch.setattr(module, "console", screen)
    experiment = read_experiment(job / "experiment.yaml")
    fits = fits_of(experiment, load(experiment))
    table = LiveTable(experiment, fits)
    with live_table.live(table):
        for fit in fits[:-1]:
            table.on_fit(fit)
        losses = {"total": 1.5}
        table.on_epoch(fits[-1], Epoch(4, 1e-3, losses, {"student_auc": 0.75}, best=True))
        screen.print(table)
        table.on_failure(Failure(fits[-1], ("no memory",)))
    shown = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "Mean validation AUC" in shown
    assert "loss 1.50, AUC S 0.75" in shown
    rows = {row.split()[0]: row.split()[1:] for row in _plain(table).splitlines() if row.strip()}
    assert rows["method"] == ["ER", "seeds", "trained"]
    assert rows["kd-offline"][1:] == ["1", "2", "of", "2"]
    assert fits[-1].method == "mkd"
    assert rows["mkd"][1:] == ["2", "3", "of", "4", "(1", "failed)"]
    assert len(rows["logistic-slides"]) == 1


def _plain(table: LiveTable) -> str:
    screen = Console(file=StringIO(), width=100)
    screen.print(table.table())
    return screen.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_table_knows_what_earlier_runs_have_finished(job, monkeypatch):
    experiment = read_experiment(job / "experiment.yaml")
    data = load(experiment)
    table = LiveTable(experiment, fits_of(experiment, data))
    cross_validate(experiment, data, watcher=table)
    assert "4 of 4" in _plain(table)
    assert "failed" not in _plain(table)
