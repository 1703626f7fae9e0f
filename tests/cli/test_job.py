"""The whole job on a small simulated cohort, as a user does it command by command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from histodistill.deploy import Bundle
from tests.cli.command_line import fail, succeed
from tests.experiment.small import change_table, experiment_file

TWO = ("--target", "ER", "--classes", "negative,positive", "--positive", "positive")


@pytest.fixture(scope="module")
def job(template, tmp_path_factory) -> Path:
    """A folder with the cohort, the experiment, and its finished cross-validation."""
    folder: Path = tmp_path_factory.mktemp("job")
    (folder / "cohort").symlink_to(template)
    result = succeed("crossval", experiment_file(folder))
    (folder / "crossval.txt").write_text(result.stdout)
    return folder


def test_crossval_tells_what_it_does_and_what_came_out(job):
    told = (job / "crossval.txt").read_text()
    assert "Trained 1 of 6: ER baselines seed 0 fold 0" in told
    assert "Trained 6 of 6: ER mkd seed 0 fold 1" in told
    assert "Area under the ROC curve" in told
    assert f"Report: {job}/results/report/report.html" in told
    assert max(map(len, told.splitlines())) <= 120


def test_every_labelled_patient_has_one_row_a_method(job):
    predictions = pd.read_csv(job / "results" / "predictions.csv")
    clinical = pd.read_csv(job / "cohort" / "clinical.csv").set_index("PATIENT")["ER"].dropna()
    truth = pd.read_csv(job / "cohort" / "truth.csv").set_index("PATIENT")
    assert set(predictions["method"]) >= {"abmil", "mkd", "logistic-slides", "logistic-mrna"}
    for _, rows in predictions.groupby("method"):
        assert sorted(rows["PATIENT"]) == sorted(clinical.index)
        assert (rows.set_index("PATIENT")["label"] == clinical[rows["PATIENT"]]).all()
    mkd = predictions[predictions["method"] == "mkd"].set_index("PATIENT")
    has_genomics = truth.loc[mkd.index, "HAS_GENOMICS"]
    assert mkd["student"].notna().all()
    assert (mkd["multimodal"].notna() == has_genomics).all()
    assert (mkd["genomic"].notna() == has_genomics).all()


def test_the_run_folder_says_how_it_was_made(job):
    results = job / "results"
    configuration = json.loads((results / "experiment.json").read_text())
    assert configuration["methods"]["mkd"]["objective"]["orthogonality"] == 1
    assert configuration["seeds"] == [0]
    assert json.loads((results / "versions.json").read_text())["packages"]["torch"]
    for method, fold in (("mkd", 0), ("abmil", 1)):
        place = results / "fits" / "ER" / method / "seed-0" / f"repeat-0-fold-{fold}"
        curves = [json.loads(line) for line in (place / "curves.jsonl").read_text().splitlines()]
        assert [curve["epoch"] for curve in curves] == [0, 1]
        assert (place / "model" / "MODEL_CARD.md").is_file()
        assert not list(place.glob("checkpoint*"))


def test_the_report_has_its_page_tables_and_figures(job):
    report = job / "results" / "report"
    page = (report / "report.html").read_text()
    assert "simulated" in page.lower()
    assert "Small" in page
    assert {path.name for path in (report / "tables").iterdir()} >= {
        *("summary.csv", "folds.csv", "excluded.csv", "comparison.csv"),
        *("auc.md", "auc.tex", "metrics-ER.md", "metrics-ER.tex"),
    }
    for figure in ("roc-ER", "precision-recall-ER", "calibration-ER"):
        assert (report / "figures" / f"{figure}.png").stat().st_size > 1000
        assert (report / "figures" / f"{figure}.svg").stat().st_size > 1000


def test_a_finished_crossval_is_not_redone_and_other_settings_are_refused(job):
    model = next((job / "results" / "fits").rglob("networks.safetensors"))
    before = model.stat().st_mtime_ns
    predictions = (job / "results" / "predictions.csv").read_bytes()
    succeed("crossval", job / "experiment.yaml", "--no-report")
    assert model.stat().st_mtime_ns == before
    assert (job / "results" / "predictions.csv").read_bytes() == predictions
    raw = yaml.safe_load((job / "experiment.yaml").read_text())
    raw["training"]["patience"] = 3
    other = job / "other.yaml"
    other.write_text(yaml.safe_dump(raw))
    (problem,) = fail("crossval", other, "--no-report")
    assert problem.startswith(
        f"{job}/results: holds results of another configuration, which differs"
    )
    assert "methods.abmil.training.patience, methods.mkd.training.patience" in problem


def test_results_are_evaluated_and_compared_in_a_terminal_of_80_columns(job, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    predictions = job / "results" / "predictions.csv"
    evaluated = succeed("evaluate", predictions, "--out", tmp_path / "evaluation").stdout
    assert (tmp_path / "evaluation" / "report.html").is_file()
    words = ("compare", predictions, "--reference", "abmil student", "--out", tmp_path / "compare")
    compared = succeed(*words).stdout
    assert "Area under the ROC curve, against abmil student" in compared
    table = pd.read_csv(tmp_path / "compare" / "comparison.csv")
    assert set(table["contender"]) >= {"mkd student", "mkd genomic", "logistic-slides student"}
    assert ((table["p_holm"] >= table["p_delong"]) | table["p_delong"].isna()).all()
    for suffix in ("md", "tex"):
        assert (tmp_path / "compare" / f"comparison.{suffix}").is_file()
    problems = fail(*words, "--no-common-patients")
    assert any("answer different patients" in problem for problem in problems)
    audited = succeed("audit", job / "experiment.yaml", "--out", tmp_path / "audit").stdout
    for output in (evaluated, compared, audited):
        assert "…" not in output
        rows = [line for line in output.splitlines() if line.startswith("ER ")]
        assert rows
        assert all(len(row) <= 80 for row in rows)
    assert "logistic-slides  student" in evaluated


def test_a_final_model_predicts_new_patients_and_is_evaluated(job, tmp_path):
    bundle = tmp_path / "bundle"
    words = ("train", job / "experiment.yaml", "--method", "mkd", "--out", bundle)
    assert "(1 model; see MODEL_CARD.md)" in succeed(*words).stdout
    (problem,) = fail(*words)
    assert problem == f"{bundle}: exists already; remove it or choose another folder"
    info = Bundle.load(bundle).info
    assert (info.target, info.recipe, list(info.blocks)) == ("ER", "mkd", ["mrna"])
    out = tmp_path / "predictions.csv"
    told = succeed(
        *("predict", bundle, "--features", job / "cohort" / "features"),
        *("--slides-table", job / "cohort" / "slides.csv", "--out", out),
    ).stdout
    assert told == f"40 patients (40 by student): {out}\n"
    table = pd.read_csv(out)
    assert set(table["call"]) <= {"positive", "negative"}
    assert set(table["target"]) == {"ER"}
    assert set(table["classes"]) == {"negative|positive"}
    assert set(table["bundle"]) == {Bundle.load(bundle).fingerprint}
    clinical = ("--clinical", job / "cohort" / "clinical.csv", "--out", tmp_path / "evaluation")
    (problem,) = fail("evaluate", out, *clinical, *TWO[:4], "--positive", "negative")
    assert "of the positive class positive, and negative is asked for" in problem
    (problem,) = fail("evaluate", out, *clinical, "--target", "PR")
    assert "of the target ER, and PR is asked for" in problem
    told = succeed(
        *("evaluate", out, "--clinical", job / "cohort" / "clinical.csv"),
        *("--out", tmp_path / "evaluation", "--title", "New patients"),
    ).stdout
    assert "mkd" in told
    assert "deployed" in told
    assert "New patients" in (tmp_path / "evaluation" / "report.html").read_text()
    summary = pd.read_csv(tmp_path / "evaluation" / "tables" / "summary.csv")
    labelled = pd.read_csv(job / "cohort" / "clinical.csv")["ER"].notna().sum()
    auc = summary[(summary["network"] == "student") & (summary["metric"] == "auc")]
    assert auc["n_patients"].item() == labelled


def test_the_ensemble_of_a_crossval_is_the_mean_of_its_models(job, tmp_path):
    told = succeed(
        *("train", job / "experiment.yaml", "--method", "mkd", "--ensemble"),
        *("--out", tmp_path / "ensemble"),
    ).stdout
    assert "(2 models; see MODEL_CARD.md)" in told
    tables = []
    folds = sorted((job / "results" / "fits" / "ER" / "mkd" / "seed-0").glob("*/model"))
    for number, bundle in enumerate([tmp_path / "ensemble", *folds]):
        out = tmp_path / f"{number}.csv"
        succeed(
            *("predict", bundle, "--features", job / "cohort" / "features"),
            *("--slides-table", job / "cohort" / "slides.csv", "--out", out),
            *("--genomics", f"mrna={job / 'cohort' / 'mrna_zscores.txt'}"),
        )
        tables.append(pd.read_csv(out)[["student", "multimodal", "genomic"]].to_numpy())
    np.testing.assert_allclose(tables[0], (tables[1] + tables[2]) / 2, rtol=1e-9)


def test_train_says_what_it_lacks(job, tmp_path):
    experiment = job / "experiment.yaml"
    out = ("--out", tmp_path / "bundle")
    assert fail("train", experiment, *out) == ["say which method: --method is one of abmil, mkd"]
    assert fail("train", experiment, *out, "--method", "x") == [
        "no method 'x': --method is one of abmil, mkd"
    ]
    assert fail("train", experiment, *out, "--method", "mkd", "--target", "PR") == [
        "no target 'PR': --target is one of ER"
    ]
    assert fail("train", experiment, *out, "--method", "mkd", "--ensemble", "--seed", 1) == [
        "--ensemble averages the models of all seeds: leave out --seed"
    ]
    (tmp_path / "cohort").symlink_to(job / "cohort")
    unfinished = experiment_file(tmp_path)
    (problem,) = fail("train", unfinished, *out, "--method", "mkd", "--ensemble")
    assert problem.endswith(
        "the cross-validation of mkd for ER is not finished; run `histodistill crossval` first"
    )


def test_predict_says_what_it_lacks(job, tmp_path):
    model = next((job / "results" / "fits" / "ER" / "mkd").rglob("model"))
    out = ("--out", tmp_path / "p.csv")
    (problem,) = fail("predict", model, *out)
    assert problem.startswith("nothing to predict from: give slides (--slides DIR) or features")
    problems = fail(
        *("predict", model, *out, "--genomics", "rna=x.csv", "--genomics", "x.csv"),
        *("--genomics", "mrna=", "--genomics", "rna=y.csv"),
    )
    assert problems == [
        f"--genomics {given}: write NAME=FILE, each block once"
        for given in ("x.csv", "mrna=", "rna=y.csv")
    ]
    (problem,) = fail("predict", model, *out, "--genomics", "rna=x.csv")
    assert problem == "x.csv: the bundle reads no block rna; the bundle's blocks: mrna"
    (problem,) = fail("predict", model, *out, "--genomics", f"mrna={tmp_path}/none.csv")
    assert f"{tmp_path}/none.csv" in problem
    (problem,) = fail("predict", tmp_path, *out, "--genomics", "mrna=x.csv")
    assert problem == f"{tmp_path}: not a model bundle: it has no bundle.json"
    (problem,) = fail("predict", model, *out, "--features", tmp_path)
    assert "holds no feature files" in problem
    assert not (tmp_path / "p.csv").exists()


def test_half_of_the_genes_may_be_absent_where_the_user_says_so(job, tmp_path):
    model = next((job / "results" / "fits" / "ER" / "mkd").rglob("model"))
    genes = Bundle.load(model).members[0].transforms.blocks["mrna"].genes_
    full = pd.read_csv(job / "cohort" / "mrna_zscores.txt", sep="\t", dtype=str)
    absent = full["Hugo_Symbol"].isin(genes[: len(genes) // 2])
    full[~absent].to_csv(tmp_path / "few.txt", sep="\t", index=False)
    words = ("predict", model, "--genomics", f"mrna={tmp_path / 'few.txt'}")
    (problem,) = fail(*words, "--out", tmp_path / "p.csv")
    assert "10 of the bundle's 20 genes are absent" in problem
    told = succeed(*words, "--out", tmp_path / "p.csv", "--max-missing-genes", 0.5).stdout
    assert "Note: block mrna: 10 of 20 genes are absent and were imputed: " in told
    assert pd.read_csv(tmp_path / "p.csv")["genomic"].notna().all()


def test_a_threshold_of_the_users_replaces_the_stored(job, tmp_path):
    model = next((job / "results" / "fits" / "ER" / "mkd").rglob("model"))
    words = ("predict", model, "--genomics", f"mrna={job / 'cohort' / 'mrna_zscores.txt'}")
    for threshold, call in ((0, "positive"), (1, "negative")):
        succeed(*words, "--threshold", threshold, "--out", tmp_path / "p.csv")
        table = pd.read_csv(tmp_path / "p.csv")
        assert set(table["call"]) == {call}
        assert set(table["student_threshold"]) == {threshold}


def test_slides_that_do_not_fit_are_told_when_predicting(job, tmp_path):
    model = next((job / "results" / "fits" / "ER" / "abmil").rglob("model"))
    slides = pd.read_csv(job / "cohort" / "slides.csv")
    more = pd.DataFrame({"PATIENT": ["SIM-NEW"], "FILENAME": ["gone.h5"]})
    pd.concat([slides.iloc[1:], more]).to_csv(tmp_path / "slides.csv", index=False)
    words = (
        *("predict", model, "--features", job / "cohort" / "features"),
        *("--slides-table", tmp_path / "slides.csv", "--out", tmp_path / "p.csv"),
    )
    (problem,) = fail(*words)
    assert problem.endswith("or delete the rows, or give `--leave-out-missing`.")
    told = succeed(*words, "--leave-out-missing").stdout
    assert "Note: slides of the table absent from the folder (1): gone.h5 (SIM-NEW)" in told
    unknown = slides["FILENAME"][0]
    assert f"Note: slides that belong to no known patient (1): {unknown}" in told


def test_evaluate_says_what_is_wrong(job, tmp_path):
    predictions = job / "results" / "predictions.csv"
    out = ("--out", tmp_path / "evaluation")
    (problem,) = fail("evaluate", tmp_path / "none.csv", *out)
    assert problem == f"{tmp_path}/none.csv: there is no such file; give a predictions CSV."
    clinical = ("--clinical", job / "cohort" / "clinical.csv")
    (problem,) = fail("evaluate", tmp_path / "none.csv", *out, *clinical, *TWO)
    assert problem == f"{tmp_path}/none.csv: there is no such file."
    (problem,) = fail("evaluate", predictions, *out, *clinical)
    assert problem.startswith(f"{predictions}: column method names ")
    plain = tmp_path / "plain.csv"
    pd.DataFrame({"PATIENT": ["SIM-1"], "student": [0.4]}).to_csv(plain, index=False)
    (problem,) = fail("evaluate", plain, *out, *clinical)
    assert "say what they are of: --clinical needs --target and --classes" in problem
    (problem,) = fail("evaluate", plain, *out, *clinical, *TWO[:4], "--positive", "yes")
    assert "which of its classes is positive, negative or positive." in problem
    other = job / "cohort" / "other.csv"
    pd.DataFrame({"NAME": ["SIM-1", "SIM-2"], "STATUS": ["Pos", "Neg"]}).to_csv(other, index=False)
    asked = ("evaluate", plain, "--labels", other, *out, *TWO)
    (problem,) = fail(*asked, "--patient-column", "NAMES", "--column", "STATUS")
    assert "do you mean 'NAME'? Then give `--patient-column NAME`." in problem
    (problem,) = fail(*asked, "--patient-column", "NAME", "--column", "STATUS")
    assert "give `--map Neg=negative --map Pos=positive` (nothing after =: unknown)" in problem
    words = ("--patient-column", "NAME", "--column", "STATUS", "--map", "Neg=negative")
    (problem,) = fail(*asked, *words, "--map", "Pos=positive", "--map", "Equivocal=")
    assert "`--map` names 'Equivocal', which no cell of column 'STATUS' holds" in problem
    problems = fail(*asked, *words, "--map", "Pos", "--map", "Neg=positive")
    assert [problem.split(":")[0] for problem in problems] == ["--map Pos", "--map Neg=positive"]
    result = succeed(*asked, *words, "--map", "Pos=positive", "--out", tmp_path / "mapped")
    assert "'Pos' (1) read as 'positive'" in result.stdout.replace("\n", " ")
    problems = fail("evaluate", predictions, predictions, *out)
    assert "have more than one row for the same target, method, seed and repeat" in problems[0]
    (problem,) = fail("evaluate", predictions, *out, "--reference", "abmil")
    assert problem.startswith("no contender 'abmil': --reference is one of logistic-slides student")
    assert not (tmp_path / "evaluation").exists()
    missing, networks = fail("evaluate", job / "cohort" / "clinical.csv", *out)
    assert "the column(s) target, method, seed, fold, label, positive_class are missing" in missing
    assert "no network column" in networks


def test_compare_says_what_is_wrong(job, tmp_path):
    predictions = job / "results" / "predictions.csv"
    out = ("--out", tmp_path / "comparison")
    (problem,) = fail("compare", predictions, "--reference", "abmil", *out)
    assert "mkd student" in problem
    table = pd.read_csv(predictions)
    table[table["method"] == "abmil"].to_csv(tmp_path / "one.csv", index=False)
    (problem,) = fail("compare", tmp_path / "one.csv", "--reference", "abmil student", *out)
    assert problem == "nothing to compare: the predictions hold a single method and network"


def test_several_runs_are_compared_by_their_folders_names(job, tmp_path):
    table = pd.read_csv(job / "results" / "predictions.csv")
    table = table[table["method"] == "abmil"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        table.to_csv(tmp_path / name / "predictions.csv", index=False)
    told = succeed(
        *("compare", tmp_path / "one" / "predictions.csv", tmp_path / "two" / "predictions.csv"),
        *("--reference", "one: abmil student", "--out", tmp_path / "comparison"),
    ).stdout
    assert "two: abmil student" in told


def test_a_class_that_a_test_fold_lacks_is_told_and_no_crash(cohort):
    # One site alone keeps both classes among the tested: the other test part has one class.
    def sorted_by_site(table: pd.DataFrame) -> pd.DataFrame:
        mixed = table["SITE"].isin(["S01", "S02"])
        return table.assign(ER=table["ER"].where(mixed | (table["ER"] == ""), "negative"))

    change_table(cohort / "clinical.csv", sorted_by_site)
    changes = {
        "splits": {"scheme": "files", "directory": "folds"},
        "methods": {"abmil": None},
        "baselines": [],
    }
    clinical = pd.read_csv(cohort / "clinical.csv").dropna(subset=["ER"])
    write_site_folds(cohort.parent / "folds", clinical)
    experiment = experiment_file(cohort.parent, changes)
    told = succeed("audit", experiment).stdout
    assert "the test part has no patient of class positive; figures that need it" in told
    told = succeed("crossval", experiment).stdout
    assert "Area under the ROC curve" in told
    folds = pd.read_csv(cohort.parent / "results" / "report" / "tables" / "folds.csv")
    aucs = folds[(folds["metric"] == "auc") & (folds["method"] == "mkd")]
    undefined = aucs[aucs["value"].isna()]
    assert set(undefined["fold"]) == {1}
    assert undefined["note"].str.contains("positive").all()


def write_site_folds(folder: Path, clinical: pd.DataFrame) -> None:
    """Fold 0 tests a site with both classes, fold 1 one with negatives alone."""
    folder.mkdir()
    for index, site in enumerate(("S01", "S03")):
        test = clinical.loc[clinical["SITE"] == site, "PATIENT"]
        rest = clinical[clinical["SITE"] != site]
        chosen = rest.groupby("ER").head(2)["PATIENT"]
        train = rest.loc[~rest["PATIENT"].isin(chosen), "PATIENT"]
        parts = {"train": train, "val": chosen, "test": test}
        table = pd.DataFrame({k: v.reset_index(drop=True) for k, v in parts.items()})
        table.to_csv(folder / f"splits_{index}.csv")


def test_genes_of_a_finished_run_are_ranked_with_a_null(job, tmp_path):
    truth = pd.read_csv(job / "cohort" / "truth_genes.csv")
    sets = truth[truth["PROGRAMME"] != "none"].groupby("PROGRAMME")["GENE"].apply("\t".join)
    lines = [f"{name}\tsimulated\t{genes}\n" for name, genes in sets.items()]
    (tmp_path / "sets.gmt").write_text("".join(lines))
    out = tmp_path / "genes"
    succeed(
        *("explain-genes", job / "experiment.yaml", "--method", "mkd", "--out", out),
        *("--permutations", 2, "--sets", tmp_path / "sets.gmt"),
    )
    genes = pd.read_csv(out / "genes.csv")
    assert genes["network"].unique().tolist() == ["genomic", "multimodal"]
    assert genes["p"].min() >= 1 / 3
    assert (genes["p_family"] >= genes["p"]).all()
    stability = pd.read_csv(out / "stability.csv")
    assert stability["n_parts"].tolist() == [2, 2]
    assert stability["permutations"].tolist() == [2, 2]
    assert (stability["gap"] <= 0.01).all()
    predictions = pd.read_csv(job / "results" / "predictions.csv")
    with_genes = predictions[(predictions["method"] == "mkd") & predictions["genomic"].notna()]
    assert stability["patients"].tolist() == [len(with_genes)] * 2
    assert len(pd.read_csv(out / "sets.csv")) == 2 * len(sets)


def test_genes_of_an_unfinished_run_are_refused(job, template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    said = fail("explain-genes", experiment_file(tmp_path), "--method", "mkd", "--out", tmp_path)
    assert "the cross-validation of mkd for ER is not finished" in said[0]
    told = fail("explain-genes", job / "experiment.yaml", "--genomics", "mrna=x", "--out", tmp_path)
    assert told[0].startswith("--genomics has no effect on an experiment")


def test_features_of_a_finished_run_are_compared_and_probed(job, tmp_path, monkeypatch):
    monkeypatch.setattr("histodistill.workflows.feature_explanation._FEWEST", 10)
    gene = pd.read_csv(job / "cohort" / "truth_genes.csv")["GENE"][0]
    out = tmp_path / "features"
    arguments = ("explain-features", job / "experiment.yaml", "--method", "mkd", "--out", out)
    succeed(*arguments, "--gene", gene)
    similarity = pd.read_csv(out / "similarity.csv")
    assert len(similarity) == 3
    assert (similarity["cka"] <= 1).all()
    probes = pd.read_csv(out / "probes.csv")
    assert set(probes["features"]) == {
        *("student", "multimodal", "genomic"),
        *("student + multimodal", "student + genomic", "multimodal + genomic"),
    }
    assert set(probes["what"]) == {"label", "site", f"mrna:{gene}"}
    places = pd.read_csv(out / "patients.csv")
    assert len(set(places.groupby("network")["PATIENT"].nunique())) == 1
    assert (out / "features.png").exists()
    assert (out / "patients.png").exists()
    told = fail(*arguments, "--gene", "NOSUCH")
    assert told == ["no block has a gene NOSUCH"]


def test_a_single_network_has_nothing_to_compare(job, tmp_path):
    told = fail(
        *("explain-features", job / "experiment.yaml", "--method", "abmil", "--out", tmp_path)
    )
    assert "features are compared of two or more" in told[0]
