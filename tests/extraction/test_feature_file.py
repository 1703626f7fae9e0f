"""The feature file: what it says of itself, and that it says it in equal bytes."""

import json

import h5py
import numpy as np
import pytest

from histodistill import features as feature_room
from histodistill.errors import InputError
from histodistill.extraction import ExtractionSettings, extract_slides, read_extraction_settings

from .conftest import TILING


@pytest.fixture
def extracted(entries, encoder, settings, tmp_path):
    extract_slides(entries(1), encoder, tmp_path / "out", settings)
    return tmp_path / "out" / "slide0.h5"


def test_it_carries_tridents_names_and_everything_that_decides_the_features(
    extracted, encoder, settings
):
    with h5py.File(extracted) as h5:
        assert (h5["features"].dtype, h5["coords"].dtype) == (np.float16, np.int64)
        assert h5["features"].chunks is None
        assert h5["features"].shape == (len(h5["coords"]), 12)
        assert dict(h5["features"].attrs) == {
            "name": "slide0",
            "encoder": "torchscript",
            "weights_sha256": encoder.weights_hash,
        }
        coords = dict(h5["coords"].attrs)
        software = json.loads(h5.attrs["software"])
    expected = {
        "patch_size": 64,
        "patch_size_level0": 64,
        "level0_magnification": 10,
        "target_magnification": 10,
        "overlap": 0,
        "name": "slide0",
        "mpp": 1.0,
        "patch_um": 64.0,
        "tissue": "segmented",
    }
    assert {key: coords[key] for key in expected} == expected
    assert coords["level0_mpp"] == pytest.approx(1.0)
    assert {"histodistill", "torch", "openslide-python"} <= software.keys()
    assert read_extraction_settings(extracted) == settings


def test_the_projects_own_reader_takes_it_for_a_trident_file(extracted):
    slide = feature_room.inspect(extracted)
    assert (slide.layout, slide.encoder) == ("trident", "torchscript")
    assert (slide.patch_um, slide.patch_px, slide.width) == (64.0, 64, 12)
    assert feature_room.read_patches(slide).shape == (slide.n_patches, 12)


def test_settings_survive_the_way_to_plain_values_and_back(settings):
    assert ExtractionSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings


def test_settings_of_another_version_are_refused(settings):
    recorded = {**settings.to_dict(), "moonlight": 1}
    with pytest.raises(InputError, match=r"cannot be used \(moonlight\)"):
        ExtractionSettings.from_dict(recorded)


def test_the_same_encoder_is_loaded_again_from_what_was_recorded(extracted, weights):
    encoder = read_extraction_settings(extracted).load_encoder(weights, allow_code=True)
    assert (encoder.encoder.input_px, encoder.encoder.mean) == (64, (0.5, 0.5, 0.5))


def test_other_weights_than_the_recorded_are_refused(settings, weights):
    other = settings.model_copy(update={"weights_sha256": "f" * 64})
    with pytest.raises(InputError, match=r"not those that the features were made with"):
        other.load_encoder(weights)


def test_a_foreign_or_damaged_file_is_told(tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as h5:
        h5["features"] = np.zeros((1, 2))
    with pytest.raises(InputError, match=r"foreign.h5 was not written by 'histodistill extract'"):
        read_extraction_settings(tmp_path / "foreign.h5")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF")
    with pytest.raises(InputError, match=r"cut.h5 is damaged .*delete it"):
        read_extraction_settings(tmp_path / "cut.h5")


def test_recommended_patches_are_the_default(encoder):
    assert ExtractionSettings.of(encoder).tiling.patch_px == encoder.encoder.patch_px
    assert ExtractionSettings.of(encoder, TILING).tiling == TILING
