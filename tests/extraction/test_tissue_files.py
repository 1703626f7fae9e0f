"""Outlines and masks found for slides; whatever would not be used is named."""

import json
from pathlib import Path

import pytest

from histodistill.errors import InputError
from histodistill.extraction import SlideEntry, with_tissue_files

SLIDES = [SlideEntry(Path("slides/a.b.svs"), "a.b"), SlideEntry(Path("slides/c.tif"), "c")]


@pytest.fixture
def folder(tmp_path):
    def fill(*names):
        for name in names:
            (tmp_path / name).write_text("{}")
        return tmp_path

    return fill


@pytest.mark.parametrize("name", ["a.b.geojson", "a.b.svs.geojson", "a.b.PNG", "a.b.json"])
def test_a_file_is_named_after_its_slide_with_or_without_its_suffix(folder, name):
    first, second = with_tissue_files(SLIDES, folder(name), ["Tumor"])
    assert first.tissue is not None
    assert (first.tissue.name, first.tissue_classes) == (name, ("Tumor",))
    assert second.tissue is None


@pytest.mark.parametrize(
    "name", ["other.geojson", "a.svs.geojson", "A.B.geojson", "a.b.xml", "a.b.txt", "README"]
)
def test_a_file_that_would_not_be_used_is_named(folder, name):
    with pytest.raises(InputError, match=r"would not be used.*a\.b\.geojson") as raised:
        with_tissue_files(SLIDES, folder("c.geojson", name), ())
    assert name in str(raised.value)


def test_a_folder_or_a_pipe_is_no_outline(folder, tmp_path):
    import os

    (tmp_path / "c.geojson").mkdir()
    os.mkfifo(tmp_path / "a.b.geojson")
    with pytest.raises(InputError, match=r"a\.b\.geojson, c\.geojson would not be used"):
        with_tissue_files(SLIDES, tmp_path)


def test_two_files_for_a_slide_are_told(folder):
    with pytest.raises(InputError, match=r"c\.geojson, c\.png outline the same slide"):
        with_tissue_files(SLIDES, folder("c.geojson", "c.png"))


def test_an_empty_folder_is_told_and_hidden_files_do_not_count(folder):
    with pytest.raises(InputError, match="no outline or mask in it"):
        with_tissue_files(SLIDES, folder(".DS_Store"))


def test_a_class_that_no_annotation_is_of_is_named(folder):
    tumour = {
        "type": "Feature",
        "properties": {"classification": {"name": "Tumor"}},
        "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]},
    }
    place = folder("a.b.geojson", "c.geojson")
    (place / "a.b.geojson").write_text(json.dumps(tumour))
    with_tissue_files(SLIDES, place, ["tumor"])
    with pytest.raises(InputError, match=r"is of the class 'Stromma', which --tissue-class names"):
        with_tissue_files(SLIDES, place, ["tumor", "Stromma"])
