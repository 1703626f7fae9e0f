from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histodistill.slides import open_slide
from tests.slides.pictures import RGB, area_average, disc, glass, stain, write_pyramid


@pytest.fixture(scope="module")
def picture() -> RGB:
    """Smooth waves, for which all good antialiasing filters agree."""
    rows, columns = np.mgrid[:1024, :1536]
    waves = [
        128 + 60 * np.sin(columns / 41 + shift) + 50 * np.cos(rows / 57 - shift)
        for shift in range(3)
    ]
    return np.asarray(np.rint(np.stack(waves, axis=-1)), np.uint8)


def difference(read: RGB, reference: np.ndarray) -> np.ndarray:
    assert read.shape == reference.shape
    return np.asarray(np.abs(read.astype(float) - reference))


def test_level_0_is_read_as_it_is(tmp_path: Path, picture: RGB) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", picture)) as slide:
        read = slide.read_region_rgb(130, 70, 256, 200, (256, 200))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, picture[70:270, 130:386])


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("downsamples", [(1,), (1, 4), (1, 2, 8)])
def test_reads_equal_the_area_average(
    tmp_path: Path, picture: RGB, factor: int, downsamples: tuple[int, ...]
) -> None:
    """From whatever level they come, and inside a slide, not only at its corner."""
    path = write_pyramid(tmp_path / "a.tif", picture, downsamples=downsamples)
    x, y, side = 16 * 9, 16 * 5, 480
    with open_slide(path) as slide:
        read = slide.read_region_rgb(x, y, side, side, (side // factor, side // factor))
    reference = area_average(picture[y : y + side, x : x + side], factor)
    assert difference(read, reference).mean() < 0.6
    assert difference(read, reference).max() < 5


def test_fine_patterns_do_not_alias(tmp_path: Path) -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 200
    with open_slide(write_pyramid(tmp_path / "a.tif", stripes, downsamples=(1,))) as slide:
        read = slide.read_region_rgb(0, 0, 510, 510, (102, 102))
    assert difference(read[1:-1, 1:-1], np.full((100, 100, 3), 100)).max() <= 6


def test_fractions_of_a_pixel_shift_the_picture(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    with open_slide(write_pyramid(tmp_path / "a.tif", ramp, downsamples=(1,))) as slide:
        whole = slide.read_region_rgb(100, 0, 64, 64, (16, 16)).astype(float)
        shifted = slide.read_region_rgb(101.5, 0, 64, 64, (16, 16)).astype(float)
    np.testing.assert_allclose((shifted - whole)[:, 1:-1], 1.5, atol=0.6)


def test_upsampling_keeps_size_and_colour(tmp_path: Path, picture: RGB) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", picture)) as slide:
        read = slide.read_region_rgb(200, 200, 64, 64, (128, 128))
    reference = picture[200:264, 200:264].repeat(2, axis=0).repeat(2, axis=1)
    assert difference(read, reference).mean() < 2


@pytest.mark.parametrize("flat", [True, False])
def test_outside_the_slide_is_white(tmp_path: Path, picture: RGB, flat: bool) -> None:
    from PIL import Image

    if flat:
        Image.fromarray(picture).save(tmp_path / "a.png")
    path = tmp_path / "a.png" if flat else write_pyramid(tmp_path / "a.tif", picture)
    with open_slide(path, mpp=0.5) as slide:
        corner = slide.read_region_rgb(1500, 1000, 72, 48, (72, 48))
        before = slide.read_region_rgb(-20, -10, 40, 40, (40, 40))
        nowhere = slide.read_region_rgb(5000, 5000, 40, 40, (20, 20))
    np.testing.assert_array_equal(corner[:24, :36], picture[1000:, 1500:])
    assert (corner[24:] == 255).all()
    assert (corner[:, 36:] == 255).all()
    np.testing.assert_array_equal(before[10:, 20:], picture[:30, :20])
    assert (before[:10] == 255).all()
    assert (nowhere == 255).all()


def test_thumbnail_has_the_microns_asked_for(tmp_path: Path, picture: RGB) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", picture, mpp=0.5)) as slide:
        small = slide.thumbnail(4.0)
        own = slide.thumbnail(0.1)
    assert small.shape == (128, 192, 3)
    assert difference(small, area_average(picture, 8)).mean() < 0.6
    np.testing.assert_array_equal(own, picture)


def test_thumbnail_in_blocks_has_no_seams(
    tmp_path: Path, picture: RGB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With blocks smaller than the slide, and a factor that is not whole."""
    with open_slide(write_pyramid(tmp_path / "a.tif", picture, downsamples=(1,))) as slide:
        whole = slide.thumbnail(0.5 * 5.3)
        monkeypatch.setattr("histodistill.slides.slide.LARGEST_READ", 200)
        blocks = slide.thumbnail(0.5 * 5.3)
    assert difference(blocks, whole.astype(float)).max() <= 3


def test_same_thumbnail_whatever_the_levels(tmp_path: Path) -> None:
    picture = glass(1024, 1024)
    stain(picture, disc(picture, 500, 500, 300))
    thumbnails = []
    for index, downsamples in enumerate([(1,), (1, 2), (1, 4, 8)]):
        path = write_pyramid(tmp_path / f"{index}.tif", picture, downsamples=downsamples)
        with open_slide(path) as slide:
            thumbnails.append(slide.thumbnail(8.0).astype(float))
    for other in thumbnails[1:]:
        assert np.abs(other - thumbnails[0]).mean() < 1.5


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "given", "mpp", "source"),
    [
        ("cmu-1-small-region.svs", None, 0.499, "openslide.mpp-x"),
        ("tcga-cr-7395-01a-01-ts1.svs", 0.5, 0.5, "given by the user"),
        ("kidney-48-5.tif", 5.0, 5.0, "given by the user"),
    ],
)
def test_real_slides(
    shared_data: Path, name: str, given: float | None, mpp: float, source: str
) -> None:
    with open_slide(shared_data / "slides" / name, mpp=given) as slide:
        assert (slide.mpp, slide.mpp_source) == (mpp, source)
        width, height = slide.dimensions
        factor = 8.0 / mpp
        assert slide.thumbnail(8.0).shape[:2] == (
            (round(height / factor), round(width / factor)) if factor > 1 else (height, width)
        )
