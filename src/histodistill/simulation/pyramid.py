"""Slide images as generic tiled TIFF with a pyramid, which any reader of slides opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.files import whole_file

_TILE_PX = 256
_JPEG_QUALITY = 90
_SMALLEST_LEVEL_PX = 512
_UM_PER_CM = 10_000.0


def write_pyramid(path: Path, image: NDArray[np.uint8], mpp: float) -> None:
    """Write an image and its halvings, tiled and JPEG compressed, with the resolution of each.

    Args:
        path: Where it goes (.tif).
        image: [height, width, 3] RGB.
        mpp: µm per pixel of it.

    Raises:
        InputError: The TIFF writer is missing.
    """
    try:
        import imagecodecs  # noqa: F401  (tifffile compresses JPEG with it)
        import tifffile
    except ImportError as missing:
        raise InputError(
            "Writing simulated slides needs the packages tifffile and imagecodecs; install "
            'them with: pip install "histodistill[slides]"'
        ) from missing
    with whole_file(path) as temporary, tifffile.TiffWriter(temporary) as tiff:
        for level, pixels in enumerate(_levels(image)):
            pixels_per_cm = _UM_PER_CM / (mpp * image.shape[1] / pixels.shape[1])
            tiff.write(
                pixels,
                photometric="rgb",
                tile=(_TILE_PX, _TILE_PX),
                compression="jpeg",
                compressionargs={"level": _JPEG_QUALITY},
                resolution=(pixels_per_cm, pixels_per_cm),
                resolutionunit="CENTIMETER",
                subfiletype=1 if level else 0,
                description="SIMULATED H&E slide; not a real patient" if not level else None,
                software="histodistill.simulation",
                metadata=None,
            )


def _levels(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The image and its successive halvings, each the mean of 2 x 2 pixels of the one before."""
    levels = [image]
    while min(levels[-1].shape[:2]) >= 2 * _SMALLEST_LEVEL_PX:
        height, width = (length // 2 * 2 for length in levels[-1].shape[:2])
        finer = levels[-1][:height, :width].astype(np.uint16)
        total = finer[::2, ::2] + finer[1::2, ::2] + finer[::2, 1::2] + finer[1::2, 1::2]
        levels.append(((total + 2) // 4).astype(np.uint8))
    return levels
