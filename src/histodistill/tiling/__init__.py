"""Tiling: where a slide has tissue, and the grid of patches that covers it.

Tissue is segmented at a fixed µm/px, or read from a GeoJSON or mask file that the user has, and
cut into patches whose size is meant in µm. All coordinates are level-0 px. The libraries that
this needs are the extra ``slides`` and are imported only when used.
"""

from histodistill.tiling.grid import PatchGrid, tile
from histodistill.tiling.mask_file import read_tissue_mask
from histodistill.tiling.preview import draw_preview, write_preview
from histodistill.tiling.segmentation import segment_tissue
from histodistill.tiling.settings import TilingSettings, TissueSettings
from histodistill.tiling.tissue import Tissue, read_tissue_geojson

__all__ = [
    "PatchGrid",
    "TilingSettings",
    "Tissue",
    "TissueSettings",
    "draw_preview",
    "read_tissue_geojson",
    "read_tissue_mask",
    "segment_tissue",
    "tile",
    "write_preview",
]
