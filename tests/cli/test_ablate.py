"""The ablation by one command."""

from __future__ import annotations

import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.evaluation import read_predictions
from histodistill.experiment.ablation import ABLATION, components, read_ablation
from histodistill.report.ablation import ablation_results
from tests.cli.command_line import succeed
from tests.experiment.small import NETWORK, experiment_file

ONE_EPOCH = {"training": {"max_epochs": 1}}


def test_the_ablation_end_to_end(template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    told = succeed("ablate", experiment_file(tmp_path, ONE_EPOCH)).stdout
    folder = tmp_path / "results" / "ablation"
    assert f"Table: {folder}/ablation.md" in told
    tidy = pd.read_csv(folder / "ablation.csv")
    students = tidy[tidy["network"] == "student"].set_index("method")
    assert tuple(students.index) == ABLATION
    marks = students[["MKD-L_OR", "MKD-L_CORAL", "SKD", "CLOD"]]
    assert marks.loc["mkd"].all()
    assert marks.loc["mkd-concat"].all()
    assert not marks.loc["mkd-labels-only"].any()
    assert not marks.loc["abmil"].any()
    assert list(marks.loc["mkd-no-orthogonality"]) == [False, True, True, True]
    assert list(marks.loc["mkd-no-alignment"]) == [True, False, True, True]
    assert list(marks.loc["mkd-no-decomposition"]) == [False, False, True, True]
    assert list(marks.loc["mkd-no-similarity"]) == [True, True, False, True]
    assert list(marks.loc["mkd-no-collaboration"]) == [True, True, True, False]
    assert students["p_holm"].isna().sum() == 1
    assert students.drop(index="mkd")["p_holm"].between(0, 1).all()
    assert set(tidy.loc[tidy["method"] == "abmil", "network"]) == {"student"}

    markdown = (folder / "ablation.md").read_text().splitlines()
    assert len(markdown) == 2 + len(ABLATION)
    header = [cell.strip() for cell in markdown[0].strip("|").split("|")]
    assert header[5:] == ["ER student", "ER multimodal", "ER genomic", "ER p"]
    row = [cell.strip() for cell in markdown[2].strip("|").split("|")]
    assert row[:5] == ["mkd", "✓", "✓", "✓", "✓"]
    assert f"{students['fold_auc']['mkd']:.3f}" in row[5]
    latex = (folder / "ablation.tex").read_text()
    assert r"mkd & $\checkmark$ & $\checkmark$" in latex
    assert "✓" not in latex

    # The same command does nothing again, and the experiment's own results are apart.
    assert not (tmp_path / "results" / "fits").exists()
    said = succeed("ablate", tmp_path / "experiment.yaml").stdout
    assert said.startswith("18 of 18 trainings were finished by an earlier run.")
    assert "Trained " not in said
    predictions = read_predictions(folder / "predictions.csv")
    again = ablation_results(
        predictions, components(read_ablation(tmp_path / "experiment.yaml")), "mkd"
    )
    pd.testing.assert_frame_equal(again, tidy, check_dtype=False)


def test_what_the_experiment_changes_in_mkd_is_changed_in_every_row(template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    mkd = {"network": NETWORK, "objective": {"temperature": 2}, "training": {"patience": 9}}
    changes = {
        "methods": {"abmil": None, "mkd": mkd},
        "training": {"learning_rate": 0.01},
        "seeds": [4, 5],
    }
    experiment = read_ablation(experiment_file(tmp_path, changes))
    assert tuple(experiment.methods) == ABLATION
    assert experiment.baselines == ()
    assert experiment.seeds == (4, 5)
    for name, method in experiment.methods.items():
        assert method.recipe == name
        assert method.network.width == NETWORK["width"]
        assert method.objective.temperature == 2
        assert (method.training.patience, method.training.learning_rate) == (9, 0.01)
    assert experiment.methods["abmil"].network.networks == ("student",)
    assert experiment.methods["mkd-concat"].network.fusion == "concat"
    assert experiment.methods["mkd-no-orthogonality"].objective.orthogonality == 0
    assert experiment.methods["mkd-no-orthogonality"].objective.alignment == 1


def test_rows_without_distillation_have_none(template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    mkd = {
        "network": NETWORK,
        "objective": {"distillation": {"kd": 1.0}, "reconstruction": 0.5},
        "training": {"monitor": "multimodal_loss"},
    }
    experiment = read_ablation(experiment_file(tmp_path, {"methods": {"mkd": mkd}}))
    for name, method in experiment.methods.items():
        taught = name not in ("mkd-labels-only", "abmil")
        assert any(method.objective.distillation.values()) == taught
        assert method.objective.from_genes == ({"reconstruction": 0.5} if taught else {})
        expected = "student_loss" if name == "abmil" else "multimodal_loss"
        assert method.training.monitor == expected


def test_another_method_called_mkd_is_refused(template, tmp_path):
    path = experiment_file(tmp_path, {"methods": {"mkd": {"recipe": "abmil"}}})
    with pytest.raises(InputError, match="the method `mkd` has another recipe"):
        read_ablation(path)
