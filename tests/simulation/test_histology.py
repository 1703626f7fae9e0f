"""Drawn tissue: what each number of the morphology does to the picture, and the stain model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histodistill.simulation.histology import draw_field, lay_out
from histodistill.simulation.morphology import Morphology, morphology_of
from histodistill.simulation.nuclei import NucleusKind, place, stamp
from histodistill.simulation.settings import SimulationSettings
from histodistill.simulation.stain import EOSIN, HAEMATOXYLIN, Stain, develop, draw_stain
from histodistill.simulation.texture import fibres, smooth_noise
from histodistill.simulation.truth import SimulatedSlide, draw_truth, slides_of

SHAPE = (300, 400)
MPP = 0.5
ROUND = NucleusKind(
    radius_um=4.0,
    size_spread=0.0,
    elongation=1.0,
    irregularity=0.0,
    haematoxylin=1.0,
    vesicularity=0.0,
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def unit(vector: tuple[float, float, float]) -> NDArray[np.float32]:
    length = np.linalg.norm(vector)
    return np.array(vector, dtype=np.float32) / np.float32(length)


def published_stain() -> Stain:
    light = np.full(3, 240, dtype=np.float32)
    return Stain(haematoxylin=unit(HAEMATOXYLIN), eosin=unit(EOSIN), light=light)


def drawn(morphology: Morphology, seed: int = 0) -> NDArray[np.uint8]:
    return draw_field(generator(seed), morphology, published_stain(), SHAPE, MPP)


def slide_with(shared: float, distractor: float = 0.0) -> SimulatedSlide:
    return SimulatedSlide("SIM-S01-0001", "name", (0, 0), 0, shared, distractor)


@examples(max_examples=20, deadline=None)
@given(haematoxylin=st.floats(0, 2), eosin=st.floats(0, 1))
def test_colours_follow_beer_lambert(haematoxylin: float, eosin: float) -> None:
    stain = published_stain()
    one = np.ones((64, 64), dtype=np.float32)
    image = develop(
        stain, np.float32(haematoxylin) * one, np.float32(eosin) * one, 0 * one, generator()
    )
    density = haematoxylin * stain.haematoxylin + eosin * stain.eosin
    expected = 240 * np.exp(-density)
    # Truncation to whole numbers takes half a grey level; the noise averages out.
    np.testing.assert_allclose(image.mean(axis=(0, 1)), expected - 0.5, atol=0.15)


def test_laboratories_stain_alike_but_not_the_same() -> None:
    stains = [draw_stain(generator(seed)) for seed in range(5)]
    for stain in stains:
        assert np.linalg.norm(stain.haematoxylin) == pytest.approx(1, abs=1e-6)
        assert stain.haematoxylin @ unit(HAEMATOXYLIN) > 0.98
        assert stain.eosin @ unit(EOSIN) > 0.98
    assert len({stain.eosin.tobytes() for stain in stains}) == 5


@pytest.mark.parametrize("scale", [3.3, 20.0, 500.0])
def test_smooth_noise_is_standard_and_smooth(scale: float) -> None:
    field = smooth_noise(generator(), SHAPE, scale)
    assert field.shape == SHAPE
    assert field.mean() == pytest.approx(0, abs=1e-3)
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(field, axis=0)).max() < 8 / scale


def test_fibres_run_along_a_direction() -> None:
    field = fibres(generator(3), SHAPE, MPP)
    steps = (
        field[1:] - field[:-1],
        field[:, 1:] - field[:, :-1],
        field[1:, 1:] - field[:-1, :-1],
        field[1:, :-1] - field[:-1, 1:],
    )
    roughness = [step.std() for step in steps]
    assert max(roughness) > 1.5 * min(roughness)


def test_points_follow_the_density() -> None:
    density = np.zeros(SHAPE, dtype=np.float32)
    density[:, :200], density[:, 200:] = 1.0, 0.25
    points = place(generator(), density, spacing=10)
    assert (points >= 0).all()
    assert (points < (SHAPE[1], SHAPE[0])).all()
    left, right = (points[:, 0] < 200).sum(), (points[:, 0] >= 200).sum()
    assert left == pytest.approx(600, rel=0.1)
    assert right == pytest.approx(150, rel=0.3)


def test_a_round_nucleus_has_its_area() -> None:
    canvas = np.zeros((61, 61), dtype=np.float32)
    stamp(generator(), canvas, np.array([[30, 30]], dtype=np.float32), ROUND, MPP)
    # One pixel is 0.25 µm²; the stain of a nucleus varies by some 12 %.
    area_um2 = 0.25 * (canvas / canvas.max()).sum()
    assert area_um2 == pytest.approx(np.pi * 4.0**2, rel=0.05)


def test_nuclei_at_the_edge_are_cut_and_none_is_fine() -> None:
    canvas = np.zeros((20, 20), dtype=np.float32)
    stamp(generator(), canvas, np.empty((0, 2), dtype=np.float32), ROUND, MPP)
    assert not canvas.any()
    stamp(generator(), canvas, np.array([[0, 0], [19, 19]], dtype=np.float32), ROUND, MPP)
    assert canvas[0, 0] > 0
    assert canvas[19, 19] > 0
    assert canvas[0, 19] == canvas[19, 0] == 0


def test_a_vesicular_nucleus_is_clear_between_nucleolus_and_rim() -> None:
    canvas = np.zeros((61, 61), dtype=np.float32)
    vesicular = replace(ROUND, radius_um=10.0, vesicularity=1.0)
    stamp(generator(), canvas, np.array([[30, 30]], dtype=np.float32), vesicular, MPP)
    nucleolus, clear, rim = canvas[30, 30], canvas[30, 38], canvas[30, 48]
    assert nucleolus > rim > clear > 0


def test_layout_partitions_the_tissue() -> None:
    layout = lay_out(generator(), Morphology(), SHAPE, MPP)
    assert 0.2 < layout.tissue.mean() < 0.9
    for opacity in (layout.epithelium, layout.stroma, layout.infiltrate):
        assert opacity.min() >= -1e-6
        assert (opacity <= layout.tissue + 1e-6).all()
    assert (layout.epithelium + layout.stroma <= layout.tissue + 1e-6).all()
    assert (layout.infiltrate <= layout.stroma + 1e-6).all()


@pytest.mark.parametrize(
    ("part", "few", "many"),
    [
        ("epithelium", Morphology(epithelium_share=0.2), Morphology(epithelium_share=0.8)),
        ("infiltrate", Morphology(lymphocyte_share=0.05), Morphology(lymphocyte_share=0.5)),
    ],
)
def test_shares_grow_with_their_setting(part: str, few: Morphology, many: Morphology) -> None:
    small, large = (
        getattr(lay_out(generator(), morphology, SHAPE, MPP), part) for morphology in (few, many)
    )
    assert large.sum() > 1.5 * small.sum()


def test_background_is_bright_and_tissue_is_pink_to_violet() -> None:
    image = drawn(Morphology()).astype(int)
    tissue = lay_out(generator(), Morphology(), SHAPE, MPP).tissue
    glass, stained = image[tissue == 0], image[tissue == 1]
    # Nuclei may reach a few pixels over the tissue's edge.
    assert (glass < 215).any(axis=1).mean() < 0.02
    red, green, blue = stained.mean(axis=0)
    assert green < min(red, blue) - 20


@pytest.mark.parametrize(
    "darker",
    [
        Morphology(nuclear_radius_um=4.5),
        Morphology(haematoxylin=1.4),
        Morphology(lymphocyte_share=0.7),
    ],
)
def test_more_haematoxylin_absorbs_more_red(darker: Morphology) -> None:
    assert drawn(darker)[..., 0].mean() < drawn(Morphology())[..., 0].mean() - 0.5


def test_eosin_strength_changes_green_most() -> None:
    change = drawn(Morphology()).astype(float) - drawn(replace(Morphology(), eosin=1.5))
    red, green, blue = change.mean(axis=(0, 1))
    assert green > 3 * max(red, blue)


def test_a_pen_mark_is_blue_and_leaves_most_of_the_slide_alone() -> None:
    plain, marked = drawn(Morphology()), drawn(replace(Morphology(), pen=True))
    darker = plain[..., 0].astype(int) - marked[..., 0] > 60
    assert 0.005 < darker.mean() < 0.1
    red, _, blue = marked[darker].mean(axis=0)
    assert blue > red + 40


def test_morphology_follows_the_shared_latent() -> None:
    settings = SimulationSettings()
    high, low = (morphology_of(slide_with(shared), settings) for shared in (2.0, -2.0))
    assert low.nuclear_radius_um > high.nuclear_radius_um
    assert low.pleomorphism > high.pleomorphism
    assert low.vesicularity > high.vesicularity
    assert low.lymphocyte_share > high.lymphocyte_share
    assert low.tubule_share < high.tubule_share
    unrelated = ("epithelium_share", "haematoxylin", "eosin", "pen")
    assert all(getattr(low, name) == getattr(high, name) for name in unrelated)


def test_morphology_of_the_distractor_leaves_the_grade_alone() -> None:
    settings = SimulationSettings()
    high, low = (morphology_of(slide_with(0.0, z), settings) for z in (2.0, -2.0))
    assert high.epithelium_share > low.epithelium_share
    assert high.eosin > low.eosin
    assert high.nuclear_radius_um == low.nuclear_radius_um
    assert high.lymphocyte_share == low.lymphocyte_share


def test_plain_colour_statistics_read_the_shared_latent() -> None:
    """The signal is there for an encoder to find: even percentiles of the colours show it."""
    settings = SimulationSettings(n_patients=80, share_with_two_slides=0.0)
    slides = slides_of(draw_truth(settings))
    statistics = []
    for number, slide in enumerate(slides):
        image = drawn(morphology_of(slide, settings), seed=number).reshape(-1, 3)
        percentiles = np.percentile(image[::7], [2, 10, 25, 50, 75], axis=0)
        statistics.append([*percentiles.ravel(), *image.std(axis=0)])
    latent = np.array([slide.shared for slide in slides])
    read_out = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 3, 5)))
    found = cross_val_predict(read_out, np.array(statistics), latent, cv=5)
    assert np.corrcoef(found, latent)[0, 1] > 0.4
