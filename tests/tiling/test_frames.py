"""Outlines and masks on slides whose scanned area is a part of the slide."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from histodistill.errors import InputError
from histodistill.slides import Resolution, Slide
from histodistill.tiling import Tissue, read_tissue_geojson, read_tissue_mask

BOUNDS = (1000, 500, 400, 200)


class Scanned(Slide):
    """A slide of 2000 x 1600 px of which a part was scanned."""

    def close(self) -> None:
        pass

    def read_level(self, level: int, x: int, y: int, size: tuple[int, int]) -> Image.Image:
        return Image.new("RGB", size, "white")


@pytest.fixture
def slide() -> Slide:
    return Scanned(Path("a.mrxs"), (2000, 1600), (1.0,), Resolution(0.5, "test"), BOUNDS)


def outlined(path: Path, shape: shapely.Geometry) -> Path:
    path.write_text(shapely.to_geojson(shape))
    return path


def test_outlines_count_from_the_corner_of_the_scanned_area(tmp_path: Path, slide: Slide) -> None:
    path = outlined(tmp_path / "a.geojson", shapely.box(10, 20, 110, 120))
    (polygon,) = read_tissue_geojson(path, slide).polygons
    assert polygon.bounds == (1010, 520, 1110, 620)


def test_what_is_written_counts_from_there_too(tmp_path: Path, slide: Slide) -> None:
    tissue = Tissue.of([shapely.box(1010, 520, 1110, 620)], slide.mpp)
    tissue.write_geojson(tmp_path / "a.geojson", slide)
    (only,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert shapely.from_geojson(json.dumps(only["geometry"])).bounds == (10, 20, 110, 120)
    (again,) = read_tissue_geojson(tmp_path / "a.geojson", slide).polygons
    assert again.bounds == (1010, 520, 1110, 620)


def test_the_frame_is_told(tmp_path: Path, slide: Slide) -> None:
    path = outlined(tmp_path / "a.geojson", shapely.box(10, 20, 110, 120))
    (note,) = read_tissue_geojson(path, slide).notes
    assert "counts from the corner of the scanned area (1000, 500)" in note


def test_an_outline_that_counts_from_the_slides_corner_is_refused(
    tmp_path: Path, slide: Slide
) -> None:
    path = outlined(tmp_path / "a.geojson", shapely.box(1010, 520, 1110, 620))
    with pytest.raises(InputError, match=r"seems to count from the corner of a\.mrxs.*1000, 500"):
        read_tissue_geojson(path, slide)


def test_an_outline_beyond_both_is_refused(tmp_path: Path, slide: Slide) -> None:
    path = outlined(tmp_path / "a.geojson", shapely.box(9000, 9000, 9100, 9100))
    with pytest.raises(InputError, match=r"outside a\.mrxs \(400 x 200 px\)"):
        read_tissue_geojson(path, slide)


@pytest.mark.parametrize(
    ("size", "inside", "bounds"),
    [
        # Proportions of the scanned area, and of the slide.
        ((40, 20), np.s_[2:4, 10:20], (1100, 520, 1200, 540)),
        ((200, 160), np.s_[52:54, 110:120], (1100, 520, 1200, 540)),
    ],
)
def test_masks_of_the_slide_and_of_the_scanned_area(
    tmp_path: Path,
    slide: Slide,
    size: tuple[int, int],
    inside: tuple[slice, slice],
    bounds: tuple[float, ...],
) -> None:
    mask = np.zeros(size[::-1], np.uint8)
    mask[inside] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    (polygon,) = read_tissue_mask(tmp_path / "a.png", slide).polygons
    assert polygon.bounds == pytest.approx(bounds, abs=0.1)


def test_a_mask_of_either_frame_is_where_something_was_scanned(tmp_path: Path) -> None:
    slide = Scanned(Path("a"), (2000, 1000), (1.0,), Resolution(0.5, "test"), BOUNDS)
    mask = np.zeros((100, 200), np.uint8)
    mask[50:60, 100:120] = 1
    Image.fromarray(mask).save(tmp_path / "whole.png")
    (polygon,) = read_tissue_mask(tmp_path / "whole.png", slide).polygons
    assert polygon.bounds == pytest.approx((1000, 500, 1200, 600), abs=0.1)
    mask[:20, :20] = 1
    Image.fromarray(mask).save(tmp_path / "scanned.png")
    first, _ = read_tissue_mask(tmp_path / "scanned.png", slide).polygons
    assert first.bounds == pytest.approx((1000, 500, 1040, 540), abs=0.1)


def test_outlines_left_of_or_above_the_slide_are_refused(tmp_path: Path) -> None:
    slide = Scanned(Path("a.svs"), (2000, 1600), (1.0,), Resolution(0.5, "test"))
    path = outlined(tmp_path / "a.geojson", shapely.box(-3, 20, 1100, 1200))
    with pytest.raises(InputError, match=r"a\.geojson: its coordinates begin at \(-3, 20\)"):
        read_tissue_geojson(path, slide)
    outlined(path, shapely.box(-0.5, 0, 1100, 1200))
    assert read_tissue_geojson(path, slide).notes == ()


def test_outlines_may_reach_beyond_the_scanned_area(tmp_path: Path, slide: Slide) -> None:
    path = outlined(tmp_path / "a.geojson", shapely.box(-30, -20, 110, 120))
    (polygon,) = read_tissue_geojson(path, slide).polygons
    assert polygon.bounds == (970, 480, 1110, 620)
