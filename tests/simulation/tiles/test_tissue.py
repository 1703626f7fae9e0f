"""What slides hold follows from the latents as the equations say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from histodistill.errors import InputError
from histodistill.simulation import draw_truth, read_settings
from histodistill.simulation.tiles import (
    REGIMES,
    TileModel,
    TileSettings,
    draw_tile_model,
    read_tiles,
)
from histodistill.simulation.tiles.parts import patient_parts
from histodistill.simulation.tiles.tissue import draw_latents
from histodistill.simulation.truth import slides_of
from tests.simulation.tiles.small import SETTINGS, encoded, write_tiles

MANY = replace(SETTINGS, n_patients=400, n_patches=2000, n_folds=3, tissue_noise=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiles(tmp_path_factory.mktemp("tiles") / "tiles")


def model_of(settings: TileSettings, folder: Path) -> TileModel:
    library = read_tiles(folder)
    return draw_tile_model(settings, library, encoded(library, settings, folder.parent / "cache"))


@pytest.mark.parametrize("part", [0.0, 0.3, 1.0])
def test_the_shared_latent_is_made_of_a_common_and_a_rare_one(part: float) -> None:
    settings = replace(MANY, rare_part=part)
    truth = draw_truth(settings)
    latents = draw_latents(settings, truth, patient_parts(settings, truth)).values()
    common = np.array([each.common for each in latents])
    rare = np.array([each.rare for each in latents])
    np.testing.assert_allclose(
        np.sqrt(1 - part) * common + np.sqrt(part) * rare, truth["SHARED"], atol=1e-12
    )
    assert abs(np.corrcoef(common, rare)[0, 1]) < 0.15
    assert common.std() == pytest.approx(1, abs=0.1)


def test_shares_of_tissue_are_those_of_the_equations(folder: Path) -> None:
    model = model_of(MANY, folder)
    # Classes, sorted: fat, giant (rare), stroma, tumour (common).
    for slide in slides_of(draw_truth(MANY))[:40]:
        own = model.latents[slide.patient]
        share = np.bincount(model.draw_patches(slide).tissue, minlength=4) / 2000
        rare = expit(np.log(0.05 / 0.95) + own.rare)
        common = (1 - rare) * expit(np.log(0.4 / 0.6) + own.common)
        fat = (1 - rare - common) * expit(2 * slide.distractor)
        expected = np.array([fat, rare, 1 - rare - common - fat, common])
        np.testing.assert_allclose(share, expected, atol=0.06)


def test_patches_are_features_of_tiles_of_the_patients_part_and_stain(folder: Path) -> None:
    model = model_of(SETTINGS, folder)
    for slide in slides_of(draw_truth(SETTINGS)):
        patches = model.draw_patches(slide)
        pool = np.concatenate(model.pools[model.latents[slide.patient].part])
        assert np.isin(patches.tile, pool).all()
        np.testing.assert_array_equal(model.library.tissue[patches.tile], patches.tissue)
        values = model.features.values[slide.site, patches.tile]
        np.testing.assert_array_equal(patches.features, values)
        assert len(np.unique(patches.cells, axis=0)) == SETTINGS.n_patches


def test_signal_marks_the_classes_that_show_the_latent(folder: Path) -> None:
    for regime, number in (("common", 3), ("rare", 1)):
        settings = replace(SETTINGS, rare_part=REGIMES[regime]["rare_part"])
        patches = model_of(settings, folder).draw_patches(slides_of(draw_truth(settings))[0])
        np.testing.assert_array_equal(patches.signal, patches.tissue == number)
    both = replace(SETTINGS, rare_part=0.5)
    assert both.signal_classes == {"tumour", "giant"}


def test_tissue_lies_together(folder: Path) -> None:
    patches = model_of(MANY, folder).draw_patches(slides_of(draw_truth(MANY))[0])
    at = {tuple(cell): tissue for cell, tissue in zip(patches.cells, patches.tissue, strict=True)}
    pairs = [(t, at[x + 1, y]) for (x, y), t in at.items() if (x + 1, y) in at]
    alike = np.mean([own == other for own, other in pairs])
    by_chance = np.sum((np.bincount(patches.tissue) / len(patches.tissue)) ** 2)
    assert alike > by_chance + 0.1


def test_classes_that_the_folder_has_not_are_named(folder: Path) -> None:
    settings = replace(SETTINGS, common_classes=("tumor",), rare_classes=("giant", "vessel"))
    with pytest.raises(InputError) as caught:
        model_of(settings, folder)
    one, other = caught.value.problems
    assert "has no class tumor, which common_classes names; its classes are fat, giant" in one
    assert "has no class vessel, which rare_classes names" in other
    with pytest.raises(InputError, match="leave one that is neither"):
        model_of(replace(SETTINGS, common_classes=("fat", "stroma", "tumour")), folder)


def test_every_wrong_setting_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        TileSettings(
            n_folds=2,
            n_patches=0,
            common_share=1.0,
            rare_share=float("nan"),
            rare_part=2.0,
            stain_shift=-0.1,
            tile_mpp=0.0,
            tiles_per_class=0,
            common_classes=(),
            rare_classes=(),
        )
    named = [problem.split()[3] for problem in caught.value.problems]
    ranges = ("n_folds", "n_patches", "rare_share", "common_share", "stain_shift")
    own = ("rare_part", "common_classes", "rare_classes", "tile_mpp", "tiles_per_class")
    assert named == [*ranges, *own]
    with pytest.raises(InputError, match="tumour: among common_classes and rare_classes"):
        TileSettings(rare_classes=("tumour",))
    file = tmp_path / "settings.yaml"
    file.write_text("common_classes: [fat]\nwidth: 3\n")
    with pytest.raises(InputError, match="width"):
        read_settings(file, {}, TileSettings)
    file.write_text("common_classes: [fat]\n")
    assert read_settings(file, {"n_patches": 9}, TileSettings) == TileSettings(
        n_patches=9, common_classes=("fat",)
    )
