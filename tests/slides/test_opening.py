from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histodistill.errors import InputError
from histodistill.slides import open_slide
from tests.slides.pictures import RGB, disc, glass, stain, write_pyramid, write_svs


@pytest.fixture(scope="module")
def picture() -> RGB:
    drawn = glass(640, 512)
    stain(drawn, disc(drawn, 300, 250, 180))
    return drawn


def says(message: str) -> str:
    return re.escape(message)


def test_pyramid(tmp_path: Path, picture: RGB) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", picture)) as slide:
        assert slide.dimensions == (640, 512)
        assert slide.level_downsamples == (1.0, 4.0)
        assert slide.mpp == pytest.approx(0.5)
        assert slide.mpp_source == "openslide.mpp-x"


def test_svs_by_vendor_and_by_objective(tmp_path: Path, picture: RGB) -> None:
    with open_slide(write_svs(tmp_path / "a.svs", picture)) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.5, "openslide.mpp-x")
    with open_slide(write_svs(tmp_path / "b.svs", picture, "|AppMag = 40")) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "objective power 40x: approximate")


def test_ome_tiff(tmp_path: Path, picture: RGB) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    tifffile.imwrite(path, picture, tile=(128, 128), photometric="rgb", metadata=metadata)
    with open_slide(path) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "OME-XML")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.JPEG"])
def test_flat_images_with_microns_given(tmp_path: Path, picture: RGB, name: str) -> None:
    Image.fromarray(picture).save(tmp_path / name)
    with open_slide(tmp_path / name, mpp=2.0) as slide:
        assert (slide.mpp, slide.mpp_source) == (2.0, "given by the user")
        assert slide.dimensions == (640, 512)
        read = slide.read_region_rgb(0, 0, 640, 512, (640, 512))
    lossless = name in ("a.png", "a.tif")
    assert np.abs(read.astype(int) - picture).mean() <= (0 if lossless else 8)


def test_flat_tiff_records_its_resolution(tmp_path: Path, picture: RGB) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", picture, resolution=(20_000, 20_000), resolutionunit="CENTIMETER"
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert (slide.mpp, slide.mpp_source) == (0.5, "TIFF resolution")


def test_flat_tiff_of_imagej(tmp_path: Path, picture: RGB) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", picture, imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "TIFF resolution in ImageJ's µm")


def test_microns_given_override_those_recorded(tmp_path: Path, picture: RGB) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", picture), mpp=0.25) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "given by the user")


@pytest.mark.parametrize("mpp", [0.0, -1.0, 0.00001, 1000.0, float("nan")])
def test_absurd_microns_given(tmp_path: Path, picture: RGB, mpp: float) -> None:
    path = write_pyramid(tmp_path / "a.tif", picture)
    with pytest.raises(InputError, match=says(f"a.tif: µm/px was given as {mpp:g}, but must lie")):
        open_slide(path, mpp=mpp)


def test_microns_that_make_the_slide_too_large(tmp_path: Path) -> None:
    Image.fromarray(glass(2000, 10)).save(tmp_path / "a.png")
    message = "a.png: 200 mm wide at 100 µm/px (given by the user), larger than any slide"
    with pytest.raises(InputError, match=says(message)):
        open_slide(tmp_path / "a.png", mpp=100)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_no_microns(tmp_path: Path, picture: RGB, name: str) -> None:
    Image.fromarray(picture).save(tmp_path / name)
    message = f"{name}: no µm/px recorded; give it with --slide-mpp or an mpp column"
    with pytest.raises(InputError, match=says(message)):
        open_slide(tmp_path / name)


