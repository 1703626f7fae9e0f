"""Memory does not grow with the slide."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

SIDE = 100_000
TILE = 1024
RADIUS = 30_000

SEGMENT_AND_TILE = """
import json, sys
from pathlib import Path
from histodistill.computing.peak_memory import peak_bytes
from histodistill.slides import open_slide
from histodistill.tiling import TilingSettings, segment_tissue, tile
with open_slide(Path(sys.argv[1])) as slide:
    tissue = segment_tissue(slide)
    grid = tile(slide.dimensions, slide.mpp, tissue, TilingSettings(overlap=0.5))
print(json.dumps({"patches": len(grid), "area": tissue.area_um2, "bytes": peak_bytes()}))
"""


def encoded(colour: tuple[int, int, int]) -> bytes:
    tile = np.full((TILE, TILE, 3), colour, np.uint8)
    tile[::9] -= 15
    return zlib.compress(tile.tobytes(), 9)


def write_sparse_pyramid(path: Path, mpp: float, downsamples: tuple[int, ...]) -> None:
    """A slide of 100,000 x 100,000 px that takes some tens of MB."""
    glass, tissue = encoded((243, 242, 244)), encoded((215, 150, 190))

    def tiles(downsample: int) -> Iterator[bytes]:
        count = -(-SIDE // (downsample * TILE))
        centres = (np.arange(count) + 0.5) * TILE * downsample - SIDE / 2
        for y in centres:
            for x in centres:
                yield tissue if x**2 + y**2 < RADIUS**2 else glass

    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for downsample in downsamples:
            side = SIDE // downsample
            file.write(
                tiles(downsample),
                shape=(side, side, 3),
                dtype="uint8",
                tile=(TILE, TILE),
                compression="zlib",
                photometric="rgb",
                resolution=(1e4 / mpp, 1e4 / mpp),
                resolutionunit="CENTIMETER",
                subfiletype=int(downsample > 1),
                metadata=None,
            )


@pytest.mark.slow
def test_hundred_thousand_px_squared_in_bounded_memory(tmp_path: Path) -> None:
    """From a file whose tiles are all alike, so that it is small."""
    path = tmp_path / "large.tif"
    write_sparse_pyramid(path, mpp=0.5, downsamples=(1, 8))
    assert path.stat().st_size < 100e6
    run = subprocess.run(
        [sys.executable, "-c", SEGMENT_AND_TILE, str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(run.stdout)
    assert found["bytes"] < 2e9
    # Tiles of the coarser level are 8,192 level-0 px wide, so the disc is a rough one.
    assert found["area"] == pytest.approx(np.pi * (RADIUS * 0.5) ** 2, rel=0.15)
    assert found["patches"] == pytest.approx(found["area"] / 64**2, rel=0.05)


def test_rooms_are_imported_without_their_libraries() -> None:
    """Settings and types are there for those who only train, without the extra."""
    code = (
        "import sys\n"
        "for name in ('cv2', 'shapely', 'openslide', 'tifffile'): sys.modules[name] = None\n"
        "from histodistill.tiling import TissueSettings, tile\n"
        "from histodistill.slides import open_slide\n"
        "print(TissueSettings().mpp)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "8.0\n"
