"""Outlines and masks that users have, and the outlines written for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

from histodistill.errors import InputError
from histodistill.slides import Slide, open_slide
from histodistill.tiling import (
    TilingSettings,
    Tissue,
    draw_preview,
    read_tissue_geojson,
    read_tissue_mask,
    segment_tissue,
    tile,
    write_preview,
)
from tests.slides.pictures import disc, glass, stain, write_pyramid

RING = shapely.Polygon(
    shapely.Point(300, 200).buffer(150).exterior, [shapely.Point(300, 200).buffer(60).exterior]
)
BLOCK = shapely.box(500, 350, 600, 450)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slide]:
    picture = glass(800, 600)
    stain(picture, disc(picture, 300, 200, 150))
    path = write_pyramid(tmp_path_factory.mktemp("slide") / "a.tif", picture, mpp=2.0)
    with open_slide(path) as opened:
        yield opened


def feature(geometry: shapely.Geometry, **properties: object) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(geometry)),
        "properties": properties,
    }


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def area(tissue: Tissue) -> float:
    return float(shapely.union_all(tissue.polygons).area)


def test_geojson_round_trip(tmp_path: Path, slide: Slide) -> None:
    tissue = Tissue.of([BLOCK, RING], slide.mpp)
    tissue.write_geojson(tmp_path / "a.geojson", slide)
    again = read_tissue_geojson(tmp_path / "a.geojson", slide)
    for one, other in zip(tissue.polygons, again.polygons, strict=True):
        assert one.symmetric_difference(other).area < 10
    assert again.area_um2 == pytest.approx(tissue.area_um2, rel=1e-4)
    assert tissue.polygons == (RING, BLOCK), "ordered from top to bottom"


def test_geojson_is_what_qupath_reads(tmp_path: Path, slide: Slide) -> None:
    Tissue.of([RING], 0.5).write_geojson(tmp_path / "a.geojson", slide)
    content = json.loads((tmp_path / "a.geojson").read_text())
    assert content["type"] == "FeatureCollection"
    (only,) = content["features"]
    assert only["type"] == "Feature"
    assert only["properties"]["objectType"] == "annotation"
    assert only["properties"]["classification"]["name"] == "Tissue"
    rings = only["geometry"]["coordinates"]
    assert len(rings) == 2
    assert all(ring[0] == ring[-1] for ring in rings)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": [feature(RING)]},
        [feature(RING, objectType="annotation")],
        feature(shapely.MultiPolygon([RING])),
        json.loads(shapely.to_geojson(RING)),
        [feature(RING), feature(shapely.Point(1, 1)), feature(BLOCK, objectType="detection")],
        [
            feature(RING, classification={"name": "Tissue"}),
            feature(BLOCK, classification={"name": "Tumor"}),
        ],
        [feature(RING), feature(RING)],
    ],
)
def test_geojson_of_others(tmp_path: Path, slide: Slide, content: object) -> None:
    tissue = read_tissue_geojson(written(tmp_path / "a.geojson", content), slide)
    assert area(tissue) == pytest.approx(RING.area)


def test_unclassified_annotations_all_count_and_are_cut_to_the_slide(
    tmp_path: Path, slide: Slide
) -> None:
    beyond = shapely.box(700, 500, 5000, 5000)
    content = [feature(BLOCK, classification={"name": "Tumor"}), feature(beyond)]
    tissue = read_tissue_geojson(written(tmp_path / "a.geojson", content), slide)
    assert area(tissue) == pytest.approx(BLOCK.area + 100 * 100)


def test_crossed_outline_is_mended(tmp_path: Path, slide: Slide) -> None:
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]]}
    tissue = read_tissue_geojson(written(tmp_path / "a.geojson", bow_tie), slide)
    assert all(polygon.is_valid for polygon in tissue.polygons)
    assert area(tissue) == pytest.approx(5000)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "FeatureCollection", "features": []},
        [feature(shapely.LineString([(0, 0), (9, 9)]))],
        {"features": []},
        "text",
        {"type": "Polygon", "coordinates": [[[0, 0], [1, "b"]]]},
        {"type": "Feature", "geometry": None},
    ],
)
def test_geojson_without_polygons(tmp_path: Path, slide: Slide, content: object) -> None:
    path = written(tmp_path / "a.geojson", content)
    with pytest.raises(InputError, match=r"a\.geojson: not usable as GeoJSON tissue: "):
        read_tissue_geojson(path, slide)


def test_no_json_and_missing(tmp_path: Path, slide: Slide) -> None:
    (tmp_path / "a.geojson").write_text("{")
    for name in ("a.geojson", "b.geojson"):
        with pytest.raises(InputError, match=re.escape(f"{name}: not usable as GeoJSON tissue")):
            read_tissue_geojson(tmp_path / name, slide)


def test_geojson_of_another_slide(tmp_path: Path, slide: Slide) -> None:
    path = written(tmp_path / "a.geojson", feature(shapely.box(5000, 5000, 6000, 6000)))
    message = r"a\.geojson: all of it lies outside a\.tif \(800 x 600 px\); .* level-0 px"
    with pytest.raises(InputError, match=message):
        read_tissue_geojson(path, slide)


@pytest.mark.parametrize("size", [(800, 600), (200, 150), (133, 100)])
@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "I;16"])
def test_mask_of_any_resolution(
    tmp_path: Path, slide: Slide, size: tuple[int, int], mode: str
) -> None:
    rows, columns = np.mgrid[: size[1], : size[0]] + 0.5
    scale = 800 / size[0]
    inside = shapely.contains_xy(RING, columns * scale, rows * scale)
    mask = Image.fromarray(inside.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode != "I;16":
        mask = Image.fromarray(inside).convert(mode)
    mask.save(tmp_path / "mask.png")
    tissue = read_tissue_mask(tmp_path / "mask.png", slide)
    union = shapely.union_all(tissue.polygons)
    assert union.intersection(RING).area / union.union(RING).area > (0.98 if scale < 5 else 0.95)


def test_mask_is_exact_to_the_pixel(tmp_path: Path, slide: Slide) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:20, 30:45] = 1
    mask[40, 50] = 1
    mask[0:5, 0:5] = 1
    mask[2, 2] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    tissue = read_tissue_mask(tmp_path / "mask.png", slide)
    assert [tuple(np.round(p.bounds)) for p in tissue.polygons] == [
        (0, 0, 50, 50),
        (300, 100, 450, 200),
        (500, 400, 510, 410),
    ]
    assert area(tissue) == pytest.approx(mask.sum() * 100, rel=0.01)


def test_mask_that_is_black(tmp_path: Path, slide: Slide) -> None:
    Image.new("L", (80, 60)).save(tmp_path / "mask.png")
    assert read_tissue_mask(tmp_path / "mask.png", slide).polygons == ()


def test_mask_faults(tmp_path: Path, slide: Slide) -> None:
    Image.new("L", (60, 80), 1).save(tmp_path / "turned.png")
    message = r"turned\.png: 60 x 80 px do not have the proportions of a\.tif \(800 x 600 px\)"
    with pytest.raises(InputError, match=message):
        read_tissue_mask(tmp_path / "turned.png", slide)
    (tmp_path / "text.png").write_text("no image")
    for name in ("text.png", "missing.png"):
        with pytest.raises(InputError, match=re.escape(f"{name}: not usable as a tissue mask")):
            read_tissue_mask(tmp_path / name, slide)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_preview(tmp_path: Path, slide: Slide, suffix: str) -> None:
    tissue = segment_tissue(slide)
    grid = tile(slide.dimensions, slide.mpp, tissue, TilingSettings(mpp=2.0, patch_px=40))
    write_preview(tmp_path / f"a.{suffix}", slide, tissue, grid)
    with Image.open(tmp_path / f"a.{suffix}") as picture:
        assert picture.size == (800, 644)


def test_preview_shows_outline_patches_and_scale(slide: Slide) -> None:
    def count(picture: Image.Image, colour: tuple[int, int, int]) -> int:
        return int((np.asarray(picture)[:600] == colour).all(axis=2).sum())

    green, blue, grey = (0, 160, 0), (0, 90, 220), (90, 90, 90)
    ring, nothing = Tissue.of([RING], slide.mpp), Tissue.of([], slide.mpp)
    grid = tile(slide.dimensions, slide.mpp, ring, TilingSettings(mpp=2.0, patch_px=40))
    outlined, gridded, empty = (
        draw_preview(slide, ring),
        draw_preview(slide, ring, grid),
        draw_preview(slide, nothing),
    )
    assert count(outlined, green) > 900
    assert count(outlined, blue) > 300
    assert count(outlined, grey) == 0
    assert count(gridded, grey) > 1000
    assert count(empty, green) == 0
    # A fifth of 1600 µm holds a bar of 200 µm: 100 px from the left margin.
    bar = np.asarray(outlined)[622, :140].sum(axis=1) == 0
    assert np.flatnonzero(bar[:115])[[0, -1]].tolist() == [12, 112]


def test_large_slides_have_small_previews(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", glass(4500, 600), downsamples=(1,))
    with open_slide(path) as slide:
        assert draw_preview(slide, Tissue.of([], slide.mpp)).size[0] == 2000


def test_a_preview_is_of_a_level_that_is_nearly_as_small(tmp_path: Path) -> None:
    """Reading level 0 for it took as long as encoding a tenth of such a slide's patches."""
    path = write_pyramid(tmp_path / "a.tif", glass(4500, 600), downsamples=(1, 3, 9))
    with open_slide(path) as slide:
        assert draw_preview(slide, Tissue.of([], slide.mpp)).size[0] == 1500
