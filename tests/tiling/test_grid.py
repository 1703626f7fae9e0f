"""The patch grid against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import translate

from histodistill.errors import InputError
from histodistill.tiling import PatchGrid, TilingSettings, Tissue, tile

RING = shapely.Polygon(
    shapely.Point(900, 700).buffer(500).exterior, [shapely.Point(950, 650).buffer(180).exterior]
)
SQUARE = shapely.box(1500, 1100, 1700, 1333)
TISSUE = Tissue.of([SQUARE, RING], mpp=0.5)


def brute_force(
    tissue: Tissue, dimensions: tuple[int, int], size: int, stride: int, least: float
) -> list[tuple[int, int, float]]:
    union = shapely.union_all(tissue.polygons)
    patches = []
    for y in range(0, dimensions[1] - size + 1, stride):
        for x in range(0, dimensions[0] - size + 1, stride):
            fraction = union.intersection(shapely.box(x, y, x + size, y + size)).area / size**2
            if fraction > 1e-9 and fraction >= least - 1e-9:
                patches.append((x, y, fraction))
    return patches


def assert_same(grid: PatchGrid, patches: list[tuple[int, int, float]]) -> None:
    assert [tuple(corner) for corner in grid.coords] == [(x, y) for x, y, _ in patches]
    np.testing.assert_allclose(grid.tissue_fraction, [f for *_, f in patches], atol=1e-8)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("least", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("dimensions", [(2000, 1500), (1601, 1207)])
def test_like_brute_force(overlap: float, least: float, dimensions: tuple[int, int]) -> None:
    wanted = TilingSettings(mpp=0.5, patch_px=128, overlap=overlap, min_tissue=least)
    grid = tile(dimensions, 0.5, TISSUE, wanted)
    assert grid.coords.dtype == np.int64
    assert (grid.patch_size_level0, grid.stride_level0) == (128, round(128 * (1 - overlap)))
    assert_same(grid, brute_force(TISSUE, dimensions, 128, grid.stride_level0, least))


corner = st.tuples(st.floats(-50, 450), st.floats(-50, 350))


@settings(max_examples=40, deadline=None)
@given(
    points=st.lists(corner, min_size=3, max_size=12),
    size=st.integers(7, 90),
    overlap=st.sampled_from([0.0, 0.3]),
)
def test_any_tissue_is_measured_exactly(
    points: list[tuple[float, float]], size: int, overlap: float
) -> None:
    """Also where it reaches beyond the slide, or where its corners lie on lines of the grid."""
    parts = shapely.get_parts(shapely.make_valid(shapely.Polygon(points)))
    polygons = [p for p in parts if p.geom_type == "Polygon" and p.area > 1]
    union = shapely.union_all(polygons)
    wanted = TilingSettings(mpp=1.0, patch_px=size, overlap=overlap, min_tissue=0)
    expected = brute_force(
        Tissue.of(polygons, 1.0), (400, 300), size, max(round(size * (1 - overlap)), 1), 0
    )
    if union.is_empty or not expected or min(f for *_, f in expected) < 1e-6:
        return
    assert_same(tile((400, 300), 1.0, Tissue.of(polygons, 1.0), wanted), expected)


def test_direction_of_rings_does_not_matter() -> None:
    turned = Tissue.of([polygon.reverse() for polygon in TISSUE.polygons], 0.5)
    one, other = tile((2000, 1500), 0.5, TISSUE), tile((2000, 1500), 0.5, turned)
    np.testing.assert_array_equal(one.coords, other.coords)
    np.testing.assert_allclose(one.tissue_fraction, other.tissue_fraction)


def test_row_major_order() -> None:
    coords = tile((2000, 1500), 0.5, TISSUE, TilingSettings(patch_px=64)).coords
    rows_first = np.lexsort((coords[:, 0], coords[:, 1]))
    np.testing.assert_array_equal(rows_first, np.arange(len(coords)))


@pytest.mark.parametrize(
    ("mpp", "size"), [(0.25, 512), (0.5, 256), (0.499, 257), (0.2527, 507), (0.52, 246)]
)
def test_patch_size_is_meant_in_microns(mpp: float, size: int) -> None:
    tissue = Tissue.of([shapely.box(0, 0, 3000, 3000)], mpp)
    grid = tile((3000, 3000), mpp, tissue)
    assert grid.patch_size_level0 == size
    assert grid.patch_size_level0 * mpp == pytest.approx(grid.settings.patch_um, rel=0.003)
    assert len(grid) == (3000 // size) ** 2
    assert (grid.tissue_fraction == 1).all()


def test_hundred_thousand_patches() -> None:
    """As many as a large slide has, and an outline of tens of thousands of edges."""
    cells = [
        translate(shapely.Point(0, 0).buffer(900), x, y)
        for x in range(1000, 81_000, 2000)
        for y in range(1000, 81_000, 2000)
    ]
    grid = tile((82_000, 82_000), 0.5, Tissue.of(cells, 0.5), TilingSettings(min_tissue=0.01))
    assert len(grid) > 80_000
    assert grid.tissue_fraction.sum() * 256**2 == pytest.approx(
        sum(cell.area for cell in cells), rel=0.01
    )


def test_coarse_slide_is_refused_unless_allowed() -> None:
    message = r"the slide has 0\.6 µm/px, too coarse for patches at 0\.5 µm/px; choose 0\.6 or more"
    with pytest.raises(InputError, match=message):
        tile((2000, 1500), 0.6, TISSUE)
    allowed = tile((2000, 1500), 0.6, TISSUE, TilingSettings(allow_upsampling=True))
    assert allowed.patch_size_level0 == 213


def test_no_tissue() -> None:
    with pytest.raises(InputError, match="no tissue found; check the outline picture"):
        tile((2000, 1500), 0.5, Tissue.of([], 0.5))


def test_no_patch_with_enough_tissue() -> None:
    thin = Tissue.of([shapely.box(0, 300, 2000, 320)], 0.5)
    with pytest.raises(InputError, match="no patch of 128 µm has at least 25% tissue"):
        tile((2000, 1500), 0.5, thin)
    with pytest.raises(InputError, match="no patch of 128 µm has"):
        tile((200, 150), 0.5, Tissue.of([shapely.box(0, 0, 200, 150)], 0.5))
