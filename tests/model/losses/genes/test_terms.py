"""Terms that read genes: whose genes, which of them, and the loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from histodistill.errors import InputError
from histodistill.model import Batch, Genes, Networks, ObjectiveSettings
from histodistill.model.losses.genes.expression import Expression
from histodistill.model.losses.genes.reconstruction import Reconstruction, principal_axes
from histodistill.model.training_terms import TrainingTerms
from tests.model.batches import SMALL, bags, genes, gradients, networks

TRAINING = genes(range(12), seed=5)
STUDENT_ALONE = SMALL.model_copy(update={"networks": ("student",)})
SETTINGS = ObjectiveSettings(from_genes={"reconstruction": 2}, reconstruction_components=4)


def reconstructed(trained: Networks) -> TrainingTerms:
    return TrainingTerms(SETTINGS, trained, TRAINING).double()


@pytest.mark.parametrize(("patients", "columns"), [(12, 30), (30, 12)])
def test_components_are_those_of_scikit_learn(patients, columns):
    rng = np.random.default_rng(0)
    values = rng.normal(3, 1, (patients, columns)) * np.arange(1, columns + 1)
    mean, axes = principal_axes(torch.from_numpy(values), 5)
    known = PCA(5, whiten=True, svd_solver="full").fit(values)
    others = rng.normal(3, 9, (7, columns))
    ours = (torch.from_numpy(others) - mean) @ axes
    theirs = known.transform(others)
    signs = np.sign((ours.numpy() * theirs).sum(axis=0))
    np.testing.assert_allclose(ours.numpy() * signs, theirs, rtol=1e-8)
    scores = (torch.from_numpy(values) - mean) @ axes
    torch.testing.assert_close(torch.cov(scores.T), torch.eye(5, dtype=torch.float64))


def test_no_more_components_than_the_genes_have():
    torch.manual_seed(0)
    flat = torch.randn(9, 2, dtype=torch.float64) @ torch.randn(2, 20, dtype=torch.float64)
    assert principal_axes(flat, 32)[1].shape == (20, 2)
    assert principal_axes(torch.randn(4, 20), 32)[1].shape == (20, 3)


def test_reconstruction_by_hand():
    torch.manual_seed(0)
    training = torch.randn(10, 6, dtype=torch.float64)
    term = Reconstruction(training, 3, 8).double()
    features, values = torch.randn(5, 8).double(), torch.randn(5, 6).double()
    mean, axes = principal_axes(training, 3)
    errors = [
        (term.head(features[i])[c] - (values[i] - mean) @ axes[:, c]).item() ** 2
        for i in range(5)
        for c in range(3)
    ]
    assert term(features, values).item() == pytest.approx(np.mean(errors), rel=1e-5)
    # A head that says the mean has a loss of 1 on the training patients.
    torch.nn.init.zeros_(term.head.weight)
    torch.nn.init.zeros_(term.head.bias)
    assert term(torch.zeros(10, 8).double(), training).item() == pytest.approx(1 - 1 / 10)


def test_only_patients_with_slides_and_genes_count():
    """Three have both, one of them no label; the others change nothing."""
    trained = networks(settings=STUDENT_ALONE)
    terms = reconstructed(trained)
    labels = torch.tensor([0, 1, -1, 1, 0])
    all_genes = genes([0, 1, 2, 4])
    batch = Batch(bags({0: 1, 1: 5, 2: 7, 3: 4}), all_genes, labels)
    (output,) = trained(batch).values()
    found = terms({"student": output}, batch)["reconstruction"].item()
    assert terms.from_genes is not None
    term = terms.from_genes.term("reconstruction")
    values = all_genes.tokens["mrna"].flatten(1)[:3]
    assert found == pytest.approx(2 * term(output.features[:3], values).item(), rel=1e-12)


def test_without_genes_in_the_batch_there_is_no_term():
    trained = networks(settings=STUDENT_ALONE)
    terms = reconstructed(trained)
    labels = torch.tensor([0, 1, 1])
    for some in (None, genes([2])):
        batch = Batch(bags({0: 3, 1: 4}), some, labels)
        assert set(terms(trained(batch), batch)) == {"ce_student"}
    nobody = Batch(None, genes([0, 1]), torch.tensor([0, 1]))
    assert terms(trained(nobody), nobody) == {}


def test_the_features_learn_and_the_classifier_does_not():
    trained = networks(settings=STUDENT_ALONE)
    terms = reconstructed(trained)
    batch = Batch(bags({0: 3, 1: 4}), genes([0, 1]), torch.tensor([0, 1]))
    terms(trained(batch), batch)["reconstruction"].backward()
    for name, gradient in gradients(trained).items():
        # A constant added to all scores changes no softmax.
        still = "classifier" in name or name == "student.attention.score.bias"
        assert gradient.abs().max().item() > 1e-9 or still, name
        assert not (gradient.any() and "classifier" in name), name
    assert all(gradient.any() for gradient in gradients(terms).values())


def test_padding_and_incomplete_patients_are_left_out():
    two = genes(range(6), {"mrna": 2, "cna": 1}, absent={"cna": [1]}, seed=3)
    two.tokens["mrna"][:, 1, 10:] = 0  # the padding of a token
    two.tokens["cna"][:, 0, 3] = 7  # a gene that never varies
    expression = Expression(two)
    assert expression.n_genes == 16 + 10 + 15
    values, rows = expression(two)
    assert rows.tolist() == [0, 2, 3, 4, 5]
    first = [two.tokens["mrna"][2].flatten()[:26], two.tokens["cna"][2, 0, :3]]
    first.append(two.tokens["cna"][2, 0, 4:])
    assert torch.equal(values[1], torch.cat(first))
    # The patient who lacks a block has no part in what is fitted.
    other = Genes({k: v.clone() for k, v in two.tokens.items()}, two.present, two.rows)
    other.tokens["mrna"][1] = 99
    assert torch.equal(Expression(other).columns, expression.columns)


def test_too_few_genes_are_told():
    lonely = genes(range(3), {"mrna": 1, "cna": 1}, absent={"cna": [0, 2]})
    for training in (None, lonely):
        with pytest.raises(InputError, match="fewer than 2 training patients have genomics"):
            Expression(training)
    same = genes(range(3))
    same.tokens["mrna"][:] = 1
    with pytest.raises(InputError, match="no gene varies among the training patients"):
        Expression(same)
