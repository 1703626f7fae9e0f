"""Which annotations of QuPath and others are tissue."""

from __future__ import annotations

from typing import Any

import pytest

from histodistill.tiling import Tissue


def box(left: float, right: float) -> dict[str, Any]:
    ring = [[left, 0], [right, 0], [right, 100], [left, 100], [left, 0]]
    return {"type": "Polygon", "coordinates": [ring]}


def feature(geometry: object, classification: object = None, kind: str = "annotation") -> Any:
    properties = {"objectType": kind, "classification": classification}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(*features: object) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def area(content: object, *classes: str) -> float:
    return float(sum(each.area for each in Tissue.from_geojson(content, 0.5, classes).polygons))


A, B, HALF = box(0, 100), box(200, 300), box(0, 50)


@pytest.mark.parametrize("name", ["Ignore*", "ignore*", "Ignore", "Background*"])
@pytest.mark.parametrize("tissue", [None, "Tissue", "Tumor", "tumor: Positive"])
def test_what_is_to_be_ignored_is_taken_away(name: str, tissue: str | None) -> None:
    own = None if tissue is None else {"name": tissue}
    assert area(collection(feature(A, own), feature(HALF, {"name": name}))) == 5000
    assert area(collection(feature(A, own), feature(B, {"name": name}))) == 10_000


@pytest.mark.parametrize(
    "classification",
    [
        "Tissue",
        "TISSUE",
        {"name": "tissue"},
        {"name": " Tissue "},
        {"names": ["Tissue"]},
        {"names": ["Tissue", "Tumor"]},
        {"name": "Tissue: Tumor"},
        ["Tissue"],
    ],
)
def test_the_class_tissue_goes_before_all_others(classification: object) -> None:
    content = collection(feature(A, classification), feature(B, {"name": "Pen"}), feature(B))
    tissue = Tissue.from_geojson(content, 0.5)
    assert sum(each.area for each in tissue.polygons) == 10_000
    assert tissue.notes == ("annotations not taken for tissue: Pen (1), no class (1)",)


@pytest.mark.parametrize("name", ["Tumor", "stroma", "Immune cells", "Region*", "Necrosis"])
def test_classes_that_consist_of_tissue_count_where_none_is_called_so(name: str) -> None:
    tissue = Tissue.from_geojson(collection(feature(A, {"name": name}), feature(B)), 0.5)
    assert (len(tissue.polygons), tissue.notes) == (2, ())


@pytest.mark.parametrize("name", ["Pen", "Artefact", "Class 1", "Glas"])
def test_a_class_that_may_be_anything_is_asked_about(name: str) -> None:
    content = collection(feature(A, {"name": "Tumor"}), feature(B, {"name": name}))
    with pytest.raises(ValueError, match=rf"{name} \(1\).*Tumor \(1\).*--tissue-class") as raised:
        area(content)
    assert f"{name} (1) may be no tissue" in str(raised.value)
    assert area(content, name) == 10_000
    assert area(content, name.lower(), "TUMOR") == 20_000


def test_a_class_that_the_file_has_not_is_told_with_those_it_has() -> None:
    content = collection(feature(A, {"name": "Tumor"}), feature(B))
    with pytest.raises(
        ValueError, match=r"of the class Stroma; it has Tumor \(1\), no class \(1\)"
    ):
        area(content, "Stroma")


def test_collections_of_geometries_null_and_empty_ones() -> None:
    nested = {
        "type": "GeometryCollection",
        "geometries": [A, {"type": "GeometryCollection"} | {"geometries": [B]}],
    }
    empty = {"type": "Polygon", "coordinates": []}
    content = collection(feature(nested), feature(None), feature(empty), feature(A, kind="cell"))
    assert area(content) == 20_000


@pytest.mark.parametrize(
    "content",
    [
        collection(),
        collection(feature(A, {"name": "Ignore*"})),
        collection(feature(A), feature(box(-10, 200), {"name": "Ignore*"})),
        collection(feature(None)),
    ],
)
def test_nothing_left_is_told(content: object) -> None:
    with pytest.raises(ValueError, match="no polygon"):
        area(content)


@pytest.mark.parametrize("content", [3, "text", None, {}, {"type": "Feature", "properties": 3}])
def test_other_json_is_told(content: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        area(content)


@pytest.mark.parametrize("key", ["class", "label", "category", "class_name"])
def test_classes_of_other_programs_are_read(key: str) -> None:
    drawn = {"type": "Feature", "geometry": A, "properties": {key: "pen"}}
    with pytest.raises(ValueError, match=r"pen \(1\) may be no tissue"):
        area(drawn)
    drawn["properties"] = {key: "tissue"}
    assert area(drawn) == 10_000


@pytest.mark.parametrize("kind", ["PathDetectionObject", "PathCellObject", "TMACoreObject"])
def test_objects_of_older_versions_are_told_by_their_id(kind: str) -> None:
    outline = {**feature(A, "Tissue"), "id": "PathAnnotationObject"}
    other = {**feature(B, "Tissue"), "id": kind}
    for each in (outline, other):
        del each["properties"]["objectType"]
    assert area([outline, other]) == 10_000


def test_a_collection_by_another_name_is_read() -> None:
    assert area({"type": "ObservationCollection", "features": [feature(A, "Tissue")]}) == 10_000
