"""Stain normalisation: brings stains together, leaves blank patches alone, is recorded."""

import h5py
import numpy as np
import pytest

from histodistill.errors import InputError
from histodistill.extraction import extract_slides, read_extraction_settings
from histodistill.extraction import stain as stain_module
from histodistill.extraction.stain import stain_normaliser


def stained(haematoxylin, eosin, seed=0):
    """A patch drawn under the Beer-Lambert law with the usual absorption of both stains."""
    rng = np.random.default_rng(seed)
    amounts = rng.gamma(2, 0.3, (64, 64, 2)) * [haematoxylin, eosin]
    absorption = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    return np.clip(240 * np.exp(-amounts @ absorption), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_pale_and_dark_staining_become_alike(method):
    pytest.importorskip("torchstain")
    normalise = stain_normaliser(method)
    assert normalise is not None
    pale, dark = stained(0.6, 0.5), stained(1.4, 1.2)
    before = np.abs(pale.mean((0, 1)) - dark.mean((0, 1))).max()
    after = np.abs(normalise(pale).mean((0, 1)) - normalise(dark).mean((0, 1))).max()
    assert after < before / 2


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_patches_without_stain_are_left_as_they_are(method):
    pytest.importorskip("torchstain")
    normalise = stain_normaliser(method)
    assert normalise is not None
    blank = np.full((64, 64, 3), 240, np.uint8)
    assert np.array_equal(normalise(blank), blank)


def test_no_normalisation_is_the_default():
    assert stain_normaliser("none") is None


def test_it_changes_the_features_and_is_recorded(entries, encoder, settings, tmp_path):
    pytest.importorskip("torchstain")
    slides = entries(1)
    normalised = settings.model_copy(update={"stain": "macenko"})
    for out, used in (("plain", settings), ("normalised", normalised)):
        extract_slides(slides, encoder, tmp_path / out, used)
    paths = [tmp_path / out / "slide0.h5" for out in ("plain", "normalised")]
    with h5py.File(paths[0]) as plain, h5py.File(paths[1]) as other:
        assert not np.allclose(plain["features"], other["features"], atol=0.01)
    assert read_extraction_settings(paths[1]).stain == "macenko"


def test_without_the_library_the_extra_is_named(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(stain_module, "import_module", absent)
    with pytest.raises(InputError, match=r"needs the extra 'stain'"):
        stain_normaliser("macenko")
