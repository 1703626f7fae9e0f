"""Maps as pictures and files: places, colours, coordinates."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histodistill.explanation.geojson import write_geojson
from histodistill.explanation.ome_tiff import write_ome_tiff
from histodistill.explanation.overlay import Legend, draw_overlay
from histodistill.explanation.palette import LIMIT, colours, density
from histodistill.explanation.raster import PatchPlaces, rasterise

LEGEND = Legend("slide", ["faithful"], "negative", "positive")


def grid(across: int, down: int, side: float, step: float | None = None) -> PatchPlaces:
    xs, ys = np.meshgrid(np.arange(across), np.arange(down))
    places = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float64)
    return PatchPlaces(places * (step or side), side)


def test_patches_fill_their_place_and_nothing_else() -> None:
    places = PatchPlaces(np.array([[0.0, 0.0], [512.0, 256.0]]), 256.0)
    picture = rasterise(places, np.array([1.0, 2.0]), (12, 8), 64.0)
    assert (picture[:4, :4] == 1).all()
    assert (picture[4:8, 8:12] == 2).all()
    assert np.isnan(picture).sum() == 12 * 8 - 32


def test_overlapping_patches_are_averaged() -> None:
    places = grid(2, 1, side=256, step=128)
    picture = rasterise(places, np.array([0.0, 4.0]), (6, 4), 64.0)
    assert picture[0].tolist() == [0, 0, 2, 2, 4, 4]


@pytest.mark.parametrize("downsample", [1.0, 3.7, 64.0, 1000.0])
def test_neighbours_leave_no_seam_at_any_resolution(downsample: float) -> None:
    places = grid(8, 5, side=224.0)
    width, height = (max(int(e / downsample), 1) for e in places.extent())
    picture = rasterise(places, np.ones(40), (width, height), downsample)
    assert not np.isnan(picture).any()


def test_a_part_of_the_slide_shows_the_patches_that_reach_into_it() -> None:
    places = grid(4, 3, side=100.0)
    values = np.arange(12, dtype=np.float64)
    whole = rasterise(places, values, (40, 30), 10.0)
    part = PatchPlaces(places.coords - (150, 120), places.side)
    assert (rasterise(part, values, (25, 18), 10.0) == whole[12:, 15:]).all()


def test_one_scale_for_all_slides() -> None:
    strong, weak = colours(np.array([LIMIT, 10 * LIMIT])), colours(np.array([LIMIT / 10]))
    assert (strong[0] == strong[1]).all()
    assert weak[0, 3] < strong[0, 3] / 3
    assert colours(np.array([np.nan]))[0, 3] == 0
    red, blue = colours(np.array([LIMIT, -LIMIT]))
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_density_averages_to_the_log_odds() -> None:
    support = np.random.default_rng(0).normal(size=50)
    assert density(support).mean() == pytest.approx(support.sum())


def test_the_overlay_colours_the_patch_where_it_lies() -> None:
    places = grid(10, 10, side=100)
    values = np.zeros(100)
    values[37] = LIMIT  # column 7, row 3
    tissue = Image.new("RGB", (1000, 1000), (200, 140, 180))
    picture = draw_overlay(
        tissue, places, values, LEGEND, size=(1000, 1000), downsample=1.0, mpp=0.5
    )
    pixels = np.asarray(picture)
    inside, outside = pixels[350, 750].astype(int), pixels[350, 650]
    assert inside[0] > inside[2] + 40
    assert outside[0] == outside[1] == outside[2]  # grey
    assert picture.height > 1000


def test_a_map_without_evidence_is_not_painted() -> None:
    places = grid(4, 4, side=100)
    picture = draw_overlay(None, places, None, LEGEND, size=(400, 400), downsample=1.0, mpp=None)
    pixels = np.asarray(picture)[:400, 120:520].astype(int)
    assert (np.ptp(pixels, axis=2) == 0).all()


@pytest.mark.parametrize("wider", [2, 3])
def test_a_wide_picture_has_a_legend_as_large_for_whoever_sees_it_whole(wider: int) -> None:
    legend = Legend("slide", ["Faithful."], "negative", "positive", marks=[0])
    places = PatchPlaces(np.array([[0.0, 0.0]]), 100.0)

    def drawn(width: int) -> int:
        size, scale = (width, width // 2), 1200 / width
        picture = draw_overlay(
            None, places, np.ones(1), legend, size=size, downsample=scale, mpp=scale
        )
        return picture.height - size[1]

    assert drawn(wider * 1200) == pytest.approx(wider * drawn(1200), rel=0.02)


def test_geojson_has_the_coordinates_that_qupath_counts(tmp_path: Path) -> None:
    places = PatchPlaces(np.array([[1000.0, 2000.0], [1224.5, 2000.0]]), 224.5)
    write_geojson(tmp_path / "a.geojson", places, {"ER": np.array([0.5, -1.0])}, (900, 1900))
    read = json.loads((tmp_path / "a.geojson").read_text())
    first, second = read["features"]
    assert first["geometry"]["coordinates"][0][0] == [100, 100]
    assert first["geometry"]["coordinates"][0][2] == [324.5, 324.5]
    assert second["properties"]["measurements"] == {"ER": -1.0}


def test_ome_tiff_has_layers_and_micrometres(tmp_path: Path) -> None:
    layer = np.full((300, 500), np.nan)
    layer[10, 20] = 1.5
    write_ome_tiff(tmp_path / "a.ome.tiff", {"ER": layer, "other": layer * 2}, 8.0)
    with tifffile.TiffFile(tmp_path / "a.ome.tiff") as file:
        assert file.ome_metadata is not None
        (page, *_) = file.pages
        assert isinstance(page, tifffile.TiffPage)
        values = file.asarray()
        assert values.shape == (2, 300, 500)
        assert values[1, 10, 20] == 3
        assert 'PhysicalSizeX="8.0"' in file.ome_metadata
        assert page.is_tiled


def test_the_same_map_is_the_same_ome_tiff(tmp_path: Path) -> None:
    written: list[bytes] = []
    for value in (1.0, 1.0, 2.0):
        path = tmp_path / f"{len(written)}.ome.tiff"
        write_ome_tiff(path, {"ER": np.full((30, 50), value)}, 8.0)
        written.append(path.read_bytes())
    assert written[0] == written[1] != written[2]


def test_the_colour_bar_stands_below_the_scale_bar_where_it_has_no_room_beside_it() -> None:
    def height(ends: tuple[str, str], width: int) -> int:
        places = PatchPlaces(np.array([[0, 0]]), width)
        legend = Legend("", (), *ends)
        size = (width, 10)
        values = np.zeros(1)
        drawn = draw_overlay(None, places, values, legend, size=size, downsample=1.0, mpp=10.0)
        return drawn.height

    short, long = ("no", "yes"), ("the teacher sees more", "the student sees more")
    assert height(long, 640) > height(short, 640)
    assert height(long, 1200) == height(short, 1200)
