"""Small slides, drawn and written as pyramidal TIFF files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

RGB = npt.NDArray[np.uint8]

GLASS = (243, 242, 244)
# Optical densities of eosin and haematoxylin, for red, green and blue.
EOSIN = np.array([0.05, 0.25, 0.14])
HAEMATOXYLIN = np.array([0.24, 0.28, 0.12])


def glass(width: int, height: int, colour: tuple[int, int, int] = GLASS, seed: int = 0) -> RGB:
    """Empty glass with the noise of a camera."""
    noise = np.random.default_rng(seed).normal(0, 1.0, (height, width, 3))
    return np.clip(np.rint(noise + colour), 0, 255).astype(np.uint8)


def stain(picture: RGB, where: npt.NDArray[np.bool_], strength: float = 1.0, seed: int = 1) -> None:
    """Stain a part of a picture with H&E that varies from pixel to pixel."""
    rng = np.random.default_rng(seed)
    count = int(where.sum())
    density = rng.uniform(0.6, 1.0, (count, 1)) * EOSIN
    density += (rng.random((count, 1)) < 0.2) * HAEMATOXYLIN
    picture[where] = picture[where] * 10 ** (-strength * density)


def disc(picture: RGB, x: float, y: float, radius: float) -> npt.NDArray[np.bool_]:
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    return np.asarray((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2)


def area_average(picture: RGB, factor: int) -> npt.NDArray[np.float64]:
    """The mean of every ``factor`` x ``factor`` block, the reference for resampling."""
    height, width = (side // factor * factor for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    return np.asarray(blocks.mean(axis=(1, 3)))


def write_pyramid(
    path: Path,
    picture: RGB,
    *,
    mpp: float | tuple[float, float] | None = 0.5,
    downsamples: tuple[int, ...] = (1, 4),
    description: str | None = None,
    unit: str = "CENTIMETER",
) -> Path:
    """Write a tiled TIFF with one level per downsample."""
    x, y = mpp if isinstance(mpp, tuple) else (mpp, mpp)
    resolution = None if x is None or y is None else (1e4 / x, 1e4 / y)
    with tifffile.TiffWriter(path) as file:
        for factor in downsamples:
            level = np.rint(area_average(picture, factor)).astype(np.uint8)
            file.write(
                level,
                tile=(128, 128),
                photometric="rgb",
                compression="zlib",
                resolution=resolution,
                resolutionunit=unit if resolution else "NONE",
                description=description,
                subfiletype=int(factor > 1),
                metadata=None,
            )
    return path


def write_svs(path: Path, picture: RGB, fields: str = "|AppMag = 20|MPP = 0.5") -> Path:
    """Write a TIFF that OpenSlide takes for Aperio's."""
    height, width = picture.shape[:2]
    description = f"Aperio Image Library v1\r\n{width}x{height} (128x128){fields}"
    return write_pyramid(path, picture, mpp=None, downsamples=(1,), description=description)
