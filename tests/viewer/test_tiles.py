"""Tiles of slides and of layers show what lies there."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from histodistill.errors import InputError
from histodistill.explanation.raster import PatchPlaces, rasterise
from histodistill.slides import Slide, SlideImage
from histodistill.slides.slide import RGB
from histodistill.viewer.heat_tiles import heat_tile, patch_tile
from histodistill.viewer.layers import Layer
from histodistill.viewer.palettes import DIVERGING, SEQUENTIAL, Look, colours, gradient
from histodistill.viewer.slide_tiles import SlideTiles
from histodistill.viewer.tile_cache import TileCache
from histodistill.viewer.world import TILE, World
from tests.viewer.small import SIDE, SIZE, picture

WORLD = World(*SIZE)
_xs, _ys = np.meshgrid(np.arange(8), np.arange(6))
PLACES = PatchPlaces(np.stack([_xs.ravel(), _ys.ravel()], axis=1) * np.float64(SIDE), float(SIDE))
VALUES = np.linspace(-3, 3, 48)
LAYER = Layer("evidence", VALUES, "RdBu_r", (-3.0, 3.0), "log odds")


def pixels(tile: bytes | None) -> np.ndarray:
    assert tile is not None
    with Image.open(io.BytesIO(tile)) as opened:
        return np.asarray(opened)


@pytest.fixture
def tiles(tmp_path: Path) -> SlideTiles:
    Image.fromarray(picture()).save(tmp_path / "A-1.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    return SlideTiles({n: SlideImage(tmp_path / f"{n}.png", mpp=0.5) for n in ("A-1", "broken")})


def test_a_tile_is_its_part_of_the_slide(tiles: SlideTiles) -> None:
    world, mpp = tiles.world("A-1")
    assert (world, mpp) == (WORLD, 0.5)
    tile = pixels(tiles.tile("A-1", world.max_zoom, 1, 1)).astype(int)
    shown = picture()[TILE:, TILE : 2 * TILE].astype(int)
    assert np.abs(tile[: len(shown)] - shown).mean() < 2  # JPEG
    assert (tile[len(shown) + 8 :] > 250).all()  # beyond the edge
    whole = pixels(tiles.tile("A-1", 0, 0, 0)).astype(int)
    small = Image.fromarray(picture()).resize((256, 192), Image.Resampling.BOX)
    assert np.abs(whole[:192] - np.asarray(small).astype(int)).mean() < 3


def test_far_zooms_of_a_single_level_come_from_an_overview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histodistill.viewer.slide_tiles._OVERVIEW_PX", 1024)
    wide = np.kron(picture()[:100, :512], np.ones((16, 16, 1), np.uint8))  # 8192 x 1600
    Image.fromarray(wide).save(tmp_path / "wide.png")
    tiles = SlideTiles({"wide": SlideImage(tmp_path / "wide.png", mpp=0.5)})
    tile = pixels(tiles.tile("wide", 0, 0, 0)).astype(int)
    small = Image.fromarray(wide).resize((256, 50), Image.Resampling.BOX)
    assert np.abs(tile[:50] - np.asarray(small).astype(int)).mean() < 3


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlideImage:
    """A slide of one level that counts as a large one, with a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("histodistill.viewer.slide_tiles._OVERVIEW_PX", 1024)
    monkeypatch.setattr("histodistill.viewer.slide_tiles._LARGE_PX", 10**6)
    monkeypatch.setattr("histodistill.slides.slide.LARGEST_READ", 512)
    wide = np.kron(picture()[:100, :512], np.ones((16, 16, 1), np.uint8))  # 8192 x 1600
    Image.fromarray(wide).save(tmp_path / "wide.png")
    return SlideImage(tmp_path / "wide.png", mpp=0.5)


