"""Slides from a folder, a pattern and a table."""

import os

import pytest

from histodistill.errors import InputError
from histodistill.extraction import list_slides
from histodistill.slides import open_slide


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


def dicom(path, series, glass=""):
    pydicom = pytest.importorskip("pydicom")
    path.parent.mkdir(exist_ok=True)
    header = pydicom.Dataset()
    header.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    header.SOPInstanceUID = pydicom.uid.generate_uid()
    header.SeriesInstanceUID = series
    header.ContainerIdentifier = glass
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(path, header, enforce_file_format=True)


def test_a_dicom_slide_counts_once_and_is_named_after_its_folder(tmp_path):
    for name in ("level0.dcm", "level1.dcm"):
        dicom(tmp_path / "case7" / name, "1.2.3")
    (entry,) = list_slides(tmp_path)
    assert (entry.slide_id, entry.path.name) == ("case7", "level0.dcm")


def test_two_dicom_slides_of_one_folder_are_two(tmp_path):
    for name, series in (("a0.dcm", "1.2.3"), ("b0.dcm", "1.2.4"), ("a1.dcm", "1.2.3")):
        dicom(tmp_path / "case7" / name, series)
    found = {entry.slide_id: entry.path.name for entry in list_slides(tmp_path)}
    assert found == {"case7-1.2.3": "a0.dcm", "case7-1.2.4": "b0.dcm"}


def test_a_dicom_slide_is_called_the_same_alone_and_with_its_neighbours(tmp_path):
    for name, series in (("a.dcm", "1.2.3"), ("b.dcm", "1.2.4")):
        dicom(tmp_path / "case7" / name, series)
    assert ids(list_slides(tmp_path / "case7" / "a.dcm")) == ["case7-1.2.3"]
    assert ids(list_slides(f"{tmp_path}/case7/b*.dcm")) == ["case7-1.2.4"]


def test_a_dicom_slide_that_would_count_twice_is_refused(tmp_path):
    for name in ("one/level0.dcm", "one/level1.dcm", "copy/level0.dcm"):
        dicom(tmp_path / name, "1.2.3")
    with pytest.raises(
        InputError, match=r"copy/level0\.dcm, .*one/.* are files of one DICOM slide"
    ):
        list_slides(tmp_path)
    table = tmp_path / "slides.csv"
    table.write_text("slide\none/level0.dcm\none/level1.dcm\n")
    with pytest.raises(InputError, match=r"one/level0\.dcm, .*one/level1\.dcm are files of one"):
        list_slides(table)


def test_two_dicom_scans_of_one_glass_slide_are_told(tmp_path):
    dicom(tmp_path / "case7" / "a.dcm", "1.2.3", glass="B12-1")
    dicom(tmp_path / "case7" / "b.dcm", "1.2.4", glass="B12-1")
    dicom(tmp_path / "case8" / "c.dcm", "1.2.5")
    dicom(tmp_path / "case8" / "d.dcm", "1.2.6")
    notes: list[str] = []
    assert len(list_slides(tmp_path, tell=notes.append)) == 4
    (note,) = notes
    assert "are DICOM scans of one glass slide (B12-1)" in note


def test_a_dicom_file_that_cannot_be_read_is_listed_so_that_its_fault_is_told(tmp_path):
    dicom(tmp_path / "case7" / "level0.dcm", "1.2.3")
    (tmp_path / "case7" / "broken.dcm").write_text("no DICOM")
    assert ids(list_slides(tmp_path)) == ["case7-1.2.3", "case7-broken"]


def test_pipes_and_broken_links_are_listed_so_that_their_fault_is_told(folder):
    os.mkfifo(folder / "pipe.svs")
    (folder / "gone.svs").symlink_to(folder / "nowhere.svs")
    (folder / "round.svs").symlink_to(folder / "round.svs")
    found = {entry.slide_id: entry.path for entry in list_slides(folder)}
    assert found.keys() == {"a", "b", "c", "pipe", "gone", "round"}
    for name, message in (
        ("pipe", "pipe.svs: a pipe or a device"),
        ("gone", "gone.svs: no such file"),
        ("round", "round.svs: no such file"),
    ):
        with pytest.raises(InputError, match=message):
            open_slide(found[name])


