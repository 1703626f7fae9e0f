"""Tissue of known shape is found, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import shapely
from PIL import Image, ImageDraw

from histodistill.slides import open_slide
from histodistill.tiling import Tissue, TissueSettings, segment_tissue
from tests.slides.pictures import RGB, disc, glass, stain, write_pyramid

Shape = npt.NDArray[np.bool_]

# Pictures are drawn at 4 µm/px: 512 px are 2 mm.
MPP = 4.0
SIDE = 512


def segment(path: Path, picture: RGB, **settings: float | bool) -> Tissue:
    write_pyramid(path, picture, mpp=MPP)
    with open_slide(path) as slide:
        return segment_tissue(slide, TissueSettings.model_validate(settings))


def drawn(tissue: Tissue, side: int = SIDE) -> Shape:
    """Which pixels of level 0 lie in the tissue."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    union = shapely.union_all(tissue.polygons)
    shapely.prepare(union)
    return np.asarray(shapely.contains_xy(union, columns, rows))


def iou(found: Shape, expected: Shape) -> float:
    return float((found & expected).sum() / (found | expected).sum())


@pytest.fixture
def picture() -> RGB:
    return glass(SIDE, SIDE)


def test_disc_and_its_area(tmp_path: Path, picture: RGB) -> None:
    expected = disc(picture, 200, 260, 140)
    stain(picture, expected)
    tissue = segment(tmp_path / "a.tif", picture)
    assert len(tissue.polygons) == 1
    assert iou(drawn(tissue), expected) > 0.97
    assert tissue.area_um2 == pytest.approx(np.pi * 140**2 * MPP**2, rel=0.03)


@pytest.mark.parametrize("strength", [0.3, 0.5, 1.0, 3.0])
def test_pale_and_dark_tissue(tmp_path: Path, picture: RGB, strength: float) -> None:
    expected = disc(picture, 260, 260, 160)
    stain(picture, expected, strength)
    assert iou(drawn(segment(tmp_path / "a.tif", picture)), expected) > 0.97


