"""Students whose training reads genes tell of expression, in every patch that they add up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.deploy import Bundle
from histodistill.errors import InputError
from histodistill.experiment import load, read_experiment
from histodistill.explanation.expression import explain_expression
from histodistill.explanation.predictability import predictability
from histodistill.model.students.abmil import ABMIL
from histodistill.simulation import simulate_cohort
from histodistill.training import train_final
from tests.experiment.small import NETWORK, SETTINGS, experiment_file

METHODS = {
    "reconstruction": {
        "recipe": "abmil",
        "objective": {"reconstruction": 1, "reconstruction_components": 4},
        "network": NETWORK,
        "training": {"learning_rate": 1e-2, "max_epochs": 15},
    },
    "plain": {"recipe": "abmil", "network": NETWORK},
    "mkd": None,
    "abmil": None,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("learnt")
    simulate_cohort(folder / "cohort", replace(SETTINGS, n_patients=160, tumour_share=0.8))
    experiment = read_experiment(experiment_file(folder, {"methods": METHODS}))
    data = load(experiment)
    return data, lambda method: train_final(experiment, data, "ER", method, seed=0)


def test_a_map_adds_up_to_what_is_predicted_of_the_patient(trained, tmp_path: Path) -> None:
    data, train = trained
    train("reconstruction").save(tmp_path / "bundle")
    bundle = Bundle.load(tmp_path / "bundle")
    told = predictability(bundle)
    programmes = told[told["name"].str.startswith("programme")]
    assert len(programmes) == 4
    assert (told["patients"] >= 20).all()
    assert programmes["shown"].any()
    gene = told[told["shown"] & told["name"].str.startswith("mrna:")]["name"].iloc[0]
    patient = data.bags.patients[0]
    (found,) = explain_expression(bundle, data.bags, [gene], patients=[patient])
    (member,) = bundle.members
    student, expression = member.networks.student, member.transforms.expression
    assert isinstance(student, ABMIL)
    assert expression is not None
    genes = expression.genes
    assert genes is not None
    with torch.no_grad():
        bag = data.bags.bag(patient).float()
        hidden = student.patches(bag)
        weights = torch.softmax(student.attention(hidden), dim=0)
        pooled = weights @ hidden
    place, column = [genes.genes.index(gene)], [layer.name for layer in found.layers].index(gene)
    by_hand = genes.of(expression.transform(hidden), place)
    np.testing.assert_allclose(found.values[:, column], by_hand[:, 0], atol=1e-4)
    of_patient = genes.of(expression.transform(pooled[None]), place)
    assert found.predicted[column] == pytest.approx(float(of_patient), abs=1e-4)
    assert "validation patients" in found.layers[0].sentence


def test_without_a_term_that_reads_genes_nothing_is_learnt(trained) -> None:
    data, train = trained
    bundle = train("plain")
    assert bundle.members[0].transforms.expression is None
    with pytest.raises(InputError, match="reconstruction"):
        list(explain_expression(bundle, data.bags, ["GENE1"]))
