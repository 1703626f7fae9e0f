"""Programmes that a network's features tell, judged on patients whom it was not trained on."""

from pathlib import Path

import numpy as np
import torch

from histodistill.preparation import Transforms
from histodistill.preparation.learnt_expression import Featured, fit_learnt_expression

NAMES = [f"mrna:G{i}" for i in range(12)]
# What the first six genes share is told by the features, what the others share is not.
MIXING = np.random.default_rng(5).uniform(1, 2, (2, 12)) * np.repeat([[1, 0], [0, 1]], 6, axis=1)
READING = np.random.default_rng(6).normal(size=(1, 5))


def patients(n: int, seed: int) -> Featured:
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(n, 2)) * [2.0, 1.0]
    genes = latents @ MIXING + rng.normal(0, 0.2, (n, 12))
    features = latents[:, :1] @ READING + rng.normal(0, 0.3, (n, 5))
    return Featured(features, genes, [f"patient {i}" for i in range(n)])


def test_what_features_tell_is_found_and_what_they_do_not_tell_is_not() -> None:
    training, held_out = patients(80, 0), patients(40, 1)
    found = fit_learnt_expression(training, held_out, NAMES, 2)
    assert found is not None
    assert found.genes is not None
    assert (found.genes.n_patients, found.genes.held_out) == (40, True)
    told, untold = found.genes.programme_r.tolist()
    assert told > 0.9
    assert abs(untold) < 0.3
    assert (found.genes.gene_r[:6] > 0.8).all()
    assert (found.genes.gene_r[6:].abs() < 0.4).all()
    programmes = found.transform(torch.from_numpy(held_out.features))
    genes = found.genes.of(programmes, range(6)).numpy()
    measured = (held_out.genes - training.genes.mean(axis=0)) / training.genes.std(axis=0)
    assert np.corrcoef(genes[:, 0], measured[:, 0])[0, 1] > 0.8
    assert np.abs(genes - measured[:, :6]).mean() < 0.4  # in standard deviations


def test_hospitals_are_compared_within() -> None:
    training, held_out = patients(80, 0), patients(60, 1)
    hospital = np.repeat(np.arange(6), 10)
    shifted = Featured(
        held_out.features + hospital[:, None] * 9.0,
        held_out.genes + hospital[:, None] * 9.0,
        [f"hospital {i}" for i in hospital],
    )
    found = fit_learnt_expression(training, shifted, NAMES, 2)
    plain = fit_learnt_expression(training, held_out, NAMES, 2)
    assert found is not None
    assert plain is not None
    assert found.genes is not None
    assert plain.genes is not None
    assert found.genes.n_groups == 6
    np.testing.assert_allclose(found.genes.gene_r[:6], plain.genes.gene_r[:6], atol=0.1)


def test_of_too_few_patients_nothing_is_said() -> None:
    assert fit_learnt_expression(patients(80, 0), patients(19, 1), NAMES, 2) is None
    assert fit_learnt_expression(patients(2, 0), patients(40, 1), NAMES, 2) is None


def test_it_is_stored_with_a_model(tmp_path: Path) -> None:
    found = fit_learnt_expression(patients(80, 0), patients(40, 1), NAMES, 2)
    assert found is not None
    assert found.genes is not None
    Transforms(None, {}, expression=found).save(tmp_path)
    read = Transforms.load(tmp_path).expression
    assert read is not None
    assert read.genes is not None
    assert (read.genes.genes, read.genes.held_out) == (tuple(NAMES), True)
    for name, value in found.to_tensors().items():
        assert torch.equal(read.to_tensors()[name], value)
    Transforms(None, {}).save(tmp_path)
    assert Transforms.load(tmp_path).expression is None
