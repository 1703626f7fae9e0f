"""Drafts on each source's layout pass the audit unedited, or say what a person must decide."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from histodistill.drafting import Draft, Given, draft_experiment
from histodistill.errors import InputError
from histodistill.experiment import read_experiment
from histodistill.experiment.audit import audit
from tests.drafting import sources
from tests.drafting.sources import PATIENTS, written


def drafted(folder: Path, clinical: Path, **files) -> Draft:
    path = folder / "experiment.yaml"
    draft = draft_experiment(Given(clinical, **files), path)
    draft.save(path)
    return draft


def settings(draft: Draft) -> dict:
    raw: dict = yaml.safe_load(draft.text)
    return raw


def problems(folder: Path) -> list[str]:
    return list(audit(read_experiment(folder / "experiment.yaml")).problems)


@pytest.mark.parametrize(
    ("clinical", "features", "genomics", "transform"),
    [
        (
            sources.cbioportal_clinical,
            sources.trident_features,
            sources.cbioportal_zscores,
            None,
        ),
        (sources.gdc_clinical, sources.clam_features, sources.gdc_counts, "log2p1"),
        (sources.xena_clinical, sources.slide2vec_features, sources.xena_logs, None),
        (sources.plain_clinical, sources.stamp_features, sources.plain_expression, None),
        (sources.plain_clinical, sources.trident_features, sources.cbioportal_raw, "log2p1"),
    ],
    ids=["cBioPortal-TRIDENT", "GDC-CLAM", "Xena-slide2vec", "plain-STAMP", "raw"],
)
def test_each_sources_layout_passes_the_audit_unedited(
    tmp_path, clinical, features, genomics, transform
):
    draft = drafted(
        tmp_path,
        clinical(tmp_path),
        features=features(tmp_path),
        genomics={"mrna": genomics(tmp_path)},
    )
    assert draft.decisions == ()
    assert problems(tmp_path) == []
    raw = settings(draft)
    assert raw["targets"]["ER"]["positive"] == "positive"
    assert raw["methods"] == ["proportions", "abmil"]
    assert raw["genomics"]["mrna"].get("transform") == transform
    assert "24 patients have both slides and genomics." in draft.text
    assert "exclude: [ESR1" in draft.text
    assert "exclude" not in raw["genomics"]["mrna"]["selection"]


def test_cbioportal_codes_classes_and_follow_up(tmp_path):
    files = {"mrna": sources.cbioportal_zscores(tmp_path)}
    draft = drafted(tmp_path, sources.cbioportal_clinical(tmp_path), genomics=files)
    raw = settings(draft)
    assert raw["targets"] == {
        "ER": {
            "column": "ER_STATUS_BY_IHC",
            "classes": ["negative", "positive"],
            "positive": "positive",
        },
        "PR": {
            "column": "PR_STATUS_BY_IHC",
            "classes": ["negative", "positive"],
            "positive": "positive",
            "map": {"Indeterminate": None},
        },
        "HER2": {
            "column": "IHC_HER2",
            "classes": ["negative", "positive"],
            "positive": "positive",
            "map": {"Equivocal": None},
        },
    }
    assert raw["cohort"]["survival"] == {"time": "OS_MONTHS", "event": "OS_STATUS"}
    assert raw["genomics"]["mrna"]["selection"] == {"method": "cox"}
    assert raw["methods"] == ["linear-genomic", "snn"]
    assert "times are in months, as its name says" in draft.text
    assert "# AJCC_STAGE: {classes: [Stage I, Stage II], positive: Stage II}" in draft.text
    assert "Hospitals: 3, by the TCGA barcodes." in draft.text
    assert problems(tmp_path) == []


def test_what_the_gdc_splits_is_said_and_metastases_are_no_target(tmp_path):
    draft = drafted(
        tmp_path, sources.gdc_clinical(tmp_path), features=sources.trident_features(tmp_path)
    )
    raw = settings(draft)
    assert raw["targets"]["ER"]["column"] == "breast_carcinoma_estrogen_receptor_status"
    assert "survival" not in raw["cohort"]
    assert (
        "Follow-up stands in several columns (days_to_death, days_to_last_follow_up)"
        in " ".join(draft.text.replace("#", "").split())
    )
    assert raw["methods"] == ["abmil", "mean"]
    assert problems(tmp_path) == []


def test_plain_tables_name_hospitals_and_write_classes_as_numbers(tmp_path):
    draft = drafted(
        tmp_path, sources.plain_clinical(tmp_path), features=sources.trident_features(tmp_path)
    )
    raw = settings(draft)
    assert raw["targets"]["ER"]["map"] == {"1": "positive", "0": "negative"}
    assert raw["cohort"]["site_column"] == "Hospital"
    assert "# Grade: {classes: [low, high], positive: high}   # 12 low, 12 high" in draft.text


def test_power_is_said_with_its_assumptions(tmp_path):
    draft = drafted(
        tmp_path, sources.plain_clinical(tmp_path), features=sources.trident_features(tmp_path)
    )
    text = " ".join(draft.text.replace("#", "").split())
    assert "12 positives of 24 patients with slides: an AUC is known to ±0.20" in text
    assert "supposing that the weaker has AUC 0.75" in text
    assert "no difference between the AUCs of two models can be told at all" in text


def test_patients_in_names_without_barcodes_are_found_by_a_pattern(tmp_path):
    renamed = {patient: f"case {n}" for n, patient in enumerate(PATIENTS)}
    table = pd.read_csv(sources.plain_clinical(tmp_path), dtype=str)
    table["patient"] = table["patient"].map(renamed)
    table.to_csv(tmp_path / "c.csv", index=False)
    features = sources.trident_features(tmp_path)
    for n, path in enumerate(sorted(features.iterdir())):
        patient = path.name[:12]
        path.rename(features / f"{renamed[patient]}_HE_{n}.h5")
    rows = [["gene", *(f"{name}.T" for name in renamed.values())]]
    rows += [[gene, *row] for gene, row in zip(sources.GENES, sources.zscores(), strict=True)]
    files = {"mrna": written(tmp_path / "e.tsv", rows)}
    draft = drafted(tmp_path, tmp_path / "c.csv", features=features, genomics=files)
    raw = settings(draft)
    assert re.findall(raw["cohort"]["patient_pattern"], "case 3_HE_7") == ["case 3"]
    assert re.findall(raw["genomics"]["mrna"]["sample_pattern"], "case 3.T") == ["case 3"]
    assert draft.decisions == ()
    assert problems(tmp_path) == []


def test_a_table_of_slides_and_the_ones_without_features(tmp_path):
    features = sources.trident_features(tmp_path)
    rows = [["PATIENT", "FILENAME"]]
    rows += [[p, f"{name}.svs"] for p, name in zip(PATIENTS, sources.slide_names(), strict=True)]
    files = {"features": features, "slides": written(tmp_path / "s.csv", rows, sep=",")}
    clinical = sources.plain_clinical(tmp_path)
    draft = drafted(tmp_path, clinical, **files)
    assert settings(draft)["cohort"]["slides"] == "s.csv"
    assert draft.decisions == ()
    assert problems(tmp_path) == []
    next(features.iterdir()).unlink()
    (tmp_path / "experiment.yaml").unlink()
    draft = drafted(tmp_path, clinical, **files)
    (decision,) = draft.decisions
    assert "1 slides of" in decision
    assert "have no features" in decision
    taken_in = draft.text.replace("# missing_slides: leave out", "missing_slides: leave out")
    (tmp_path / "experiment.yaml").write_text(taken_in)
    assert problems(tmp_path) == []


def test_slides_without_features_name_the_command(tmp_path):
    images = tmp_path / "slides"
    images.mkdir()
    for name in sources.slide_names():
        (images / f"{name}.svs").touch()
    draft = drafted(tmp_path, sources.plain_clinical(tmp_path), slides=images)
    assert settings(draft)["features"] == {"directory": "features"}
    (decision,) = draft.decisions
    assert f'histodistill extract "{images}" --encoder ENCODER' in decision
    assert "# DECIDE: patch features are not there yet" in draft.text


def test_what_cannot_be_matched_is_decided_by_a_person(tmp_path):
    other: list[list[object]] = [["PATIENT", "A", "B"], *[[f"X{n}", n, -n] for n in range(40)]]
    features = sources.trident_features(tmp_path)
    for n, path in enumerate(sorted(features.iterdir())):
        path.rename(features / f"slide{n}.h5")
    draft = drafted(
        tmp_path,
        sources.plain_clinical(tmp_path),
        features=features,
        genomics={"mrna": written(tmp_path / "x.csv", other, sep=",")},
    )
    slides, genes = draft.decisions
    assert "no slide of" in slides
    assert "slide0, slide1" in slides
    assert "no sample of" in genes
    assert "X0, X1" in genes
    assert "# patient_pattern: " in draft.text
    assert "To be decided by a person first (2): see DECIDE." in draft.text


def test_damaged_files_are_told_and_do_not_stop_the_draft(tmp_path):
    broken = tmp_path / "mrna.txt"
    broken.write_text("Hugo_Symbol\tTCGA-A1-A000-01\nESR1\thigh\n")
    draft = drafted(tmp_path, sources.plain_clinical(tmp_path), genomics={"mrna": broken})
    assert any("'high' is not a number" in decision for decision in draft.decisions)


def test_no_target_is_guessed(tmp_path):
    table = pd.read_csv(sources.plain_clinical(tmp_path), dtype=str).drop(columns="ER")
    table.to_csv(tmp_path / "c.csv", index=False)
    draft = drafted(tmp_path, tmp_path / "c.csv", features=sources.trident_features(tmp_path))
    (decision,) = draft.decisions
    assert "no column is taken for a target: choose one of the lines below" in decision
    chosen = draft.text.replace("# Grade: {", "Grade: {")
    (tmp_path / "experiment.yaml").write_text(chosen)
    assert problems(tmp_path) == []


def test_rare_classes_make_fewer_folds_or_no_target(tmp_path):
    features = sources.trident_features(tmp_path)
    for n_positive, folds in ((6, 3), (3, None)):
        rows = [[p, "positive" if n < n_positive else "negative"] for n, p in enumerate(PATIENTS)]
        clinical = written(tmp_path / f"{n_positive}.csv", [["PATIENT", "HER2"], *rows], sep=",")
        (tmp_path / "experiment.yaml").unlink(missing_ok=True)
        draft = drafted(tmp_path, clinical, features=features)
        if folds:
            assert settings(draft)["splits"]["folds"] == folds
            assert problems(tmp_path) == []
        else:
            assert "HER2 was left out: 21 negative, 3 positive" in draft.decisions[0]


def test_raw_and_other_scales_in_one_block_are_for_a_person(tmp_path):
    values = sources.counts()
    values[:, :5] = sources.zscores()[:, :5]
    rows = [["PATIENT", *(f"G{n}" for n in range(60))]]
    wide = [[*row, *row, *row[:12]] for row in values.T]
    rows += [[p, *row] for p, row in zip(PATIENTS, wide, strict=True)]
    files = {"mrna": written(tmp_path / "mixed.csv", rows, sep=",")}
    draft = drafted(tmp_path, sources.plain_clinical(tmp_path), genomics=files)
    assert any("different scales" in decision for decision in draft.decisions)


def test_a_draft_never_writes_over_a_file(tmp_path):
    path = tmp_path / "experiment.yaml"
    path.write_text("mine")
    files = {"mrna": sources.cbioportal_zscores(tmp_path)}
    draft = draft_experiment(Given(sources.plain_clinical(tmp_path), genomics=files), path)
    with pytest.raises(InputError, match="is there already and was left as it is"):
        draft.save(path)
    assert path.read_text() == "mine"


def test_everything_that_is_not_there_is_told_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        Given(tmp_path / "a", features=tmp_path / "b", genomics={"mrna": tmp_path / "c"})
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError, match="nothing to learn from"):
        Given(sources.plain_clinical(tmp_path))


def test_questions_decide_what_is_a_matter_of_taste(tmp_path):
    asked = []

    def other_than_default(question: str, default: bool) -> bool:
        asked.append(question)
        return default if question.startswith("Predict ER") else not default

    given = Given(
        sources.cbioportal_clinical(tmp_path),
        features=sources.trident_features(tmp_path),
        genomics={"mrna": sources.cbioportal_zscores(tmp_path)},
    )
    draft = draft_experiment(given, tmp_path / "experiment.yaml", other_than_default)
    raw = settings(draft)
    assert set(raw["targets"]) == {"ER"}
    assert raw["genomics"]["mrna"]["selection"]["exclude"] == ["ESR1"]
    assert len(asked) == 4  # three sites are too few to be kept apart


def test_a_title_above_the_names_is_told(tmp_path):
    lines = [
        ["Cohort, export of 2026"],
        ["PATIENT", "ER"],
        *zip(PATIENTS, sources.STATUS, strict=True),
    ]
    with pytest.raises(InputError, match=r"\(PATIENT, ER\) stand in row 1 below the first line"):
        drafted(
            tmp_path,
            written(tmp_path / "c.csv", lines, sep=","),
            features=sources.trident_features(tmp_path),
        )


@pytest.mark.parametrize(
    ("words", "column"),
    [
        (("positiv", "negativ"), "ER-Status"),
        (("ER+", "ER-"), "ER"),
        (("pos.", "neg."), "Estrogen receptor"),
    ],
)
def test_status_in_other_words_is_read(tmp_path, words, column):
    told = dict(zip(("Positive", "Negative"), words, strict=True))
    rows = [[p, told[s]] for p, s in zip(PATIENTS, sources.STATUS, strict=True)]
    draft = drafted(
        tmp_path,
        written(tmp_path / "c.csv", [["PATIENT", column], *rows], sep=","),
        features=sources.trident_features(tmp_path),
    )
    assert draft.decisions == ()
    assert problems(tmp_path) == []
    assert settings(draft)["targets"]["ER"]["classes"] == ["negative", "positive"]


def test_levels_of_her2_are_offered_in_their_order(tmp_path):
    levels = ("positive", "low", "zero")
    rows = [[f"P{n}", levels[n % 3], f"H&E {n % 2}"] for n in range(36)]
    lines = [["PATIENT", "HER2", "Stain (kind)"], *rows]
    draft = drafted(
        tmp_path,
        written(tmp_path / "c.csv", lines, sep=","),
        features=sources.trident_features(tmp_path),
    )
    assert (
        "# HER2: {classes: [zero, low, positive], ordered: true}   # 12 zero, 12 low" in draft.text
    )
    assert "choose one of the lines below" in draft.decisions[-1]
    (problem,) = _refused(tmp_path)
    assert "targets: none is named; write one, such as `ER: {classes" in problem


def test_a_target_of_any_column_has_a_name_that_experiments_take(tmp_path):
    rows = [[p, s.lower()] for p, s in zip(PATIENTS, sources.STATUS, strict=True)]
    lines = [["PATIENT", "AR (IHC, 10 %)"], *rows]
    lines = [['"' + str(cell) + '"' for cell in line] for line in lines]
    draft = drafted(
        tmp_path,
        written(tmp_path / "c.csv", lines, sep=","),
        features=sources.trident_features(tmp_path),
    )
    assert settings(draft)["targets"]["AR__IHC__10___"]["column"] == "AR (IHC, 10 %)"
    assert problems(tmp_path) == []


def _refused(folder: Path) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        read_experiment(folder / "experiment.yaml")
    return caught.value.problems
