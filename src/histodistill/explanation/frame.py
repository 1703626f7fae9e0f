"""The frame that all pictures of a slide share: its size, its scale and the tissue in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from histodistill.explanation.contributions import Floats
from histodistill.explanation.overlay import Legend, draw_overlay
from histodistill.explanation.raster import PatchPlaces
from histodistill.features.slide import SlideFeatures
from histodistill.slides import Slide

# The longer side of a picture, px: at least (small slides are drawn finer) and at most.
_SHORTEST_PX, _LONGEST_PX = 1000, 4000
# Without a slide, at least so many pixels show the edge of a patch.
_PATCH_PX = 8


@dataclass(frozen=True)
class Frame:
    """The frame that all pictures of a slide share.

    Attributes:
        size: Width and height, px.
        downsample: Level-0 px in a pixel.
        mpp: µm in a pixel; None where it is not known.
        tissue: The slide in this frame; None where it is not at hand.
        origin: Where QuPath counts from, level-0 px.
    """

    size: tuple[int, int]
    downsample: float
    mpp: float | None
    tissue: Image.Image | None
    origin: tuple[float, float]

    def draw(self, places: PatchPlaces, values: Floats | None, legend: Legend) -> Image.Image:
        """A map in this frame, with its legend; see :func:`draw_overlay`."""
        return draw_overlay(
            self.tissue,
            places,
            values,
            legend,
            size=self.size,
            downsample=self.downsample,
            mpp=self.mpp,
        )

    def shrunk(self, width: int) -> Frame:
        """The same frame for a picture that is at most so many px wide."""
        factor = max(self.size[0] / width, 1.0)
        size = (max(round(self.size[0] / factor), 1), max(round(self.size[1] / factor), 1))
        tissue = None if self.tissue is None else self.tissue.resize(size)
        mpp = None if self.mpp is None else self.mpp * factor
        return Frame(size, self.downsample * factor, mpp, tissue, self.origin)


def frame_of(
    places: PatchPlaces, slide: Slide | None, features: SlideFeatures, mpp: float
) -> Frame:
    """The frame of a slide's pictures.

    Args:
        places: Where its patches lie.
        slide: The open slide; None draws on the grid of patches.
        features: The slide's features.
        mpp: µm in a pixel that is asked for; small slides are drawn finer, large ones coarser.
    """
    if slide is None:
        extent = places.extent()
        finest = min(places.side / _PATCH_PX, max(extent) / _SHORTEST_PX)
        downsample = max(finest, max(extent) / _LONGEST_PX)
        size = _size(extent, downsample)
        known = features.patch_um
        return Frame(
            size,
            downsample,
            None if known is None else known / places.side * downsample,
            None,
            _recorded_origin(features),
        )
    edge_um = max(slide.dimensions) * slide.mpp
    wanted = max(min(mpp, edge_um / _SHORTEST_PX), slide.mpp, edge_um / _LONGEST_PX)
    tissue = Image.fromarray(slide.thumbnail(wanted))
    downsample = slide.dimensions[0] / tissue.width
    left, top, *_ = slide.bounds
    return Frame(tissue.size, downsample, slide.mpp * downsample, tissue, (left, top))


def _recorded_origin(features: SlideFeatures) -> tuple[float, float]:
    """The corner of the scanned area, where the features record it."""
    left, top = (features.tiling.get(f"level0_bounds_{axis}", 0) for axis in "xy")
    return float(left), float(top)


def _size(extent: tuple[float, float], downsample: float) -> tuple[int, int]:
    width, height = (max(int(np.ceil(edge / downsample)), 1) for edge in extent)
    return width, height
