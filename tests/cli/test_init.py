"""`histodistill init`: from files to an experiment, and what is left to decide."""

from __future__ import annotations

import pytest
import yaml

from tests.cli.command_line import fail, run, succeed
from tests.drafting import sources


def words(folder, *more):
    return (
        *("init", "--clinical", sources.plain_clinical(folder)),
        *("--genomics", f"mrna={sources.cbioportal_zscores(folder)}"),
        *("--out", folder / "experiment.yaml", *more),
    )


def test_from_files_to_an_audited_experiment(tmp_path):
    result = succeed(*words(tmp_path, "--features", sources.trident_features(tmp_path)))
    assert "Next: histodistill audit" in result.stdout
    assert "Decide" not in result.stdout
    assert "No problem found." in succeed("audit", tmp_path / "experiment.yaml").stdout


def test_what_is_left_to_decide_is_told_and_status_is_0(tmp_path):
    features = sources.trident_features(tmp_path)
    for n, path in enumerate(sorted(features.iterdir())):
        path.rename(features / f"slide{n}.h5")
    result = succeed(*words(tmp_path, "--features", features))
    assert "Decide: no slide of" in result.stdout
    assert "1 thing to decide, marked DECIDE in the file." in result.stdout
    assert "# DECIDE: no slide of" in (tmp_path / "experiment.yaml").read_text()


def test_an_experiment_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "experiment.yaml").write_text("mine")
    (problem,) = fail(*words(tmp_path))
    assert "is there already and was left as it is" in problem
    assert (tmp_path / "experiment.yaml").read_text() == "mine"


def test_questions_are_asked_only_with_ask(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from histodistill.cli.main import app

    texts = [str(word) for word in words(tmp_path, "--ask")]
    result = CliRunner().invoke(app, texts, input="y\ny\n")
    assert result.exit_code == 0, result.output
    assert "Predict ER (column 'ER')? [Y/n]" in result.stdout
    assert "Leave the genes that encode the labels (ESR1) out of mrna? [y/N]" in result.stdout
    raw = yaml.safe_load((tmp_path / "experiment.yaml").read_text())
    assert raw["genomics"]["mrna"]["selection"]["exclude"] == ["ESR1"]


@pytest.mark.parametrize("block", ["mrna", "=file", "mrna="])
def test_a_block_is_a_name_and_a_file(tmp_path, block):
    (problem,) = fail(
        *("init", "--clinical", sources.plain_clinical(tmp_path)),
        *("--genomics", block, "--out", tmp_path / "e.yaml"),
    )
    assert "write NAME=FILE" in problem


def test_files_that_are_not_there(tmp_path):
    result = run("init", "--clinical", tmp_path / "a.csv", "--out", tmp_path / "e.yaml")
    assert result.exit_code == 1
    assert "there is no such file" in result.stderr
    assert not (tmp_path / "e.yaml").exists()


@pytest.mark.shared
def test_the_real_cohort_passes_the_audit_unedited(tcga, tmp_path):
    path = tmp_path / "experiment.yaml"
    result = succeed(
        *("init", "--clinical", tcga / "clinical.csv", "--features", tcga / "features"),
        *("--genomics", f"mrna={tcga / 'mrna_zscores.txt.gz'}"),
        *("--genomics", f"cna={tcga / 'cna_gistic.txt.gz'}", "--out", path),
    )
    assert "Decide" not in result.stdout
    text = " ".join(path.read_text().replace("#", "").split())
    assert (
        "60 positives of 456 patients with slides: an AUC is known to ±0.07, and differences below "
        "0.09 between the AUCs of two models cannot be told" in text
    )
    raw = yaml.safe_load(path.read_text())
    assert list(raw["targets"]) == ["ER", "PR", "HER2"]
    assert raw["cohort"]["survival"] == {"time": "OS_MONTHS", "event": "OS_STATUS"}
    assert "No problem found." in succeed("audit", path).stdout