def test_editors_dpi_is_no_resolution(tmp_path: Path, picture: RGB) -> None:
    for name in ("a.tif", "a.jpg"):
        Image.fromarray(picture).save(tmp_path / name, dpi=(72, 72))
    with pytest.raises(
        InputError, match=r"a\.tif: no µm/px recorded \(TIFF resolution says 352\.7"
    ):
        open_slide(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.jpg: no µm/px recorded; give it"):
        open_slide(tmp_path / "a.jpg")


def test_transparent_is_white(tmp_path: Path) -> None:
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[:, 30:] = (200, 100, 150, 255)
    Image.fromarray(layer).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png", mpp=1) as slide:
        read = slide.read_region_rgb(0, 0, 60, 40, (60, 40))
    assert (read[:, :30] == 255).all()
    assert (read[:, 30:] == (200, 100, 150)).all()


def test_missing_folder_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=says(f"a.svs: no such file in {tmp_path}")):
        open_slide(tmp_path / "a.svs")
    (tmp_path / "b.svs").mkdir()
    with pytest.raises(InputError, match=says("b.svs: a folder, not a slide")):
        open_slide(tmp_path / "b.svs")
    (tmp_path / "c.svs").touch()
    with pytest.raises(InputError, match=says("c.svs: the file is empty; copy it again")):
        open_slide(tmp_path / "c.svs")


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.svs").write_text("not a slide")
    with pytest.raises(InputError, match=says("a.svs: not a slide format that OpenSlide knows")):
        open_slide(tmp_path / "a.svs")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Log in</html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer to the file"),
    ],
)
def test_what_was_never_downloaded(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "slide.svs"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_slide(path)


def test_renamed_png_and_jpeg(tmp_path: Path, picture: RGB) -> None:
    Image.fromarray(picture).save(tmp_path / "a.svs", format="PNG")
    with pytest.raises(
        InputError, match=says("a.svs: really a PNG image, not a .svs file; if the image is what")
    ):
        open_slide(tmp_path / "a.svs", mpp=0.5)
    Image.fromarray(picture).save(tmp_path / "a.ndpi", format="JPEG")
    with pytest.raises(InputError, match=says("a.ndpi: really a JPEG image")):
        open_slide(tmp_path / "a.ndpi", mpp=0.5)
    Image.fromarray(picture).save(tmp_path / "a.mrxs", format="JPEG")
    with pytest.raises(InputError, match=says("a.mrxs: an MRXS needs the folder a beside it")):
        open_slide(tmp_path / "a.mrxs", mpp=0.5)


def read_all(path: Path) -> None:
    with open_slide(path, mpp=0.5) as slide:
        slide.thumbnail(0.5)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.98])
def test_truncated_svs(tmp_path: Path, picture: RGB, kept: float) -> None:
    whole = write_svs(tmp_path / "whole.svs", picture).read_bytes()
    (tmp_path / "cut.svs").write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(InputError, match=r"cut\.svs: .*truncated or damaged"):
        read_all(tmp_path / "cut.svs")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_truncated_flat_image(tmp_path: Path, picture: RGB, name: str) -> None:
    Image.fromarray(picture).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=says(f"{name}: truncated, damaged or of an unknown kind")):
        read_all(tmp_path / name)


def test_unreadable_region_costs_only_itself(tmp_path: Path, picture: RGB) -> None:
    path = write_svs(tmp_path / "a.svs", picture)
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.dataoffsets[-1]
    content = bytearray(path.read_bytes())
    content[offset : offset + 64] = bytes(64)
    path.write_bytes(content)
    with open_slide(path) as slide:
        assert slide.read_region_rgb(0, 0, 100, 100, (100, 100)).shape == (100, 100, 3)
        with pytest.raises(InputError, match=r"a\.svs: truncated or damaged"):
            slide.read_region_rgb(540, 412, 100, 100, (100, 100))


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 20), np.uint16))
    with pytest.raises(InputError, match=r"a\.tif: its pixels \(I;16\) are not 8-bit colours"):
        open_slide(tmp_path / "a.tif", mpp=1)


def test_too_large_to_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(glass(200, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)
    with pytest.raises(InputError, match=r"a\.png: too large for a flat image.* tiled pyramidal"):
        open_slide(tmp_path / "a.png", mpp=1)


def test_absent_library(tmp_path: Path, picture: RGB, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pyramid(tmp_path / "a.tif", picture)
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(InputError, match=says("run: pip install 'histodistill[slides]'")):
        open_slide(path)