def test_a_large_slide_of_a_single_level_is_read_once_and_kept(
    tmp_path: Path, large: SlideImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles, shares = SlideTiles({"wide": large}), []
    assert tiles.waits("wide")
    thumbnail = Slide.thumbnail

    def watched(slide: Slide, mpp: float, told: Callable[[float], None]) -> RGB:
        def tell(share: float) -> None:
            told(share)
            shares.append(tiles.share_read("wide"))
            assert tiles.tile("wide", WORLD.max_zoom + 4, len(shares) % 32, 0)  # nobody waits

        return thumbnail(slide, mpp, tell)

    monkeypatch.setattr(Slide, "thumbnail", watched)
    tile = pixels(tiles.tile("wide", 0, 0, 0)).astype(int)
    assert shares == sorted(shares)
    assert len(shares) > 4
    assert 0.5 < shares[-1] < 1 == tiles.share_read("wide")
    (kept,) = (tmp_path / "cache/histodistill/overviews").iterdir()
    monkeypatch.delattr(Slide, "thumbnail")  # it is never read again
    again = pixels(SlideTiles({"wide": large}).tile("wide", 0, 0, 0))
    assert np.abs(again - tile).mean() < 1
    kept.write_bytes(b"no picture")
    monkeypatch.setattr(Slide, "thumbnail", thumbnail, raising=False)
    assert (pixels(SlideTiles({"wide": large}).tile("wide", 0, 0, 0)) == tile).all()


def test_outside_there_is_no_tile_and_broken_slides_are_told(tiles: SlideTiles) -> None:
    assert tiles.tile("A-1", 0, 1, 0) is None
    assert tiles.tile("A-1", 99, 0, 0) is None
    for name in ("broken", "absent"):
        with pytest.raises(InputError, match=name):
            tiles.tile(name, 0, 0, 0)


def test_patches_are_squares_of_the_slide(tiles: SlideTiles) -> None:
    patch = pixels(tiles.square("A-1", 64, 128, 64, 64)).astype(int)
    assert np.abs(patch - picture()[128:192, 64:128].astype(int)).mean() < 2


def test_a_tile_of_a_layer_is_its_part_of_the_whole() -> None:
    look = Look("PuOr_r", 0.0)
    whole = colours(rasterise(PLACES, VALUES, SIZE, 1.0), LAYER, look)
    box = WORLD.box(1, 1, 0)
    assert box is not None
    tile = pixels(heat_tile(PLACES, LAYER, look, WORLD, box, 1))
    shown = whole[:TILE, TILE:]
    assert (tile[:, : shown.shape[1]] == shown).all()


def test_the_threshold_hides_weak_evidence_and_outside_is_clear() -> None:
    box = WORLD.box(0, 0, 0)
    assert box is not None
    tile = pixels(heat_tile(PLACES, LAYER, Look("RdBu_r", 2.0), WORLD, box, 0))
    values = rasterise(PLACES, VALUES, (TILE, TILE), 2.0)
    assert ((tile[..., 3] > 0) == (np.abs(np.nan_to_num(values)) >= 2.0)).all()
    high = Layer("gene", VALUES, "viridis", (0.0, 3.0), "")
    tile = pixels(heat_tile(PLACES, high, Look("viridis", 1.0), WORLD, box, 0))
    assert ((tile[..., 3] == 255) == (np.nan_to_num(values, nan=-9) >= 1.0)).all()


def test_only_fitting_palettes_and_weak_evidence_is_clearer_than_strong() -> None:
    with pytest.raises(KeyError):
        colours(VALUES, LAYER, Look("viridis", 0.0))
    strong, weak = colours(np.array([3.0, 0.3]), LAYER, Look("RdBu_r", 0.0))[:, 3]
    assert strong == 255
    assert 0 < weak < strong / 3
    for palette in (*DIVERGING, *SEQUENTIAL):
        assert gradient(palette).count("rgb(") == 18


def test_without_a_slide_the_patches_are_drawn_bare() -> None:
    box = World(1024, 1024).box(2, 0, 1)
    assert box is not None
    tile = pixels(patch_tile(PLACES, World(1024, 1024), box, 2))
    assert len(np.unique(tile)) == 2
    assert (tile[: SIZE[1] - TILE] == tile[0, 0]).all()
    edge = pixels(patch_tile(PLACES, World(700, 300), box, 2))
    assert (edge[300 - TILE :] == 255).all()  # beyond the slide
    assert (edge[: 300 - TILE] != 255).all()


def test_the_cache_keeps_what_was_asked_for_last() -> None:
    cache, made = TileCache(limit_bytes=25), []

    def make(name: str) -> bytes:
        made.append(name)
        return bytes(10)

    for name in ("a", "b", "a", "c", "a", "b"):
        cache.get(name, partial(make, name))
    assert made == ["a", "b", "c", "b"]
