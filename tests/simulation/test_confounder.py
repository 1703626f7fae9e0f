"""A planted confounder is where the truth says, nowhere else, and maps of a model find it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from histodistill.errors import InputError
from histodistill.explanation.contributions import pooled_contributions
from histodistill.model.pooling.parts import averaged_parts
from histodistill.simulation import (
    Confounder,
    SimulationSettings,
    draw_truth,
    morphology_of,
    read_settings,
)
from histodistill.simulation.patches import draw_patch_model
from histodistill.simulation.truth import slides_of

CLEAN = SimulationSettings(n_patients=300, width=16, share_with_two_slides=0.0)
PLANTED = replace(CLEAN, confounder=Confounder(agreement=0.9, patch_share=0.2, shift=6.0))


def test_it_follows_the_label_and_changes_nothing_else() -> None:
    clean, planted = draw_truth(CLEAN), draw_truth(PLANTED)
    assert not clean["CONFOUNDED"].any()
    others = clean.columns.drop("CONFOUNDED")
    assert planted[others].equals(clean[others])
    agrees = planted["CONFOUNDED"] == (planted["ER"] == "positive")
    assert agrees.mean() == pytest.approx(0.9, abs=0.05)


def test_it_shifts_a_stretch_of_patches_along_a_direction_of_its_own() -> None:
    clean, planted = draw_patch_model(CLEAN), draw_patch_model(PLANTED)
    slide = next(slide for slide in slides_of(draw_truth(PLANTED)) if slide.confounded)
    before, after = clean.draw_patches(slide), planted.draw_patches(slide)
    np.testing.assert_array_equal(before.signal, after.signal)
    assert not before.confounded.any()
    shown = np.flatnonzero(after.confounded)
    assert len(shown) == round(0.2 * len(after.features))
    assert shown[-1] - shown[0] == len(shown) - 1
    moved = after.features.astype(float) - before.features.astype(float)
    np.testing.assert_array_equal(moved[~after.confounded], 0)
    expected = 6 * planted.confounder_direction
    np.testing.assert_allclose(moved[shown], np.tile(expected, (len(shown), 1)), atol=0.02)
    assert planted.confounder_direction @ planted.shared_direction == pytest.approx(0, abs=1e-12)
    unmarked = next(slide for slide in slides_of(draw_truth(PLANTED)) if not slide.confounded)
    assert not planted.draw_patches(unmarked).confounded.any()


def test_a_drawn_slide_shows_it_as_a_pen_mark() -> None:
    unmarked = replace(PLANTED, share_with_pen=0.0)
    slides = slides_of(draw_truth(unmarked))
    assert [morphology_of(s, unmarked).pen for s in slides] == [s.confounded for s in slides]


def test_a_map_of_a_model_that_relies_on_it_finds_it() -> None:
    truth, model = draw_truth(PLANTED), draw_patch_model(PLANTED)
    patches = [model.draw_patches(slide) for slide in slides_of(truth)]
    means = np.stack([p.features.mean(axis=0, dtype=float) for p in patches])
    fitted = LogisticRegression().fit(means, truth["ER"] == "positive")
    weight = torch.from_numpy(np.stack([-fitted.coef_[0], fitted.coef_[0]]) / 2)
    areas = []
    for found in (p for p in patches if p.confounded.any()):
        hidden = torch.from_numpy(found.features.astype(float))
        shares = pooled_contributions(averaged_parts(hidden, lambda pooled: pooled @ weight.T))
        areas.append(roc_auc_score(found.confounded, shares.support(1)))
    assert np.mean(areas) >= 0.95


def test_its_settings_come_from_a_file_and_wrong_ones_are_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("confounder: {agreement: 0.8}\n")
    assert read_settings(file, {}).confounder == Confounder(agreement=0.8)
    file.write_text("confounder: {agreemnt: 0.8}\n")
    with pytest.raises(InputError, match=r"confounder\.agreemnt"):
        read_settings(file, {})
    with pytest.raises(InputError) as told:
        replace(CLEAN, width=2, confounder=Confounder(agreement=2, patch_share=-1, shift=-1))
    assert len(told.value.problems) == 4
