"""A map as GeoJSON that QuPath opens: a square a patch, with its measurements."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from histodistill.explanation.contributions import Floats
from histodistill.explanation.raster import PatchPlaces
from histodistill.files import whole_file


def write_geojson(
    path: Path,
    places: PatchPlaces,
    measurements: Mapping[str, Floats],
    origin: tuple[float, float] = (0.0, 0.0),
) -> None:
    """Write the patches as QuPath tiles.

    Args:
        path: The file.
        places: Where the patches lie, level-0 px.
        measurements: Values of the patches by name, [N] each.
        origin: Where QuPath counts from, level-0 px: the corner of the scanned bounds in formats
            that have some (MRXS, SCN), else (0, 0).
    """
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write('{"type": "FeatureCollection", "features": [')
        for number, feature in enumerate(_features(places, measurements, origin)):
            stream.write(",\n" if number else "\n")
            json.dump(feature, stream, allow_nan=False)
        stream.write("\n]}\n")


def _features(
    places: PatchPlaces, measurements: Mapping[str, Floats], origin: tuple[float, float]
) -> Iterator[dict[str, object]]:
    for row, (x, y) in enumerate(places.coords - origin):
        right, bottom = x + places.side, y + places.side
        ring = [[x, y], [right, y], [right, bottom], [x, bottom], [x, y]]
        yield {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[[float(a) for a in p] for p in ring]]},
            "properties": {
                "objectType": "tile",
                "measurements": {name: float(own[row]) for name, own in measurements.items()},
            },
        }
