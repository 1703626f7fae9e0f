"""Maps of trained networks find what the simulation planted: the tumour, and a confounder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from histodistill import cross_validate, explain, fold_ensemble, load, read_experiment
from histodistill.explanation.patients import PatientMap
from histodistill.simulation import Confounder, SimulationSettings, draw_truth, simulate_cohort
from histodistill.simulation.patches import draw_patch_model
from histodistill.simulation.truth import slides_of
from tests.experiment.small import experiment_file

# All of the label is in the slides, and a few epochs learn it.
PLAIN = SimulationSettings(
    n_patients=120,
    n_genes=8,
    width=16,
    min_patches=8,
    max_patches=16,
    genomic_signal=0.0,
    label_noise=0.0,
    tumour_share=0.4,
    tumour_shift=4.0,
    distractor_shift=0.5,
    share_without_genomics=0.0,
    share_without_label=0.0,
    share_with_two_slides=0.0,
)
CONFOUNDED = replace(PLAIN, confounder=Confounder(patch_share=0.2, shift=8.0))
METHOD = {
    "network": {"width": 16, "attention_width": 8},
    "training": {"learning_rate": 0.005, "max_epochs": 12, "device": "cpu"},
}


CHANGES: dict[str, Any] = {
    "genomics": None,
    "features": {"standardise": True},
    "splits": {"scheme": "external", "external_sites": ["S05"]},
    "methods": {"abmil": METHOD, "mkd": None},
    "baselines": [],
}


@pytest.mark.parametrize(("settings", "least"), [(PLAIN, 0.9), (CONFOUNDED, 0.95)])
def test_shares_against_the_average_find_what_was_planted(
    settings: SimulationSettings, least: float, tmp_path: Path
) -> None:
    simulate_cohort(tmp_path / "cohort", settings)
    experiment = read_experiment(experiment_file(tmp_path, CHANGES))
    data = load(experiment)
    answers = cross_validate(experiment, data).set_index("PATIENT")
    assert roc_auc_score(answers["label"] == "positive", answers["student"]) > 0.85
    assert data.bags is not None
    bundle = fold_ensemble(experiment, data, "ER", "abmil")
    areas = list(_areas(explain(bundle, data.bags, patients=list(answers.index)), settings))
    assert len(areas) >= 10
    assert np.mean(areas) >= least


def _areas(maps: Iterator[PatientMap], settings: SimulationSettings) -> Iterator[float]:
    """AUC of each patient's map against the patches that were planted."""
    model = draw_patch_model(settings)
    slides = {slide.patient: slide for slide in slides_of(draw_truth(settings))}
    confounded = settings.confounder is not None
    for found in maps:
        slide = slides[found.patient]
        patches = model.draw_patches(slide)
        planted = patches.confounded if confounded else patches.signal
        # Tumour speaks for what the patient's latent says, and shows little where that is near 0.
        sign = 1.0 if confounded else np.sign(slide.shared)
        relative = found.contributions.against_average()
        assert relative is not None
        if (confounded or abs(slide.shared) >= 0.5) and 0 < planted.sum() < len(planted):
            yield float(roc_auc_score(planted, sign * relative.support(1)))
