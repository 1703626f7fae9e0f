"""TIFF files that are sound but are not one picture that can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from histodistill.errors import InputError
from histodistill.slides import open_slide
from tests.slides.pictures import glass, write_pyramid

PICTURE = glass(512, 512)
HALF_MICRON: dict[str, Any] = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}


@pytest.mark.parametrize("tile", [None, (128, 128)])
def test_a_thumbnail_before_the_slide_is_told(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for step in (4, 1):
            file.write(
                PICTURE[::step, ::step], photometric="rgb", tile=tile, metadata=None, **HALF_MICRON
            )
    message = r"first page is a thumbnail \(128 x 128 px\).*page 2 \(512 x 512 px\).*page=1"
    with pytest.raises(InputError, match=message):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize("tile", [None, (128, 128)])
def test_colours_on_three_pages_are_told(tmp_path: Path, tile: tuple[int, int] | None) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for channel in range(3):
            plane = np.ascontiguousarray(PICTURE[..., channel])
            file.write(plane, photometric="minisblack", tile=tile, metadata=None, **HALF_MICRON)
    with pytest.raises(InputError, match="three grey pages of one size"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize(("compression", "name"), [("jpeg2000", "JPEG 2000"), ("webp", "WebP")])
@pytest.mark.parametrize("tile", [None, (128, 128)])
def test_a_compression_that_is_not_read_is_no_damage(
    tmp_path: Path, compression: str, name: str, tile: tuple[int, int] | None
) -> None:
    pytest.importorskip("imagecodecs")
    tifffile.imwrite(
        tmp_path / "a.tif",
        PICTURE,
        photometric="rgb",
        tile=tile,
        compression=compression,
        **HALF_MICRON,
    )
    with pytest.raises(InputError, match=rf"a\.tif: compressed by {name}.*is sound.*vips"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize("downsamples", [(1,), (1, 4)])
def test_an_ordinary_pyramid_opens(tmp_path: Path, downsamples: tuple[int, ...]) -> None:
    with open_slide(write_pyramid(tmp_path / "a.tif", PICTURE, downsamples=downsamples)) as slide:
        assert slide.dimensions == (512, 512)


@pytest.mark.parametrize("tile", [None, (128, 128)])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("unit", ["micron", "µm", "um"])
def test_microns_of_imagej_in_any_encoding(
    tmp_path: Path, tile: tuple[int, int] | None, encoding: str, unit: str
) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        PICTURE,
        photometric="rgb",
        tile=tile,
        description=f"ImageJ=1.53\nunit={unit}\n".encode(encoding),
        metadata=None,
        resolution=(2.0, 2.0),
        resolutionunit="NONE",
    )
    with open_slide(tmp_path / "a.tif") as slide:
        assert slide.mpp == 0.5
