"""A map as a tiled OME-TIFF of numbers, in µm, for image analysis programs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from histodistill.explanation.contributions import Floats
from histodistill.files import whole_file
from histodistill.slides import slides_extra

TILE = 256


def write_ome_tiff(path: Path, layers: Mapping[str, Floats], mpp: float) -> None:
    """Write layers of one size as channels.

    Args:
        path: A file whose name ends in ``.ome.tiff``.
        layers: Values by name, [height, width] each; NaN where there is no tissue.
        mpp: µm in a pixel.
    """
    with slides_extra():
        import tifffile
    values = np.stack(list(layers.values())).astype(np.float32)
    with whole_file(path) as temporary:
        tifffile.imwrite(
            temporary,
            values,
            ome=True,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="minisblack",
            metadata={
                # The same map is the same file; tifffile's own tells the time and the machine.
                "UUID": str(uuid5(NAMESPACE_OID, hashlib.sha256(values.tobytes()).hexdigest())),
                "axes": "CYX",
                "PhysicalSizeX": mpp,
                "PhysicalSizeY": mpp,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeYUnit": "µm",
                "Channel": {"Name": list(layers)},
            },
        )
