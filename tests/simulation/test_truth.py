"""What is written follows the known truth: each latent is visible where it should be, only there.

Seeds are fixed. A bound on "nothing is visible" is about three standard errors: a rank
correlation of unrelated variables has standard error 1/sqrt(patients), an AUC at most
1/sqrt(12 · smaller class).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from histodistill.simulation import SimulatedCohort, SimulationSettings, simulate_cohort
from histodistill.simulation.patches import draw_patch_model
from histodistill.simulation.truth import best_aucs, draw_truth, slides_of

N_PATIENTS = 400
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)


@dataclass(frozen=True)
class World:
    """A cohort as a method sees it (mean slide features, genes), and its truth."""

    features: NDArray[np.float64]
    genes: NDArray[np.float64]
    truth: pd.DataFrame
    programmes: pd.DataFrame

    @property
    def positive(self) -> NDArray[np.bool_]:
        return (self.truth["ER"] == "positive").to_numpy()


def mean_features(cohort: SimulatedCohort) -> NDArray[np.float64]:
    """Mean patch of each slide, [slides, F]; slides are patients where each has one."""
    means = []
    for name in pd.read_csv(cohort.slides_table)["FILENAME"]:
        with h5py.File(cohort.features / name) as file:
            means.append(file["features"][:].astype(float).mean(axis=0))
    return np.stack(means)


def simulate_world(folder: Path, **changes: float) -> World:
    settings = SimulationSettings(
        n_patients=N_PATIENTS,
        max_patches=100,
        n_genes=200,
        share_without_genomics=0.0,
        share_without_label=0.0,
        share_with_two_slides=0.0,
        **changes,  # type: ignore[arg-type]
    )
    cohort = simulate_cohort(folder, settings)
    expression = pd.read_csv(cohort.expression, sep="\t").iloc[:, 2:]
    return World(
        features=mean_features(cohort),
        genes=expression.to_numpy().T,
        truth=pd.read_csv(cohort.truth),
        programmes=pd.read_csv(cohort.gene_truth),
    )


@pytest.fixture(scope="module")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return simulate_world(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def separate_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return simulate_world(tmp_path_factory.mktemp("separate"), shared_signal=0.0)


def recovered(inputs: NDArray[np.float64], latent: pd.Series[float]) -> float:
    """Out-of-fold correlation of a linear read-out with a latent variable."""
    read_out = cross_val_predict(RidgeCV(np.logspace(-1, 4, 6)), inputs, latent, cv=5)
    return float(np.corrcoef(read_out, latent)[0, 1])


def label_auc(inputs: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Out-of-fold AUC of a logistic regression on the label."""
    standard = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    score = cross_val_predict(
        LogisticRegression(C=0.01), standard, positive, cv=FOLDS, method="decision_function"
    )
    return float(roc_auc_score(positive, score))


@pytest.mark.parametrize(
    ("latent", "in_slides", "in_genes"),
    [
        ("SHARED", True, True),
        ("GENOMIC_ONLY", False, True),
        ("DISTRACTOR", True, False),
        ("LABEL_NOISE", False, False),
    ],
)
def test_each_latent_is_visible_where_it_should_be(
    shared_world: World, latent: str, in_slides: bool, in_genes: bool
) -> None:
    bound = 3 / np.sqrt(N_PATIENTS)
    truth = shared_world.truth[latent]
    for inputs, visible in ((shared_world.features, in_slides), (shared_world.genes, in_genes)):
        correlation = recovered(inputs, truth)
        assert correlation > 0.6 if visible else abs(correlation) < bound


def test_genes_measure_the_shared_latent_better_than_slides(shared_world: World) -> None:
    latent = shared_world.truth["SHARED"]
    assert recovered(shared_world.genes, latent) > 0.97
    assert recovered(shared_world.features, latent) < 0.9


def test_label_is_a_threshold_of_the_score(shared_world: World) -> None:
    truth = shared_world.truth
    score = truth["SHARED"] + 0.7 * truth["GENOMIC_ONLY"] + 0.3 * truth["LABEL_NOISE"]
    np.testing.assert_allclose(score, truth["SCORE"], atol=5e-6)
    highest_negative = score[~shared_world.positive].max()
    assert highest_negative < score[shared_world.positive].min()


@examples(max_examples=15, deadline=None)
@given(
    share=st.floats(0.1, 0.9),
    shared_signal=st.floats(0, 3),
    seed=st.integers(0, 10_000),
)
def test_positive_share_is_met_whatever_the_weights(
    share: float, shared_signal: float, seed: int
) -> None:
    settings = SimulationSettings(
        seed=seed, n_patients=4000, positive_share=share, shared_signal=shared_signal
    )
    positive = (draw_truth(settings)["ER"] == "positive").mean()
    assert abs(positive - share) < 5 * np.sqrt(share * (1 - share) / 4000)