@pytest.mark.parametrize("colour", [(255, 255, 255), (241, 233, 238), (222, 224, 228)])
def test_any_colour_of_glass(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    """Under a lamp that is pink or weak, with white where nothing was scanned."""
    picture = glass(SIDE, SIDE, colour)
    picture[:, :80] = 255
    expected = disc(picture, 260, 260, 130)
    stain(picture, expected, 0.4)
    assert iou(drawn(segment(tmp_path / "a.tif", picture)), expected) > 0.96


@pytest.mark.parametrize("colour", [(255, 255, 255), (243, 242, 244), (241, 233, 238)])
def test_empty_slide(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    tissue = segment(tmp_path / "a.tif", glass(SIDE, SIDE, colour))
    assert tissue.polygons == ()
    assert tissue.area_um2 == 0


def test_grey_dirt_is_no_tissue(tmp_path: Path, picture: RGB) -> None:
    """Dust, a hair, a smear and the shadow of the slide's edge."""
    for x, radius, shade in [(100, 30, 0.9), (250, 12, 0.6), (380, 60, 0.96)]:
        where = disc(picture, x, 150, radius)
        picture[where] = picture[where] * shade
    picture[300:306, 50:400] = picture[300:306, 50:400] * 0.5
    picture[:20] = picture[:20] * 0.4
    assert segment(tmp_path / "a.tif", picture).polygons == ()


def test_specks_are_dropped(tmp_path: Path, picture: RGB) -> None:
    expected = disc(picture, 150, 150, 90)
    specks = disc(picture, 400, 100, 12) | disc(picture, 400, 300, 5) | disc(picture, 100, 420, 9)
    stain(picture, expected | specks)
    assert iou(drawn(segment(tmp_path / "a.tif", picture)), expected) > 0.96
    kept = segment(tmp_path / "b.tif", picture, min_area_um2=np.pi * 10**2 * MPP**2)
    assert len(kept.polygons) == 2


def test_holes_by_size_and_by_parameter(tmp_path: Path, picture: RGB) -> None:
    ring = disc(picture, 256, 256, 200)
    large, small = disc(picture, 200, 256, 60), disc(picture, 360, 256, 12)
    stain(picture, ring & ~large & ~small)
    kept = segment(tmp_path / "a.tif", picture)
    assert [len(polygon.interiors) for polygon in kept.polygons] == [1]
    assert iou(drawn(kept), ring & ~large) > 0.97
    filled = segment(tmp_path / "b.tif", picture, fill_holes=True)
    assert [len(polygon.interiors) for polygon in filled.polygons] == [0]
    assert iou(drawn(filled), ring) > 0.97


INKS = {
    "blue": (40, 60, 170),
    "navy": (20, 25, 90),
    "green": (30, 140, 90),
    "turquoise": (120, 205, 195),
    "black": (25, 25, 28),
    "red": (225, 30, 45),
}


def pen_line(points: list[tuple[int, int]], width: int) -> Shape:
    stroke = Image.new("1", (SIDE, SIDE))
    ImageDraw.Draw(stroke).line(points, fill=1, width=width, joint="curve")
    return np.asarray(stroke)


@pytest.mark.parametrize("ink", INKS)
def test_pen_on_glass(tmp_path: Path, picture: RGB, ink: str) -> None:
    expected = disc(picture, 330, 330, 120)
    stain(picture, expected)
    picture[pen_line([(60, 400), (80, 80), (420, 70)], 26)] = INKS[ink]
    assert iou(drawn(segment(tmp_path / "a.tif", picture)), expected) > 0.96


@pytest.mark.parametrize("ink", ["blue", "navy", "green", "black"])
def test_pen_across_tissue_is_cut_out(tmp_path: Path, picture: RGB, ink: str) -> None:
    tissue = disc(picture, 256, 256, 180)
    stain(picture, tissue)
    pen = pen_line([(20, 200), (490, 300)], 30)
    # Ink lies over the tissue and lets little of it through.
    picture[pen] = picture[pen] / 243 * INKS[ink]
    found = drawn(segment(tmp_path / "a.tif", picture))
    assert iou(found, tissue & ~pen) > 0.93
    assert (found & pen).sum() < 0.05 * (tissue & pen).sum()


def test_pen_can_be_kept(tmp_path: Path, picture: RGB) -> None:
    pen = pen_line([(60, 60), (400, 60)], 26)
    picture[pen] = INKS["blue"]
    assert segment(tmp_path / "a.tif", picture).polygons == ()
    assert iou(drawn(segment(tmp_path / "b.tif", picture, drop_pen=False)), pen) > 0.8


def test_blood_and_haematoxylin_are_no_pen(tmp_path: Path, picture: RGB) -> None:
    """Red cells, and tissue stained by haematoxylin alone."""
    red, blue = disc(picture, 130, 250, 100), disc(picture, 380, 250, 100)
    rng = np.random.default_rng(3)
    for where, colour in [(red, (190, 60, 75)), (blue, (147, 156, 175))]:
        picture[where] = np.clip(rng.normal(colour, 8, (where.sum(), 3)), 0, 255)
    assert iou(drawn(segment(tmp_path / "a.tif", picture)), red | blue) > 0.96


def test_tissue_at_the_edge_reaches_it(tmp_path: Path, picture: RGB) -> None:
    expected = disc(picture, 0, 256, 150)
    stain(picture, expected)
    tissue = segment(tmp_path / "a.tif", picture)
    assert iou(drawn(tissue), expected) > 0.97
    left, _, right, bottom = tissue.polygons[0].bounds
    assert 0 <= left < 0.1
    assert right <= SIDE
    assert bottom <= SIDE


def test_same_outline_whatever_the_levels(tmp_path: Path) -> None:
    """It is looked for at a fixed µm/px, not at whatever level is nearest."""
    picture = glass(1024, 1024)
    stain(picture, disc(picture, 500, 500, 350))
    outlines = []
    for index, downsamples in enumerate([(1,), (1, 2), (1, 4, 16)]):
        path = write_pyramid(tmp_path / f"{index}.tif", picture, mpp=2.0, downsamples=downsamples)
        with open_slide(path) as slide:
            outlines.append(shapely.union_all(segment_tissue(slide).polygons))
    truth = shapely.Point(500, 500).buffer(350, quad_segs=64)
    for outline in outlines:
        assert outline.intersection(truth).area / outline.union(truth).area > 0.97
        assert outline.symmetric_difference(outlines[0]).area < 0.01 * truth.area


def test_deterministic_and_valid(tmp_path: Path, picture: RGB) -> None:
    """Ragged tissue, whose outline touches itself, gives valid polygons that do not overlap."""
    stain(
        picture,
        np.random.default_rng(5).random((SIDE // 16, SIDE // 16)).repeat(16, 0).repeat(16, 1) < 0.5,
    )
    first = segment(tmp_path / "a.tif", picture, close_um=0, min_area_um2=0, min_hole_um2=0)
    again = segment(tmp_path / "a.tif", picture, close_um=0, min_area_um2=0, min_hole_um2=0)
    assert first.to_geojson() == again.to_geojson()
    assert len(first.polygons) > 3
    assert all(polygon.is_valid for polygon in first.polygons)
    union = shapely.union_all(first.polygons)
    assert union.area == pytest.approx(sum(polygon.area for polygon in first.polygons))


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "mpp", "mm2"),
    [
        ("cmu-1-small-region.svs", None, (0.58, 0.70)),
        ("kidney-48-5.tif", 5.0, (0.09, 0.12)),
        ("tcga-cr-7395-01a-01-ts1.svs", 0.5, (2.3, 2.7)),
    ],
)
def test_real_slides(
    shared_data: Path, name: str, mpp: float | None, mm2: tuple[float, float]
) -> None:
    """One piece each, as checked by eye; hair, dust and smears beside the kidney are left out."""
    with open_slide(shared_data / "slides" / name, mpp=mpp) as slide:
        tissue = segment_tissue(slide)
    assert len(tissue.polygons) == 1
    assert mm2[0] < tissue.area_um2 / 1e6 < mm2[1]


@pytest.mark.shared
def test_real_breast_cancer_with_pen_marks(shared_data: Path) -> None:
    """A green ring and a blue mark were drawn on it by hand."""
    (path,) = (shared_data / "slides").glob("TCGA-A1-A0SB*.jpg")
    with open_slide(path, mpp=4.0) as slide:
        tissue = segment_tissue(slide)
    assert 85 < tissue.area_um2 / 1e6 < 105
    union = shapely.union_all(tissue.polygons)
    ring = [(5370, 770), (6772, 2240), (3580, 2350), (5400, 4085)]
    mark = [(4420, 3045), (4430, 3290), (4600, 2950), (4660, 3160)]
    glass_and_dust = [(3150, 4200), (4746, 1470), (3700, 4620), (130, 130)]
    for x, y in [*ring, *mark, *glass_and_dust]:
        assert not union.covers(shapely.Point(x, y)), (x, y)
    for x, y in [(5600, 2940), (5820, 1820), (4280, 2240), (1360, 3220)]:
        assert union.covers(shapely.Point(x, y)), (x, y)


@pytest.mark.parametrize(
    "colour",
    [
        (240, 235, 230),
        (238, 230, 218),
        (238, 225, 206),
        (225, 235, 225),
        (240, 228, 214),
        (205, 200, 188),
        # Tints that pale stain may have too, and scanners with weak lamps.
        (240, 222, 230),
        (225, 232, 245),
        (200, 185, 192),
        (160, 175, 160),
        (150, 164, 178),
        (120, 125, 142),
    ],
)
def test_glass_of_any_tint_is_no_tissue(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    picture = glass(1200, 900, colour)
    empty = write_pyramid(tmp_path / "empty.tif", picture, mpp=4.0)
    inside = disc(picture, 600, 450, 200)
    stain(picture, inside)
    with open_slide(empty) as slide:
        assert segment_tissue(slide).polygons == ()
    with open_slide(write_pyramid(tmp_path / "a.tif", picture, mpp=4.0)) as slide:
        found = segment_tissue(slide).area_um2 / 16
    assert found == pytest.approx(inside.sum(), rel=0.05)


def test_a_slide_without_any_glass_is_all_tissue(tmp_path: Path) -> None:
    picture = glass(1200, 900)
    stain(picture, np.ones(picture.shape[:2], bool))
    with open_slide(write_pyramid(tmp_path / "a.tif", picture, mpp=4.0)) as slide:
        tissue = segment_tissue(slide)
    assert tissue.area_um2 / 16 == pytest.approx(1200 * 900, rel=0.01)
    assert tissue.notes == ()


def test_pale_flat_tissue_beside_glass_is_no_glass(tmp_path: Path) -> None:
    picture = glass(1200, 900)
    inside = disc(picture, 600, 450, 540)
    picture[inside] = (232, 212, 226)
    with open_slide(write_pyramid(tmp_path / "a.tif", picture, mpp=4.0)) as slide:
        assert segment_tissue(slide).area_um2 / 16 == pytest.approx(inside.sum(), rel=0.05)


def test_a_whole_slide_that_is_all_tissue_is_doubted(tmp_path: Path) -> None:
    picture = glass(1200, 900)
    stain(picture, np.ones(picture.shape[:2], bool))
    with open_slide(write_pyramid(tmp_path / "a.tif", picture, mpp=10.0)) as slide:
        assert segment_tissue(slide).notes == (
            "100% of the slide was taken for tissue; check the outline picture",
        )


def test_a_grey_slide_is_told_for_what_it_is(tmp_path: Path) -> None:
    picture = glass(1200, 900)
    stain(picture, disc(picture, 600, 450, 200))
    picture[:] = picture.mean(axis=2, keepdims=True).astype(np.uint8)
    with open_slide(write_pyramid(tmp_path / "a.tif", picture, mpp=4.0)) as slide:
        tissue = segment_tissue(slide)
    assert tissue.polygons == ()
    assert "the slide is grey" in tissue.notes[0]
