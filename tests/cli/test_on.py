"""`--on`: the same command, the same results, elsewhere; and `--dry-run`, the plan of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.cli.command_line import fail, run, succeed
from tests.cli.test_explain import explain, features, model
from tests.engines.clusters import submitit_for_slurm
from tests.experiment.small import experiment_file

__all__ = ["features", "model"]

# Without `abmil`: `mkd` alone.
SMALL = {"methods": {"abmil": None}, "baselines": []}


@pytest.fixture
def slurm_here(monkeypatch) -> None:
    submitit_for_slurm(monkeypatch, "debug")


@pytest.mark.parametrize(
    "words",
    [
        ("crossval", "absent.yaml"),
        ("suite", "absent.yaml"),
        ("ablate", "absent.yaml"),
        ("train", "absent.yaml", "--out", "model"),
        ("predict", "absent", "--out", "table.csv"),
        ("explain", "absent", "--out", "maps"),
        ("extract", "absent", "--encoder", "efficientnet-lite0", "--out", "features"),
    ],
)
def test_a_place_that_there_is_not_is_refused_before_anything_is_read(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = ["--on kubernetes: give local, ray, ray://HOST:PORT or slurm"]
    assert fail(*words, "--on", "kubernetes") == told
    assert not list(tmp_path.iterdir())


def test_the_plan_is_shown_and_nothing_is_written(cohort, tmp_path):
    setup = experiment_file(tmp_path, {"baselines": [], "seeds": [0, 1]})
    told = succeed("crossval", setup, "--dry-run", "--threads", "1").output
    assert "8 trainings in 8 tasks, 1 at a time, each with 1 thread" in told
    assert "Time: 4 min of training, 4 min so; guessed for abmil, mkd" in told
    assert not (tmp_path / "results").exists()
    # With two of them finished, one method is measured.
    succeed("crossval", experiment_file(tmp_path, SMALL), "--no-report")
    again = run("suite", experiment_file(tmp_path, {"baselines": []}), "--dry-run", "--jobs", "2")
    assert "2 trainings in 2 tasks, 2 at a time" in again.output, again.output
    setup = experiment_file(tmp_path, {"baselines": []})
    answer = json.loads(succeed("crossval", setup, "--dry-run", "--json").stdout)
    rows = {row["method"]: row for row in answer["trainings"]}
    assert (rows["mkd"]["finished"], rows["mkd"]["known"]) == (2, True)
    assert (rows["abmil"]["trainings"], rows["abmil"]["known"]) == (2, False)
    # One that was never measured costs what the others do.
    assert rows["abmil"]["seconds"] == rows["mkd"]["seconds"]
    assert answer["seconds"] == 2 * rows["mkd"]["seconds"]
    assert answer["memory_bytes"] > 10**8


def test_a_suite_and_a_model_trained_elsewhere_are_those_trained_here(
    template, tmp_path, slurm_here
):
    tables, weights = [], []
    for place in ("local", "slurm"):
        folder = tmp_path / place
        folder.mkdir()
        (folder / "cohort").symlink_to(template)
        setup = experiment_file(folder, SMALL)
        succeed("suite", setup, "--on", place, "--threads", "1")
        tables.append((folder / "results" / "predictions.csv").read_bytes())
        succeed("train", setup, "--on", place, "--threads", "1", "--out", folder / "model")
        weights.append(load_file(folder / "model" / "member-0" / "networks.safetensors"))
    assert tables[0] == tables[1]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_maps_made_elsewhere_are_those_made_here(
    model: Path, features: Path, tmp_path: Path, slurm_here
) -> None:
    for place in ("local", "slurm"):
        said = explain(model, features, tmp_path / place, "--on", place)
        assert said.exit_code == 0, said.output
    assert "SLURM: arrays of at most" in said.output
    here, there = (pd.read_csv(tmp_path / place / "maps.csv") for place in ("local", "slurm"))
    pd.testing.assert_frame_equal(here, there)


def test_predictions_made_elsewhere_are_those_made_here(
    model: Path, features: Path, tmp_path: Path, slurm_here
) -> None:
    for place in ("local", "slurm"):
        table = tmp_path / f"{place}.csv"
        pattern = ("--patient-pattern", "^(.)")
        succeed("predict", model, "--features", features, *pattern, "--out", table, "--on", place)
    assert (tmp_path / "slurm.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()
    assert np.isfinite(pd.read_csv(tmp_path / "slurm.csv")["probability"]).all()
    told = "--threads has no effect without --on ray or --on slurm."
    assert fail("predict", model, "--out", table, "--threads", "2") == [told]
