"""Tiling: where a slide has tissue, and the grid of patches that covers it.

Tissue is segmented at a fixed µm/px, or read from a GeoJSON or mask file that the user has, and
cut into patches whose size is meant in µm. All coordinates are level-0 px. The libraries that
this needs are the extra ``slides`` and are imported only when used.
"""

import lazy_loader

# Names and where they come from are in __init__.pyi; each is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
