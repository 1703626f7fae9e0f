"""Slides from a folder, a pattern and a table."""

import pytest

from histodistill.errors import InputError
from histodistill.extraction import list_slides


@pytest.fixture
def folder(tmp_path):
    for name in ("b.svs", "a.tiff", "notes.txt", "inner/c.NDPI", ".hidden/d.svs"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    return tmp_path


def ids(entries):
    return [entry.slide_id for entry in entries]


def test_a_folder_is_searched_with_its_subfolders(folder):
    assert ids(list_slides(folder)) == ["a", "b", "c"]


def test_a_pattern_and_a_single_file(folder):
    assert ids(list_slides(f"{folder}/*.svs")) == ["b"]
    assert ids(list_slides(f"{folder}/**/*.[sN]*")) == ["b", "c"]
    assert ids(list_slides(folder / "a.tiff")) == ["a"]


def test_a_dicom_slide_counts_once_and_is_named_after_its_folder(tmp_path):
    for name in ("level0.dcm", "level1.dcm"):
        (tmp_path / "case7").mkdir(exist_ok=True)
        (tmp_path / "case7" / name).write_text("")
    (entry,) = list_slides(tmp_path)
    assert (entry.slide_id, entry.path.name) == ("case7", "level0.dcm")


def test_a_table_gives_patients_and_resolution(folder):
    table = folder / "slides.csv"
    table.write_text("slide,patient,mpp\na.tiff,P1,0.25\nb.svs,P2,\n")
    first, second = list_slides(table, mpp_if_unrecorded=0.5)
    assert (first.path, first.patient, first.mpp) == (folder / "a.tiff", "P1", 0.25)
    assert (second.patient, second.mpp, second.mpp_if_unrecorded) == ("P2", None, 0.5)


def test_every_bad_resolution_of_a_table_is_told(folder):
    table = folder / "slides.csv"
    table.write_text("slide,mpp\na.tiff,40x\nb.svs,-1\n")
    with pytest.raises(InputError) as raised:
        list_slides(table)
    assert [problem.split(" is ")[1] for problem in raised.value.problems] == [
        "'40x'; give µm/px, such as 0.25.",
        "'-1'; give µm/px, such as 0.25.",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image\na.tiff\n", r"no column 'slide' \(it has image\)"),
        (None, r"slides.csv does not exist"),
    ],
)
def test_a_table_that_is_none_is_told(folder, content, message):
    table = folder / "slides.csv"
    if content:
        table.write_text(content)
    with pytest.raises(InputError, match=message):
        list_slides(table)


def test_nothing_found_is_told(tmp_path):
    with pytest.raises(InputError, match=r"No slide found in .*nowhere.*column 'slide'.*\.svs"):
        list_slides(tmp_path / "nowhere")


def test_two_slides_of_one_name_are_refused(folder):
    (folder / "inner" / "a.svs").write_text("")
    with pytest.raises(InputError, match=r"a\.tiff, .*a\.svs have the same name|same name"):
        list_slides(folder)


def test_a_table_in_other_words_and_other_marks(folder):
    table = folder / "slides.tsv"
    table.write_bytes("Slide_ID;case_id;MPP\na.tiff;P1;0,25\nb.svs;P2;NA\n".encode("utf-8-sig"))
    first, second = list_slides(table)
    assert (first.path, first.patient, first.mpp) == (folder / "a.tiff", "P1", 0.25)
    assert (second.patient, second.mpp) == ("P2", None)
