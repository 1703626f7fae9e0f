"""How much slides count beside genes: learnt from patients whom neither network was fitted on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from histodistill.training.fit.fusion_weight import learnt_weight

Matrix = NDArray[np.float64]


def evidence(
    n: int, slide: float, genes: float, seed: int = 0, classes: int = 2
) -> tuple[Matrix, Matrix, NDArray[np.int64]]:
    """Independent evidence of the label from both, of a stated strength each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    ideal = np.eye(classes)[labels]

    def told(strength: float) -> Matrix:
        # Normal with the variance that makes the strength the log-likelihood ratio's factor.
        logits = strength * ideal + np.sqrt(strength) * rng.normal(size=(n, classes))
        return np.asarray(softmax(logits, axis=1))

    return told(slide), told(genes), labels


@pytest.mark.parametrize("classes", [2, 3])
def test_independent_evidence_counts_in_full(classes: int) -> None:
    slide, genes, labels = evidence(4000, 1.0, 1.0, classes=classes)
    assert learnt_weight(slide, genes, labels) == pytest.approx(1, abs=0.15)


def test_slides_that_say_nothing_count_for_nothing() -> None:
    slide, genes, labels = evidence(4000, 1.0, 1.0)
    shuffled = np.random.default_rng(1).permutation(slide)
    assert learnt_weight(shuffled, genes, labels) < 0.1


def test_slides_count_more_where_genes_are_noisy() -> None:
    weights = [learnt_weight(*evidence(1000, 1.0, strength)) for strength in (0.2, 1.0)]
    loud = evidence(1000, 1.0, 0.2)
    # Noise that the genomic network takes for evidence: its logits are five times too sure.
    sure = np.asarray(softmax(5 * np.log(loud[1]), axis=1))
    assert learnt_weight(loud[0], sure, loud[2]) > 1.5
    assert all(weight == pytest.approx(1, abs=0.3) for weight in weights)


def test_few_patients_leave_the_weight_near_its_default() -> None:
    found = [learnt_weight(*evidence(8, 1.0, 1.0, seed)) for seed in range(20)]
    assert max(found) < 0.6


def test_a_scale_and_a_shift_of_the_classes_change_nothing() -> None:
    slide, genes, labels = evidence(2000, 1.0, 1.0)
    shifted = np.asarray(softmax(2 * np.log(genes) + [0.0, 1.5], axis=1))
    doubled = np.asarray(softmax(2 * np.log(slide) - [0.7, 0.0], axis=1))
    plain = learnt_weight(slide, genes, labels)
    assert learnt_weight(doubled, shifted, labels) == pytest.approx(plain, abs=0.02)


def test_patients_without_one_of_both_have_no_say() -> None:
    slide, genes, labels = evidence(600, 1.0, 1.0)
    expected = learnt_weight(slide[200:], genes[200:], labels[200:])
    slide[:100], genes[100:200] = np.nan, np.nan
    assert learnt_weight(slide, genes, labels) == pytest.approx(expected)
    assert learnt_weight(slide[:200], genes[:200], labels[:200]) == pytest.approx(0.1)


def test_answers_that_are_always_right_have_a_weight_as_well() -> None:
    labels = np.tile([0, 1], 50)
    certain = np.eye(2)[labels]
    assert 0 <= learnt_weight(certain, certain, labels) <= 2
