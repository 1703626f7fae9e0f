"""Predictions of a bundle: who is answered, by whom, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from histodistill.deploy import predict
from histodistill.errors import InputError
from histodistill.features import open_bags
from histodistill.inference import answers
from histodistill.model.students.abmil import ABMIL
from histodistill.preparation import PreparedPatients
from tests.deploy.bundles import GENES, WIDTH, bags_of, bundle, expression, member, write_slide

SLIDES = ["S1", "S2", "B1", "B2"]
GENOMICS = ["B1", "B2", "G1", "G2"]


@pytest.fixture
def bags(tmp_path):
    return bags_of(tmp_path / "features", SLIDES)


def refusal(made, **given) -> tuple[str, ...]:
    with pytest.raises(InputError) as refused:
        predict(made, **given)
    return refused.value.problems


def test_every_patient_is_answered_by_the_network_that_reads_the_most(bags):
    predicted = predict(bundle(), bags=bags, genomics={"mrna": expression(GENOMICS)})
    table = predicted.table.set_index("PATIENT")
    assert predicted.notes == ()
    assert list(table.index) == ["B1", "B2", "G1", "G2", "S1", "S2"]
    assert table["answered_by"].to_dict() == {
        **dict.fromkeys(["B1", "B2"], "multimodal"),
        **dict.fromkeys(["G1", "G2"], "genomic"),
        **dict.fromkeys(["S1", "S2"], "student"),
    }
    assert set(table.index[table["student"].notna()]) == set(SLIDES)
    assert set(table.index[table["genomic"].notna()]) == set(GENOMICS)
    assert set(table.index[table["multimodal"].notna()]) == {"B1", "B2"}
    for patient, row in table.iterrows():
        assert row["probability"] == row[row["answered_by"]], patient
        assert row["call"] == ("positive" if row["probability"] >= 0.4 else "negative")
    assert set(table["why"]) == {"has slides and genomics", "has genomics", "has slides"}
    assert set(table["positive_class"]) == {"positive"}
    assert set(table["student_threshold"]) == {0.4}


def test_a_patients_answer_does_not_depend_on_who_else_is_asked(bags, tmp_path):
    together = predict(bundle(), bags=bags, genomics={"mrna": expression(GENOMICS)}).table
    alone = predict(bundle(), bags=bags_of(tmp_path / "alone", SLIDES[:1])).table
    expected = together.loc[together["PATIENT"] == "S1", "student"].item()
    assert alone["student"].item() == pytest.approx(expected, rel=1e-6)


def test_some_patients_are_answered_as_beside_everybody_and_nobody_else_is(bags, monkeypatch):
    genomics = {"mrna": expression(GENOMICS)}
    monkeypatch.setattr(answers, "_MOST_PATIENTS", 2)
    everybody = predict(bundle(), bags=bags, genomics=genomics).table
    asked: list[str] = []
    batch = PreparedPatients.batch

    def watched(self, patients, **how):
        asked.extend(patients)
        return batch(self, patients, **how)

    monkeypatch.setattr(PreparedPatients, "batch", watched)
    some = predict(bundle(), bags=bags, genomics=genomics, patients=["S1", "G1"]).table
    assert asked == ["G1", "G2", "S1", "S2"]
    expected = everybody[everybody["PATIENT"].isin(["S1", "G1"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected, check_exact=True)
    with pytest.raises(InputError, match="nobody to predict"):
        predict(bundle(), bags=bags, patients=["nobody"])


def test_patients_without_slides_are_answered_some_at_a_time(monkeypatch):
    asked = []
    batch = PreparedPatients.batch

    def counted(self, patients, **settings):
        asked.append(len(patients))
        return batch(self, patients, **settings)

    genomics = {"mrna": expression([f"G{number}" for number in range(5)])}
    together = predict(bundle(), genomics=genomics).table
    monkeypatch.setattr(PreparedPatients, "batch", counted)
    monkeypatch.setattr(answers, "_MOST_PATIENTS", 2)
    apart = predict(bundle(), genomics=genomics).table
    assert max(asked) == 2
    pd.testing.assert_frame_equal(apart, together)


def test_the_student_is_the_softmax_of_its_logits(bags):
    made = bundle(member(scaled=True))
    network, scaler = made.members[0].networks, made.members[0].transforms.scaler
    table = predict(made, bags=bags).table.set_index("PATIENT")
    student = network.student
    assert isinstance(student, ABMIL)
    assert scaler is not None
    for patient in SLIDES:
        patches = student.patches(scaler.transform(bags.bag(patient)))
        value, gate = student.attention.gate(patches).chunk(2, dim=1)
        weights = student.attention.score(torch.tanh(value) * torch.sigmoid(gate)).softmax(dim=0)
        logits = student.classifier((weights * patches).sum(dim=0))
        expected = logits.softmax(dim=0)[1].item()
        assert table.loc[patient, "student"] == pytest.approx(expected, rel=1e-5)


def test_answers_are_counted_over_patients_and_models(bags, monkeypatch):
    monkeypatch.setattr(answers, "_MOST_PATIENTS", 3)
    told: list[tuple[int, int]] = []
    made = bundle(member(1), member(2))
    predict(made, bags=bags, on_answers=lambda done, total: told.append((done, total)))
    assert told == [(3, 8), (4, 8), (7, 8), (8, 8)]


def test_members_are_averaged(bags):
    members = [member(seed) for seed in (1, 2, 3)]
    given = {"bags": bags, "genomics": {"mrna": expression(GENOMICS)}}
    networks = ["student", "multimodal", "genomic"]
    alone = [predict(bundle(one), **given).table[networks] for one in members]
    together = predict(bundle(*members), **given).table[networks]
    assert alone[0]["student"].std() > 0
    expected = sum(table.to_numpy() for table in alone) / 3
    np.testing.assert_allclose(together.to_numpy(), expected, rtol=1e-12)


def test_labels_are_never_asked_for_and_slides_alone_suffice(bags):
    table = predict(bundle(), bags=bags).table
    assert set(table["answered_by"]) == {"student"}
    assert table["multimodal"].isna().all()
    assert table["genomic"].isna().all()


def test_a_bundle_of_the_student_leaves_the_teachers_columns_empty(bags):
    table = predict(bundle(member(networks=("student",))), bags=bags).table
    assert table[["multimodal", "genomic"]].isna().all(axis=None)
    assert table["student"].notna().all()


def test_who_has_nothing_that_a_network_reads_is_told(bags):
    made = bundle(member(networks=("multimodal",)))
    predicted = predict(made, bags=bags, genomics={"mrna": expression(GENOMICS)})
    table = predicted.table.set_index("PATIENT")
    assert table.loc["S1", "answered_by"] == ""
    assert table.loc["S1", "call"] == ""
    assert pd.isna(table["probability"]["S1"])
    assert table.loc["S1", "why"] == "no network of the bundle reads what this patient has"
    assert table.loc["B1", "answered_by"] == "multimodal"
    assert predicted.notes == (
        "4 patients are not answered, because no network of the bundle reads what they have: "
        "G1, G2, S1, S2",
    )


def test_a_patient_with_one_block_of_two_is_answered(bags):
    made = bundle(member(blocks=("mrna", "cna")))
    genomics = {"mrna": expression(["B1"]), "cna": expression(["B1", "G1"], seed=3)}
    table = predict(made, bags=bags, genomics=genomics).table.set_index("PATIENT")
    assert table.loc["G1", "answered_by"] == "genomic"
    assert table.loc["B1", "answered_by"] == "multimodal"
    alone = predict(made, genomics={"mrna": expression(["B1"])})
    assert alone.table["answered_by"].tolist() == ["genomic"]
    assert alone.table["genomic"].item() != table.loc["B1", "genomic"]
    (note,) = alone.notes
    assert note.startswith("block cna: 1 patients with genomics lack it, and are answered")
    assert note.endswith("B1")


def test_a_patient_who_lacks_most_genes_is_answered_from_slides(bags):
    genomics = expression(["B1", "B2"])
    genomics.loc["B1", GENES[:5]] = np.nan
    predicted = predict(bundle(), bags=bags, genomics={"mrna": genomics})
    answered_by = predicted.table.set_index("PATIENT")["answered_by"]
    assert answered_by[["B1", "B2"]].tolist() == ["student", "multimodal"]
    assert predicted.notes == (
        "block mrna: 1 patients lack more than the share 0.2 of the bundle's genes and are "
        "answered without it: B1",
    )


def test_a_block_that_no_network_reads_is_refused(bags):
    made = bundle()
    named = made.info.model_copy(update={"blocks": {**made.info.blocks, "cna": {}}})
    genomics = {"mrna": expression(["B1"]), "cna": expression(["B1"])}
    (problem,) = refusal(replace(made, info=named), bags=bags, genomics=genomics)
    assert problem == "the bundle reads no block cna; it reads: mrna"


def test_patches_of_another_size_are_refused(bags):
    made = bundle()
    assert made.info.features is not None
    slide = replace(bags.slides("S1")[0], patch_um=512.0)
    bags.slides = lambda patient: [slide]
    for trained, refused in ((256.0, True), (512.2, False), (None, False)):
        features = made.info.features.model_copy(update={"patch_um": trained})
        told = replace(made, info=made.info.model_copy(update={"features": features}))
        if refused:
            (problem,) = refusal(told, bags=bags)
            assert "patches are 512 µm wide and the bundle was trained on patches of 256" in problem
        else:
            predict(told, bags=bags)


def test_absent_genes_are_imputed_and_counted():
    made = bundle()
    block = made.members[0].transforms.blocks["mrna"]
    full = expression(GENOMICS)
    filled = full.assign(GENE3=block.fill_[3], GENE5=block.fill_[5])
    predicted = predict(made, genomics={"mrna": full.drop(columns=["GENE5", "GENE3"])})
    assert predicted.notes == (
        "block mrna: 2 of 20 genes are absent and were imputed: GENE3, GENE5",
    )
    expected = predict(made, genomics={"mrna": filled}).table
    pd.testing.assert_frame_equal(predicted.table, expected)
    assert not predicted.table.equals(predict(made, genomics={"mrna": full}).table)


def test_order_of_genes_and_other_genes_do_not_matter():
    full = expression(GENOMICS)
    other = full[list(GENES)[::-1]].assign(OTHER=5.0)
    one = predict(bundle(), genomics={"mrna": full}).table
    pd.testing.assert_frame_equal(one, predict(bundle(), genomics={"mrna": other}).table)


@pytest.mark.parametrize(("n_absent", "limit"), [(5, 0.2), (11, 0.5), (1, 0.0)])
def test_too_many_absent_genes_are_refused(n_absent, limit):
    few = expression(GENOMICS, GENES[n_absent:])
    (problem,) = refusal(bundle(), genomics={"mrna": few}, max_missing_genes=limit)
    assert problem.startswith(f"block mrna: {n_absent} of the bundle's 20 genes are absent (GENE0")
    assert f"more than the share {limit:g} that may be imputed" in problem


@pytest.mark.parametrize(("n_absent", "limit"), [(4, 0.2), (10, 0.5), (20, 1.0)])
def test_the_share_of_absent_genes_is_the_callers_to_choose(n_absent, limit):
    few = expression(GENOMICS, [*GENES[n_absent:], "OTHER"])
    predicted = predict(bundle(), genomics={"mrna": few}, max_missing_genes=limit)
    assert predicted.table["genomic"].notna().all()
    assert f"{n_absent} of 20 genes are absent and were imputed" in predicted.notes[0]


def test_missing_values_are_imputed():
    values = expression(GENOMICS)
    values.iloc[0, 0] = np.nan
    assert predict(bundle(), genomics={"mrna": values}).table["genomic"].notna().all()


def test_features_of_another_width_or_encoder_are_refused_together(tmp_path):
    other = bags_of(tmp_path / "other", ["S1"], width=7, encoder="conch_v1")
    wide, foreign = refusal(bundle(encoder="uni_v1"), bags=other)
    file = tmp_path / "other" / "S1.h5"
    again = "extract the slides with the encoder that the bundle was trained on"
    assert wide == (
        f"{file}: features are 7 wide and the bundle was trained on 6 (uni_v1); {again}"
    )
    assert foreign == (
        f"{file}: features come from the encoder conch_v1 and the bundle was trained on uni_v1; "
        f"{again}"
    )


@pytest.mark.parametrize(("recorded", "expected"), [(None, "uni_v1"), ("uni_v1", None)])
def test_an_encoder_that_is_not_recorded_is_not_compared(tmp_path, recorded, expected):
    bags = bags_of(tmp_path / "features", ["S1"], encoder=recorded)
    assert len(predict(bundle(encoder=expected), bags=bags).table) == 1


def test_unknown_blocks_and_all_else_that_is_wrong_come_together(tmp_path):
    bags = bags_of(tmp_path / "other", ["S1"], width=7)
    genomics = {"protein": expression(["G1"]), "mrna": expression(["G1"], GENES[10:])}
    wide, unknown, absent = refusal(bundle(), bags=bags, genomics=genomics)
    assert "features are 7 wide" in wide
    assert unknown == "the bundle reads no block protein; it reads: mrna"
    assert absent.startswith("block mrna: 10 of the bundle's 20 genes are absent")


def test_a_bundle_of_genomics_alone_takes_no_slides(bags):
    made = bundle(member(networks=("genomic",)))
    assert refusal(made, bags=bags) == ("this bundle reads genomics alone; predict without slides",)
    table = predict(made, genomics={"mrna": expression(GENOMICS)}).table
    assert set(table["answered_by"]) == {"genomic"}


def test_nobody_to_predict_is_an_error():
    assert refusal(bundle()) == ("nobody to predict: no patient has slides or genomics",)


def test_without_a_threshold_there_is_no_call_and_the_reason_is_told(bags):
    made = bundle(member(thresholds={}))
    table = predict(made, bags=bags).table
    assert set(table["call"]) == {""}
    assert set(table["why"]) == {"has slides; no threshold is stored, so there is no call"}
    assert table["probability"].notna().all()
    called = predict(made, bags=bags, thresholds={"student": 0.0}).table
    assert set(called["call"]) == {"positive"}
    assert set(called["why"]) == {"has slides"}


def test_a_probability_at_the_threshold_is_positive(bags):
    probability = predict(bundle(), bags=bags).table["student"]
    at = predict(bundle(), bags=bags, thresholds={"student": float(probability[0])}).table
    assert at["call"][0] == "positive"
    assert set(at["call"][probability < probability[0]]) <= {"negative"}


def test_beyond_two_classes_there_is_a_column_a_class_and_the_likeliest_is_called(bags):
    classes = ("LumA", "LumB", "Her2", "Basal")
    made = bundle(member(classes=4, thresholds={}), classes=classes)
    table = predict(made, bags=bags, genomics={"mrna": expression(GENOMICS)}).table
    for network in ("student", "multimodal", "genomic"):
        columns = [f"{network}:{name}" for name in classes]
        sums = table[columns].dropna().sum(axis=1)
        np.testing.assert_allclose(sums, 1)
        assert network not in table
        assert f"{network}_threshold" not in table
    assert "positive_class" not in table
    for _, row in table.iterrows():
        own = {name: row[f"{row['answered_by']}:{name}"] for name in classes}
        assert row["call"] == max(own, key=lambda name: own[name])
        assert row["probability"] == max(own.values())
    assert refusal(made, bags=bags, thresholds={"student": 0.5}) == (
        "a threshold applies to two classes, and this bundle has more",
    )


def test_one_patient_under_two_names_is_told(tmp_path):
    first, second = (write_slide(tmp_path / f"{name}.h5", seed=3) for name in ("A", "B"))
    (note,) = predict(bundle(), bags=open_bags({"A": [first], "B": [second]})).notes
    assert note.startswith(f"patients A, B have the same features in {first} = {second}: one")
    genes = expression(["G1", "G2", "G3"])
    genes.loc["G3"] = genes.loc["G1"]
    (note,) = predict(bundle(), genomics={"mrna": genes}).notes
    assert note.startswith("patients G1, G3 have the same values of all genes in block mrna: one")


def test_bags_without_content_are_told(tmp_path):
    paths = {
        "flat": np.full((4, WIDTH), 2),
        "zero": np.zeros((1, WIDTH)),
        "one": np.ones((1, WIDTH)),
    }
    for name, values in paths.items():
        np.save(tmp_path / f"{name}.npy", values.astype(np.float32))
    bags = open_bags({name: [tmp_path / f"{name}.npy"] for name in paths})
    assert predict(bundle(), bags=bags).notes == (
        "2 patients have the same features in every patch, which no tissue has: flat, zero; "
        "extract their slides again",
    )


def test_genes_in_another_case_are_told():
    lower = expression(["G1", "G2"]).rename(columns=str.lower)
    (problem,) = refusal(bundle(), genomics={"mrna": lower})
    assert "20 are there in another case: gene0 (GENE0), gene1 (GENE1), gene10" in problem
    one = expression(["G1", "G2"]).rename(columns={"GENE0": "Gene0"})
    (note,) = predict(bundle(), genomics={"mrna": one}).notes
    assert note.endswith(
        "imputed: GENE0; 1 are there in another case: Gene0 (GENE0); write them so"
    )


def test_a_patient_in_two_spellings_is_told(bags):
    notes = predict(bundle(), bags=bags, genomics={"mrna": expression(["b-1", "B2"])}).notes
    assert (
        "1 patients of the slides may be those of block mrna in another spelling, and are answered "
        "apart: B1 (b-1); spell them alike"
    ) in notes
