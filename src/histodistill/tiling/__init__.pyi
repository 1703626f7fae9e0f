from .grid import PatchGrid as PatchGrid, tile as tile
from .mask_file import read_tissue_mask as read_tissue_mask
from .preview import draw_preview as draw_preview, write_preview as write_preview
from .segmentation import segment_tissue as segment_tissue
from .settings import TilingSettings as TilingSettings, TissueSettings as TissueSettings
from .tissue import (
    Tissue as Tissue,
    read_tissue_geojson as read_tissue_geojson,
    unused_classes as unused_classes,
)