def test_slides_carry_the_label_where_the_signal_is_shared(shared_world: World) -> None:
    assert label_auc(shared_world.features, shared_world.positive) > 0.7
    assert label_auc(shared_world.genes, shared_world.positive) > 0.85


def test_slides_carry_no_label_where_nothing_is_shared(separate_world: World) -> None:
    minority = min(separate_world.positive.sum(), (~separate_world.positive).sum())
    bound = 3 / np.sqrt(12 * minority)
    assert abs(label_auc(separate_world.features, separate_world.positive) - 0.5) < bound
    assert label_auc(separate_world.genes, separate_world.positive) > 0.75


def test_a_genomic_teacher_helps_a_slide_student_only_where_the_signal_is_shared() -> None:
    """A perfect teacher, which answers unlabelled patients too, and linear students."""
    gains = {a: np.mean([student_gain(a, seed) for seed in range(5)]) for a in (0.0, 1.0)}
    assert gains[1.0] > 0.03
    assert abs(gains[0.0]) < 0.03


def student_gain(shared_signal: float, seed: int) -> float:
    """AUC, on 300 other patients, of a student of the teacher less that of the labels."""
    labelled, taught = slice(90), slice(150)
    settings = SimulationSettings(
        seed=seed,
        n_patients=450,
        max_patches=100,
        shared_signal=shared_signal,
        share_with_two_slides=0.0,
    )
    truth = draw_truth(settings)
    model = draw_patch_model(settings)
    features = np.stack(
        [model.draw_patches(slide).features.mean(axis=0, dtype=float) for slide in slides_of(truth)]
    )
    positive = (truth["ER"] == "positive").to_numpy()
    teacher = shared_signal * truth["SHARED"] + settings.genomic_signal * truth["GENOMIC_ONLY"]

    def student_auc(targets: NDArray[np.float64], training: slice) -> float:
        student = RidgeCV(np.logspace(-1, 4, 10)).fit(features[training], targets[training])
        return float(roc_auc_score(positive[150:], student.predict(features[150:])))

    return student_auc(teacher.to_numpy(), taught) - student_auc(positive.astype(float), labelled)


def test_programmes_of_genes_follow_their_latents(shared_world: World) -> None:
    programmes = shared_world.programmes
    for programme, latent in (("shared", "SHARED"), ("genomic_only", "GENOMIC_ONLY")):
        member = (programmes["PROGRAMME"] == programme).to_numpy()
        assert member.sum() == 30
        signs = np.sign(programmes.loc[member, "LOADING"].to_numpy())
        mean = (shared_world.genes[:, member] * signs).mean(axis=1)
        assert np.corrcoef(mean, shared_world.truth[latent])[0, 1] > 0.95
    assert (programmes.loc[programmes["PROGRAMME"] == "none", "LOADING"] == 0).all()


def test_hospitals_leave_a_batch_effect_in_both_modalities(shared_world: World) -> None:
    sites = shared_world.truth["SITE"]
    for inputs in (shared_world.features, shared_world.genes):
        by_site = pd.DataFrame(inputs).groupby(sites.to_numpy()).mean()
        shuffled = np.random.default_rng(0).permutation(sites.to_numpy())
        by_chance = pd.DataFrame(inputs).groupby(shuffled).mean()
        assert by_site.std().mean() > 2 * by_chance.std().mean()


def test_higher_latents_live_longer(shared_world: World) -> None:
    truth = shared_world.truth
    died = truth["OS_STATUS"] == "1:DECEASED"
    benefit = truth["SHARED"] + truth["GENOMIC_ONLY"]
    assert benefit[died].mean() < benefit[~died].mean()
    assert 0.3 < died.mean() < 0.8


def test_the_best_aucs_are_those_of_the_latent_variables():
    """With a = 1, b = 0.7 and σ = 0.3 over many patients, against the truth drawn again."""
    settings = SimulationSettings(n_patients=20_000, share_without_label=0.5)
    truth = draw_truth(settings)
    best = best_aucs(settings, truth)
    assert best.patients == 10_000
    assert best.slides == pytest.approx(
        roc_auc_score(truth["ER"] == "positive", truth["SHARED"]), abs=0.01
    )
    assert 0.5 < best.slides < best.genomics < 1
    nothing = SimulationSettings(n_patients=20_000, shared_signal=0)
    assert best_aucs(nothing, draw_truth(nothing)).slides == pytest.approx(0.5, abs=0.02)