@pytest.mark.parametrize("name", ["MPP", " Mpp "])
def test_columns_are_known_in_any_case(folder, name):
    table = folder / "slides.csv"
    table.write_text(f"Slide,PATIENT,{name}\na.tiff,P1,0.25\n", encoding="utf-8-sig")
    (entry,) = list_slides(table)
    assert (entry.slide_id, entry.patient, entry.mpp) == ("a", "P1", 0.25)


def test_columns_that_are_not_used_are_told(folder):
    table = folder / "slides.csv"
    table.write_text("slide,scanner,note\na.tiff,x,y\n")
    told: list[str] = []
    list_slides(table, tell=told.append)
    assert told == [f"{table}: not used: scanner, note (used are slide, patient, mpp)"]


@pytest.mark.parametrize("name", ["mpp_x", "microns", "µm/px", "um_per_px", "pixel size"])
def test_a_resolution_under_another_name_is_not_lost(folder, name):
    table = folder / "slides.csv"
    table.write_text(f"slide,{name}\na.tiff,0.25\n")
    with pytest.raises(InputError, match=rf"the column '{name}' would not be used; call it 'mpp'"):
        list_slides(table)


def test_one_column_twice_is_told(folder):
    table = folder / "slides.csv"
    table.write_text("slide,mpp,MPP\na.tiff,0.25,0.5\n")
    with pytest.raises(InputError, match=r"'MPP' would not be used; call it 'mpp'"):
        list_slides(table)


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
        ("picture\na.tiff\n", r"no column 'slide' \(it has picture\)"),
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


def test_a_slide_and_the_pyramid_made_of_it_are_refused(tmp_path):
    for name in ("x.svs", "x.ome.tif", "y.ome.tiff"):
        (tmp_path / name).write_text("")
    with pytest.raises(InputError, match=r"x\.ome\.tif, .*x\.svs have the same name") as refusal:
        list_slides(tmp_path)
    assert "y.ome" not in str(refusal.value)


def test_slides_of_formats_that_are_not_read_are_told(folder):
    for name in ("d.isyntax", "inner/e.vsi"):
        (folder / name).write_text("")
    notes: list[str] = []
    assert ids(list_slides(folder, tell=notes.append)) == ["a", "b", "c"]
    (note,) = notes
    assert "2 slides of formats that are not read were passed over: d.isyntax, e.vsi" in note


def test_a_slide_in_two_rows_is_told_as_such(folder):
    table = folder / "slides.csv"
    table.write_text("slide\na.tiff\na.tiff\n")
    with pytest.raises(InputError, match=r"a\.tiff is named in 2 rows; leave one of them"):
        list_slides(table)


@pytest.mark.parametrize("header", ["slide_path,Patient ID", "image,case", "File,PATIENT_ID"])
def test_columns_as_people_call_them(folder, header):
    table = folder / "slides.csv"
    table.write_text(f"{header}\na.tiff,P1\n")
    (entry,) = list_slides(table)
    assert (entry.path, entry.patient) == (folder / "a.tiff", "P1")


def test_a_table_in_other_words_and_other_marks(folder):
    table = folder / "slides.tsv"
    table.write_bytes("Slide_ID;case_id;MPP\na.tiff;P1;0,25\nb.svs;P2;NA\n".encode("utf-8-sig"))
    first, second = list_slides(table)
    assert (first.path, first.patient, first.mpp) == (folder / "a.tiff", "P1", 0.25)
    assert (second.patient, second.mpp) == ("P2", None)


def test_how_a_table_was_read_is_told(folder):
    table = folder / "list.csv"
    table.write_bytes(
        "slide;mpp;patient\na.svs;0,25;M\xfcller\nb.svs;NA;M\xfcller\n".encode("cp1252")
    )
    told: list[str] = []
    entries = list_slides(table, tell=told.append)
    assert [entry.mpp for entry in entries] == [0.25, None]
    assert ["Windows-1252" in told[0], "'NA' (1)" in told[1], "decimal commas" in told[2]] == [
        True
    ] * 3
