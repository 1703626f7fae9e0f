"""GeoJSON annotations of QuPath and others: which of them say where the tissue is.

QuPath writes a class as ``{"name": "Tumor: Positive"}`` or, since 0.5, as
``{"names": ["Tumor", "Positive"]}``, other programs as plain text. Of a derived class each part
counts. By QuPath's convention a class whose name ends in ``*`` is to be left out (``Ignore*``),
except ``Region*``, which marks what is to be looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from histodistill.errors import listed

Geometry = Mapping[str, Any]

TISSUE = "Tissue"
# Classes that QuPath proposes and that consist of tissue; any other may be pen, glass or a ruler.
_OF_TISSUE = frozenset(
    ("tumor", "tumour", "stroma", "immune cells", "necrosis", "positive", "negative", "region*")
)
_IGNORED = ("ignore", "ignored")
# Where QuPath and then other programs write the class.
_CLASS_KEYS = ("classification", "class", "class_name", "className", "label", "category")
_OTHER_OBJECTS = (
    *("PathDetectionObject", "PathCellObject", "PathTileObject", "PathRootObject"),
    "TMACoreObject",
)


@dataclass(frozen=True)
class Annotation:
    """An outline with its class.

    Attributes:
        parts: The parts of its class as written; empty where it has none.
        geometry: A GeoJSON Polygon or MultiPolygon.
    """

    parts: tuple[str, ...]
    geometry: Geometry

    @property
    def name(self) -> str:
        """The class as QuPath shows it."""
        return ": ".join(self.parts) or "no class"

    def is_of(self, classes: Iterable[str]) -> bool:
        """Whether a part of the class, or all of it, has one of these names, in any case."""
        own = {part.casefold() for part in (*self.parts, self.name)}
        return not own.isdisjoint(each.strip().casefold() for each in classes)

    @property
    def is_ignored(self) -> bool:
        """Whether its area is to be taken away."""
        return any(
            part.casefold() in _IGNORED or (part.endswith("*") and part.casefold() != "region*")
            for part in self.parts
        )


@dataclass(frozen=True)
class Choice:
    """What a file of annotations says of tissue.

    Attributes:
        tissue: Geometries of tissue.
        ignored: Geometries whose area is not tissue even so.
        left_out: Classes of annotations that are neither, with their number.
    """

    tissue: tuple[Geometry, ...]
    ignored: tuple[Geometry, ...]
    left_out: Mapping[str, int]


def choose(annotations: Iterable[Annotation], classes: Iterable[str] = ()) -> Choice:
    """The annotations that are tissue.

    Args:
        annotations: All of a file.
        classes: Classes that the user named. Without any: the class "Tissue"; where nothing is
            of it, what has no class or one that consists of tissue.

    Raises:
        ValueError: No annotation is of the classes named, or none were named and some are of a
            class that may be anything. The message names what was found.
    """
    found = list(annotations)
    ignored = [each for each in found if each.is_ignored]
    kept = [each for each in found if not each.is_ignored]
    wanted = tuple(classes)
    chosen = [each for each in kept if each.is_of(wanted or (TISSUE,))]
    if wanted and not chosen:
        raise ValueError(f"no annotation is of the class {listed(wanted)}; it has {_told(found)}")
    if not chosen:
        unknown = [each for each in kept if each.parts and not each.is_of(_OF_TISSUE)]
        if unknown:
            raise ValueError(
                f"its annotations are {_told(found)}, and {_told(unknown)} may be no tissue; "
                f"choose with --tissue-class NAME, once for each class, or name it {TISSUE}"
            )
        chosen = kept
    if not chosen:
        raise ValueError("no polygon in it" + (f" but {_told(ignored)}" if ignored else ""))
    taken = {id(each) for each in chosen}
    left_out = Counter(each.name for each in kept if id(each) not in taken)
    return Choice(
        tuple(each.geometry for each in chosen), tuple(each.geometry for each in ignored), left_out
    )


def read_annotations(content: Any, parts: tuple[str, ...] = ()) -> Iterator[Annotation]:
    """Every annotation with an area; points, lines, detections and null are passed over.

    Args:
        content: A FeatureCollection, a list of features, a feature or a bare geometry.
        parts: The class that it inherits.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(content, list):
        for item in content:
            yield from read_annotations(item, parts)
        return
    if not isinstance(content, Mapping) or "type" not in content:
        raise TypeError("it holds something that is no GeoJSON object")
    kind = content["type"]
    if kind == "FeatureCollection" or "features" in content:
        yield from read_annotations(_list(content, "features"))
    elif kind == "GeometryCollection":
        yield from read_annotations(_list(content, "geometries"), parts)
    elif kind == "Feature":
        yield from _of_feature(content)
    elif kind in ("Polygon", "MultiPolygon"):
        yield Annotation(parts, content)


def _of_feature(feature: Mapping[str, Any]) -> Iterator[Annotation]:
    properties = feature.get("properties") or {}
    if not isinstance(properties, Mapping):
        raise TypeError("the properties of a feature are no object")
    kind = properties.get("objectType", properties.get("object_type", "annotation"))
    # QuPath before 0.4 told the kind of an object as its id.
    if (
        kind == "annotation"
        and feature.get("id") not in _OTHER_OBJECTS
        and feature.get("geometry") is not None
    ):
        yield from read_annotations(feature["geometry"], _class_parts(properties))


def _class_parts(properties: Mapping[str, Any]) -> tuple[str, ...]:
    written = next((properties[key] for key in _CLASS_KEYS if properties.get(key)), None)
    if isinstance(written, Mapping):
        written = written.get("names") or written.get("name")
    names = written if isinstance(written, list) else [written]
    texts = [part for name in names if isinstance(name, str) for part in name.split(":")]
    return tuple(text.strip() for text in texts if text.strip())


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    items = content.get(key)
    if not isinstance(items, list):
        raise TypeError(f"its {key} are no list")
    return items


def _told(annotations: Iterable[Annotation]) -> str:
    counts = Counter(each.name for each in annotations)
    return listed([f"{name} ({count})" for name, count in sorted(counts.items())]) or "nothing"
