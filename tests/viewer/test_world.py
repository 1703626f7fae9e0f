"""Where a slide lies on the map of the browser."""

import math

import pytest

from histodistill.viewer.world import TILE, World


@pytest.mark.parametrize("size", [(100_000, 80_000), (300, 900), (TILE, TILE), (1, 1)])
def test_places_come_back(size: tuple[int, int]) -> None:
    world = World(*size)
    for x, y in ((0, 0), (size[0], size[1]), (size[0] / 3, size[1] / 7)):
        assert world.pixel(*world.latlng(x, y)) == pytest.approx((x, y), abs=1e-6 * max(size))


def test_the_map_of_mercator_has_the_slide_pixel_by_pixel() -> None:
    world = World(5000, 3000)
    lat, lng = world.latlng(1234, 567)
    # As Leaflet projects: EPSG:3857, whose world has 256 px at zoom 0.
    edge = 256 * 2**world.max_zoom
    sine = math.sin(math.radians(lat))
    y = (0.5 - math.log((1 + sine) / (1 - sine)) / (4 * math.pi)) * edge
    assert ((lng + 180) / 360 * edge, y) == pytest.approx((1234, 567))


def test_tiles_cover_the_slide_and_nothing_else() -> None:
    world = World(1000, 600)
    assert world.max_zoom == 2
    assert world.box(0, 0, 0) == (0, 0, 1024, 1024)
    assert world.box(2, 3, 2) == (768, 512, 1024, 768)
    outside = [(3, 0, 0), (-1, 0, 0), (2, 4, 0), (2, 0, 3), (2, -1, 0), (1, 0, 2)]
    assert [world.box(*tile) for tile in outside] == [None] * len(outside)
