"""The student gains from genomics where slides show what genes show, and only there.

A simulated world with few labelled patients and many unlabelled ones with slides and genes. A
label is a threshold of three latents: shared by slides and genes, shown by genes alone, noise.
The slide-only student has to find its part in 50 bags; the distilled one is also told by its
teachers what they see in the genes of 400 patients without a label.

The recipe leaves out L_OR. With it, the teachers' features shrink and the gain hangs on the seed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.cohort import Fold
from histodistill.cohort.clinical import ClinicalTable
from histodistill.evaluation import roc_auc
from histodistill.experiment import Experiment, ExperimentData
from histodistill.features import BagStore, open_bags
from histodistill.simulation import SimulationSettings
from histodistill.simulation.genes import draw_expression, draw_programmes
from histodistill.simulation.patches import draw_patch_model
from histodistill.simulation.truth import draw_truth, slides_of
from histodistill.training.fit.fitted_model import fit_model
from histodistill.training.fold.fold_data import prepare_fold

SEEDS = (0, 1, 2, 3)
LABELLED, UNLABELLED, VALIDATION, FRESH = 50, 400, 40, 600
ALONE, DISTILLED, GENES = "abmil", "mkd-no-orthogonality", "genomic"


def settings_of(seed: int, shared_signal: float) -> SimulationSettings:
    return SimulationSettings(
        seed=seed,
        n_patients=LABELLED + UNLABELLED + VALIDATION + FRESH,
        n_sites=2,
        n_genes=60,
        width=32,
        min_patches=10,
        max_patches=15,
        shared_signal=shared_signal,
        genomic_signal=0.3,
        label_noise=0.3,
        tumour_share=0.2,
        tumour_shift=2.0,
        distractor_shift=1.5,
        patch_noise=1.0,
        slide_noise=0.3,
        gene_noise=0.4,
        site_shift=0.0,
        share_without_genomics=0.0,
        share_without_label=0.0,
        share_with_two_slides=0.0,
    )


def write_bags(folder: Path, settings: SimulationSettings) -> BagStore:
    model = draw_patch_model(settings)
    paths = {}
    for slide in slides_of(draw_truth(settings)):
        paths[slide.patient] = [folder / f"{slide.patient}.npy"]
        np.save(paths[slide.patient][0], model.draw_patches(slide).features)
    return open_bags(paths)


def cohort(bags: BagStore, settings: SimulationSettings) -> tuple[ExperimentData, Fold]:
    """The patients, divided into training, validation and test; the rest has no label."""
    truth = draw_truth(settings).set_index("PATIENT")
    genes = draw_expression(settings, truth.reset_index(), draw_programmes(settings)).T
    train, hidden, validation, test = np.split(
        truth.index, np.cumsum([LABELLED, UNLABELLED, VALIDATION])
    )
    labels = (truth["ER"] == "positive").astype("Int64").to_frame()
    labels.loc[hidden] = pd.NA
    clinical = ClinicalTable(tuple(sorted(truth.index)), labels, truth["SITE"], None)
    nobody = pd.DataFrame(columns=["PATIENT", "reason"])
    fold = Fold(0, 0, tuple(train), tuple(validation), tuple(test))
    return ExperimentData(clinical, bags, {"mrna": genes.astype("float32")}, nobody, ()), fold


def experiment() -> Experiment:
    network = {"width": 32, "attention_width": 16, "token_size": 64, "fusion": "concat"}
    return Experiment.model_validate(
        {
            "name": "gain",
            "cohort": {"clinical": "unused"},
            "features": {"directory": "unused"},
            "genomics": {"mrna": {"file": "unused", "selection": {"method": "all"}}},
            "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
            "methods": {
                # Its epochs have fewer steps: it gets more of them, and more patience.
                ALONE: {
                    "network": network,
                    "training": {"max_epochs": 160, "cosine_epochs": 200, "patience": 40},
                },
                DISTILLED: {"network": network, "training": {"unlabelled": True}},
                # Stopped by its own loss: a student that finds nothing stops by chance.
                GENES: {"network": network},
            },
            "training": {
                "learning_rate": 2e-3,
                "max_epochs": 40,
                "patience": 10,
                "device": "cpu",
            },
            "output": "unused",
        }
    )


def fresh_aucs(bags: BagStore, settings: SimulationSettings, folder: Path) -> dict[str, float]:
    """AUC, on patients never seen, of each method's student and of the genomic teacher."""
    data, fold = cohort(bags, settings)
    setup = experiment()
    inputs = prepare_fold(setup, data, "ER", fold)
    positive = inputs.labels[list(fold.test)].to_numpy()
    aucs = {}
    for name, method in setup.methods.items():
        place = folder / f"{name}-{settings.seed}-{settings.shared_signal}"
        fitted = fit_model(method, setup.targets["ER"], inputs, settings.seed, place)
        answers = fitted.answer(fold.test)
        (network, *_) = method.network.networks  # the student, where there is one
        aucs[name] = roc_auc(positive, answers[network])
    return aucs


@pytest.mark.slow
def test_the_student_gains_where_signal_is_shared_and_not_elsewhere(tmp_path: Path) -> None:
    """Cohorts of one seed have the same slides and genes, whatever the label depends on."""
    found: dict[float, list[dict[str, float]]] = {1.0: [], 0.0: []}
    for seed in SEEDS:
        place = tmp_path / str(seed)
        place.mkdir()
        bags = write_bags(place, settings_of(seed, 1.0))
        for shared_signal, worlds in found.items():
            worlds.append(fresh_aucs(bags, settings_of(seed, shared_signal), tmp_path))
    shared, separate = (pd.DataFrame(worlds) for worlds in found.values())
    told = f"shared\n{shared}\nseparate\n{separate}"

    gains = shared[DISTILLED] - shared[ALONE]
    assert gains.mean() > 0.04, told
    assert gains.min() > 0, told
    # The genes still tell the label, but nothing of it is in the slides. An AUC of chance on
    # 600 patients has standard error 0.024.
    assert separate[GENES].min() > 0.6, told
    by_chance = separate[[ALONE, DISTILLED]].to_numpy() - 0.5
    assert np.abs(by_chance).max() < 0.07, told
    assert abs(by_chance.mean()) < 0.03, told
