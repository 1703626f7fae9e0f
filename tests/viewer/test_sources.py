"""What is shown of a bundle and of a run is what they answered."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from histodistill.deploy import Bundle, predict
from histodistill.errors import InputError
from histodistill.evaluation import read_predictions
from histodistill.explanation.palette import density
from histodistill.explanation.patients import explain
from histodistill.viewer.cohort import Labels, Request
from histodistill.viewer.opening import open_source
from histodistill.workflows.answering import Answering
from histodistill.workflows.new_features import NewFeatures
from tests.cli.command_line import succeed
from tests.deploy.bundles import bundle, expression
from tests.experiment.small import NETWORK, experiment_file
from tests.viewer.small import PATTERN, images, write_inputs


def request(folder: Path, **more) -> Request:
    features = NewFeatures(folder / "features", patient_pattern=PATTERN)
    return Request(folder / "model", images(folder), features, **more)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    return write_inputs(tmp_path)


def test_a_bundle_answers_as_predict_does(inputs: Path) -> None:
    genes = {"mrna": inputs / "genes.csv"}
    labels = Labels(inputs / "clinical.csv", site_column="SITE")
    source = open_source(request(inputs, genomics=genes, labels=labels))
    expected = predict(
        Bundle.load(inputs / "model"), bags=source.bags, genomics={"mrna": expression(["A"])}
    ).table
    table = source.cohort.table
    assert table["PATIENT"].tolist() == ["A", "B"]
    assert table["truth"].tolist() == ["positive", "negative"]
    assert table["site"].tolist() == ["north", "south"]
    for column in ("call", "answered_by"):
        assert table[column].tolist() == expected[column].tolist()
    assert table["student"].tolist() == expected["student"].tolist()
    assert source.cohort.probabilities[:, 1].tolist() == expected["probability"].tolist()


def test_patients_are_read_from_the_names_of_files_as_in_training(inputs: Path) -> None:
    own = bundle()
    info = own.info.model_copy(update={"provenance": {"patient_pattern": PATTERN}})
    replace(own, info=info).save(inputs / "named")
    source = open_source(Request(inputs / "named", {}, NewFeatures(inputs / "features")))
    assert source.cohort.patients == ["A", "B"]
    assert any(PATTERN in note for note in source.cohort.notes)


def test_a_bundle_is_asked_as_the_user_says(inputs: Path) -> None:
    genes = expression(["A"]).drop(columns="GENE3").rename_axis("PATIENT").reset_index()
    genes.to_csv(inputs / "fewer.csv", index=False)
    fewer = {"mrna": inputs / "fewer.csv"}
    for threshold, called in ((0.0, "positive"), (1.0, "negative")):
        asked = Answering(threshold=threshold)
        source = open_source(request(inputs, genomics=fewer, answers=asked))
        assert set(source.cohort.table["call"]) == {called}
        assert source.cohort.table["answered_by"].tolist() == ["multimodal", "student"]
        answers = source.maps("A").answers
        assert all(told.startswith(f"calls ER {called}") for told in answers.values())
        assert set(answers) == {"student", "multimodal"}


def test_layers_are_the_contributions_of_each_network(inputs: Path) -> None:
    source = open_source(request(inputs, genomics={"mrna": inputs / "genes.csv"}))
    maps = source.maps("A").slides[0]
    found = list(explain(source.model("A"), source.bags, source.genomics, patients=["A"]))
    assert [layer.name for layer in maps.layers] == [
        "student: evidence for ER positive",
        "multimodal: evidence for ER positive",
        "student − multimodal teacher: evidence for ER positive",
        "student: evidence for ER positive, against the average patch",
        "multimodal: evidence for ER positive, against the average patch",
        "student: attention",
        "multimodal: attention",
    ]
    student, teacher, difference, *_, attention, _ = maps.layers
    assert (student.values == density(found[0].contributions.support(1))).all()
    assert (difference.values == student.values - teacher.values).all()
    assert attention.values.mean() == pytest.approx(1)
    assert found[0].certificate.sentence[1:] in student.sentences[0]
    assert maps.places is not None
    assert maps.places.side == 64
    alike = source.maps("B").slides[0]
    assert not alike.layers[0].painted
    assert alike.ranked() is None  # attention is no evidence, and does not stand in for it
    assert maps.ranked() is student
    assert "o regional evidence" in alike.layers[0].sentences[0]


def test_genes_and_features_of_a_patient(inputs: Path) -> None:
    source = open_source(request(inputs, genomics={"mrna": inputs / "genes.csv"}))
    genes = source.genes("A").set_index("gene")
    assert genes.loc["GENE3", "value"] == pytest.approx(expression(["A"]).loc["A", "GENE3"])
    assert source.genes("B").empty
    assert source.features("A").shape == source.features("B").shape
    assert not np.allclose(source.features("A"), source.features("B"))


def test_a_question_is_not_asked_of_a_bundle(inputs: Path) -> None:
    with pytest.raises(InputError, match="--method has no effect"):
        open_source(request(inputs, method="mkd"))


@pytest.fixture(scope="module")
def run(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a cross-validation."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "cohort").symlink_to(template)
    changes = {
        "baselines": [],
        "methods": {"abmil": None, "mkd": {"network": NETWORK}},
    }
    succeed("crossval", experiment_file(folder, changes))
    return folder / "results"


def test_a_run_answers_each_patient_with_the_model_that_had_not_seen_them(run: Path) -> None:
    source = open_source(Request(run, {}))
    predictions = read_predictions(run / "predictions.csv").set_index("PATIENT")
    table = source.cohort.table.set_index("PATIENT")
    assert sorted(table.index) == sorted(predictions.index)
    assert (table["truth"] == predictions["label"][table.index]).all()
    assert set(table["site"]) == {"S01", "S02", "S03", "S04"}
    assert set(table["answered_by"]) == {"multimodal", "student"}
    for patient in table.index[::7]:
        again = predict(source.model(patient), bags=source.bags, genomics=source.genomics).table
        answered = again.set_index("PATIENT")["student"][patient]
        assert answered == pytest.approx(predictions["student"][patient], abs=1e-6)
        assert source.maps(patient).slides[0].layers


def test_a_run_without_its_models_says_so(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "results"))
    fold = int(read_predictions(run / "predictions.csv").set_index("PATIENT")["fold"].iloc[0])
    shutil.rmtree(copy / "fits" / "ER" / "mkd" / "seed-0" / f"repeat-0-fold-{fold}" / "model")
    source = open_source(Request(copy, {}))
    assert "1 models of the run are not kept" in " ".join(source.cohort.notes)
    patient = read_predictions(run / "predictions.csv")["PATIENT"].iloc[0]
    with pytest.raises(InputError, match="view a bundle"):
        source.maps(str(patient))


def test_what_a_run_does_not_hold_is_refused_by_name(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no method 'abmil': --method is one of mkd"):
        open_source(Request(run, {}, method="abmil"))
    with pytest.raises(InputError, match="--clinical has no effect"):
        open_source(Request(run, {}, labels=Labels(tmp_path / "labels.csv")))
    with pytest.raises(InputError, match="not a model bundle"):
        open_source(Request(tmp_path, {}))
