"""Places on slides: scanned bounds, coordinates in micrometres, and slides that are not theirs."""

from pathlib import Path
from typing import cast

import h5py
import numpy as np
import pytest
import shapely
from PIL import Image

from histodistill.errors import InputError
from histodistill.explanation.frame import frame_of
from histodistill.explanation.geojson import write_geojson
from histodistill.explanation.raster import PatchPlaces, places_of, places_on
from histodistill.features import open_bags
from histodistill.features.slide import SlideFeatures
from histodistill.slides import Slide, open_slide


def stamp(path: Path, um: float, places: np.ndarray) -> SlideFeatures:
    """Features as STAMP writes them: coordinates in micrometres."""
    with h5py.File(path, "w") as file:
        file["feats"] = np.random.default_rng(0).normal(size=(len(places), 6)).astype(np.float32)
        file["coords"] = places * um
        file.attrs.update(
            extractor="test", unit="um", tile_size=um, tile_size_um=um, stamp_version="2.3.0"
        )
    (slide,) = open_bags({"A": [path]}).slides("A")
    return slide


def slide_of(folder: Path, size: tuple[int, int], mpp: float) -> Slide:
    Image.new("RGB", size, (200, 140, 180)).save(folder / "A.png")
    return open_slide(folder / "A.png", mpp=mpp)


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_micrometres_lie_where_the_slide_has_them(tmp_path: Path, mpp: float) -> None:
    grid = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    features = stamp(tmp_path / "A.h5", 128.0, grid)
    with slide_of(tmp_path, (round(512 / mpp), round(384 / mpp)), mpp) as slide:
        places = places_on(slide, features)
    assert places is not None
    assert places.side == 128 / mpp
    np.testing.assert_allclose(places.coords, grid * 128 / mpp)
    write_geojson(tmp_path / "a.geojson", places, {"ER": np.zeros(3)})
    read = shapely.from_geojson((tmp_path / "a.geojson").read_text())
    edge = 128 / mpp
    boxes = [shapely.box(*(p * edge), *((p + 1) * edge)) for p in grid]
    found = cast("shapely.GeometryCollection", read).geoms
    assert all(one.equals(other) for one, other in zip(found, boxes, strict=True))


def test_qupath_counts_from_the_scanned_bounds(tmp_path: Path) -> None:
    places = PatchPlaces(np.array([[1000.0, 2000.0]]), 256.0)
    features = stamp(tmp_path / "A.h5", 128.0, np.zeros((1, 2)))
    with slide_of(tmp_path, (4000, 3000), 0.5) as slide:
        slide.bounds = (900, 1900, 2000, 1000)  # as MRXS and SCN record them
        frame = frame_of(places, slide, features, 8.0)
    assert list(frame.origin) == [900, 1900]
    write_geojson(tmp_path / "a.geojson", places, {}, frame.origin)
    read = shapely.from_geojson((tmp_path / "a.geojson").read_text())
    assert read.bounds == (100, 100, 356, 356)


def test_a_slide_that_the_patches_do_not_fit_on_is_refused(tmp_path: Path) -> None:
    features = stamp(tmp_path / "A.h5", 128.0, np.array([[0.0, 0.0], [9.0, 2.0]]))
    assert places_of(features, 0.5) is not None
    with (
        slide_of(tmp_path, (640, 640), 0.5) as slide,
        pytest.raises(InputError, match=r"A\.h5: its patches reach to 2560 x 768 px, .* 640 x 640"),
    ):
        places_on(slide, features)
    # Patches at the edge may hang over it.
    with slide_of(tmp_path, (2310, 640), 0.5) as slide:
        assert places_on(slide, features) is not None


@pytest.mark.parametrize(("patches", "longest"), [(1, 1000), (7, 1000), (300, 2400), (900, 4000)])
def test_without_a_slide_a_small_grid_is_drawn_as_large_as_a_small_slide(
    tmp_path: Path, patches: int, longest: int
) -> None:
    grid = np.stack([np.arange(patches), np.zeros(patches)], axis=1)
    features = stamp(tmp_path / "A.h5", 128.0, grid)
    places = places_of(features, None)
    assert places is not None
    frame = frame_of(places, None, features, 8.0)
    assert max(frame.size) == pytest.approx(longest, abs=2)
    assert frame.mpp == pytest.approx(128.0 * patches / longest, rel=0.01)
