import os
from functools import partial
from pathlib import Path

import pytest

from histodistill.cohort import SlideIndex
from histodistill.cohort import slides as module
from histodistill.errors import InputError

SUFFIXES = (".h5", ".hdf5", ".pt", ".npz", ".npy")
COMPANIONS = ("*.coordinates.npz", "tiles/*.npz", "coordinates/*.npz")
find_slides = partial(module.find_slides, suffixes=SUFFIXES, companions=COMPANIONS)


def touch(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).touch()
    return directory


def found(index: SlideIndex, directory: Path) -> dict[str, list[str]]:
    return {
        patient: [path.relative_to(directory).as_posix() for path in paths]
        for patient, paths in index.slides.items()
    }


def table(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "slides.csv"
    path.write_text("PATIENT,FILENAME\n" + "".join(f"{row}\n" for row in rows))
    return path


def error(*arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        find_slides(*arguments, **options)
    return str(caught.value)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features"


def test_patients_from_barcodes(folder):
    touch(
        folder,
        "TCGA-BH-A0EO-01Z-00-DX2.7F-1.h5",
        "sub/tcga-bh-a0eo-01Z-00-DX1.h5",
        "TCGA-A2-A0SB-01Z-00-DX1.H5",
        "atlas.h5",
        "._TCGA-A2-A0SB-01Z-00-DX9.h5",
        "TCGA-A2-A0SB.csv",
    )
    index = find_slides(folder)
    assert found(index, folder) == {
        "TCGA-A2-A0SB": ["TCGA-A2-A0SB-01Z-00-DX1.H5"],
        "TCGA-BH-A0EO": ["TCGA-BH-A0EO-01Z-00-DX2.7F-1.h5", "sub/tcga-bh-a0eo-01Z-00-DX1.h5"],
    }
    assert list(index.slides) == sorted(index.slides)
    assert index.unmatched == (folder / "atlas.h5",)
    assert index.missing == ()
    assert index.notes == ()


@pytest.mark.parametrize("pattern", [r"^(?P<patient>\d+)_", r"^(\d+)_", r"(x)?(?P<patient>\d+)_"])
def test_patients_from_a_pattern(folder, pattern):
    touch(folder, "007_a.pt", "007_b.pt", "sub/012_a.npy", "readme.npy")
    index = find_slides(folder, pattern=pattern)
    assert found(index, folder) == {"007": ["007_a.pt", "007_b.pt"], "012": ["sub/012_a.npy"]}
    assert index.unmatched == (folder / "readme.npy",)


def test_a_pattern_sees_the_name_without_its_suffix(folder):
    touch(folder, "case12.h5")
    assert found(find_slides(folder, pattern=r"^(.*)$"), folder) == {"case12": ["case12.h5"]}


def test_names_in_the_table_with_and_without_suffix_or_folder(tmp_path, folder):
    touch(folder, "a.1.h5", "b.h5", "site/c.h5", "site/d.h5", "e.h5", "left.h5")
    rows = table(
        tmp_path, "P2,a.1", "P1,b.h5", "P1,c", "P1,site\\d.h5", "P3,./e.h5", "P3,gone.h5", "P4,f"
    )
    assert error(folder, table=rows) == (
        f"{rows}: 2 of its files lie nowhere under {folder}: gone.h5 (P3), f (P4). Extract them or "
        "delete the rows, or write `missing_slides: leave out` below `cohort`."
    )
    index = find_slides(folder, table=rows, leave_out_missing=True)
    assert found(index, folder) == {
        "P1": ["b.h5", "site/c.h5", "site/d.h5"],
        "P2": ["a.1.h5"],
        "P3": ["e.h5"],
    }
    assert index.missing == (("P3", "gone.h5"), ("P4", "f"))
    assert index.unmatched == (folder / "left.h5",)


def test_other_column_names_and_repeated_rows(tmp_path, folder):
    touch(folder, "a.h5")
    rows = tmp_path / "slides.tsv"
    rows.write_text("case\tslide\n01\ta\n01\ta.h5\n01\ta\n")
    index = find_slides(folder, table=rows, patient_column="case", filename_column="slide")
    assert found(index, folder) == {"01": ["a.h5"]}


def test_the_same_slides_in_two_formats(tmp_path, folder):
    touch(folder, "h5_files/P1_x.h5", "pt_files/P1_x.pt", "h5_files/P2_y.h5", "pt_files/P2_y.pt")
    index = find_slides(folder, pattern="^([^_]+)_")
    assert found(index, folder) == {"P1": ["h5_files/P1_x.h5"], "P2": ["h5_files/P2_y.h5"]}
    assert index.unmatched == ()
    assert index.notes == (
        f"{folder}: 2 slides lie there in several formats; one is used for each (for example the "
        ".h5 of 'P1_x', not 'pt_files/P1_x.pt').",
    )
    by_table = find_slides(folder, table=table(tmp_path, "P1,P1_x", "P2,P2_y"))
    assert by_table == index


def test_the_table_or_the_suffixes_choose_the_other_format(tmp_path, folder):
    touch(folder, "h5_files/x.h5", "pt_files/x.pt")
    index = find_slides(folder, table=table(tmp_path, "P1,x.pt"))
    assert found(index, folder) == {"P1": ["pt_files/x.pt"]}
    assert "the .pt of 'x', not 'h5_files/x.h5'" in index.notes[0]
    only_pt = find_slides(folder, pattern="(x)", suffixes=(".pt",))
    assert found(only_pt, folder) == {"x": ["pt_files/x.pt"]}
    assert only_pt.notes == ()


def test_many_slides_in_the_same_two_folders_are_one_problem(folder):
    touch(folder, *(f"{encoder}/P{n}_x.h5" for encoder in ("conch", "uni") for n in range(30)))
    with pytest.raises(InputError) as caught:
        find_slides(folder, pattern="^([^_]+)_")
    (problem,) = caught.value.problems
    assert "the slide 'P0_x' and 29 more slides lie there more than once" in problem
    assert "(conch/P0_x.h5, uni/P0_x.h5)" in problem


def test_one_slide_by_two_encoders_is_ambiguous(tmp_path, folder):
    touch(folder, "uni/P1_x.h5", "conch/P1_x.h5", "P2_y.h5")
    expected = "more than once (conch/P1_x.h5, uni/P1_x.h5); point to the folder of one encoder"
    message = error(folder, pattern="^([^_]+)_")
    assert message.startswith(f"{folder}: the slide 'P1_x' lies there ")
    assert expected in message
    assert expected in error(folder, table=table(tmp_path, "P1,P1_x.h5"))
    by_path = find_slides(folder, table=table(tmp_path, "P1,uni/P1_x"))
    assert found(by_path, folder) == {"P1": ["uni/P1_x.h5"]}
    assert by_path.unmatched == (folder / "P2_y.h5", folder / "conch/P1_x.h5")


def test_same_names_in_the_patients_own_folders(tmp_path, folder):
    touch(folder, "P1/slide.h5", "P2/slide.h5")
    index = find_slides(folder, table=table(tmp_path, "P1,P1/slide.h5", "P2,P2/slide.h5"))
    assert found(index, folder) == {"P1": ["P1/slide.h5"], "P2": ["P2/slide.h5"]}
    assert index.unmatched == ()


def test_a_file_of_two_patients(tmp_path, folder):
    touch(folder, "x.h5", "y.h5")
    rows = table(tmp_path, "P1,x.h5", "P2,x", "P3,y", "P4,y.h5")
    assert error(folder, table=rows).splitlines() == [
        f"{rows}: '{name}' is listed for more than one patient: {who}; a slide belongs to one "
        "patient."
        for name, who in (("x.h5", "P1, P2"), ("y.h5", "P3, P4"))
    ]


def test_folders_without_features(tmp_path, folder):
    assert error(folder) == f"{folder}: there is no such folder of patch features."
    touch(folder, "x.csv")
    assert error(folder) == f"{folder}: holds no feature files (.h5, .hdf5, .pt, .npz, .npy)."


def test_patterns_that_cannot_work(folder):
    touch(folder, "x.h5")
    assert "The pattern '(' is not a regular expression: missing )" in error(folder, pattern="(")
    assert "has no group: put the part that is the patient in parentheses" in error(
        folder, pattern=r"\d+"
    )
    assert f"{folder}: no patient is recognised in any file name (for example 'x.h5')" in error(
        folder, pattern="^(y)"
    )
    assert "no patient is recognised" in error(folder)
    assert "no patient is recognised" in error(folder, pattern="^(y?)")


def test_tables_that_cannot_work(tmp_path, folder):
    touch(folder, "x.h5")
    rows = table(tmp_path, "P1,a.svs", "P2,b.svs")
    assert error(folder, table=rows) == (
        f"{rows}: none of its 2 files lies under {folder} (the table says 'a.svs', the folder has "
        "'x.h5')."
    )
    gaps = table(tmp_path, "P1,", "P1,x", ",x")
    assert "'PATIENT' or 'FILENAME' is empty in row 1, 3 below the header" in error(
        folder, table=gaps
    )
    assert "has no column 'SLIDE'." in error(folder, table=rows, filename_column="SLIDE")
    assert error(folder, table=rows, pattern="(x)") == (
        f"The patients of the slides under {folder}: give a slides table or a pattern, not both."
    )


def test_slides_of_other_tissue_than_the_tumour_are_left_out_and_told(tmp_path, folder):
    names = ["A0SB-01Z-00-DX1.h5", "A0SB-11A-01-TS1.h5", "A0SD-06Z-00-DX1.h5", "A0SE-01A-DX1.h5"]
    touch(folder, *(f"TCGA-A2-{name}" for name in names))
    index = find_slides(folder)
    assert list(index.slides) == ["TCGA-A2-A0SB", "TCGA-A2-A0SE"]
    assert index.slides["TCGA-A2-A0SB"] == (folder / "TCGA-A2-A0SB-01Z-00-DX1.h5",)
    assert index.unmatched == ()
    assert index.notes == (
        f"{folder}: 2 slides of other sample types than 01 were left out (by TCGA sample type "
        "06 (metastasis): 1, 11 (normal tissue): 1): TCGA-A2-A0SB-11A-01-TS1.h5, "
        "TCGA-A2-A0SD-06Z-00-DX1.h5.",
    )
    rows = table(tmp_path, *(f"{name[:4]},TCGA-A2-{name}" for name in names))
    assert list(find_slides(folder, table=rows).slides) == ["A0SB", "A0SE"]
    both = find_slides(folder, sample_types=("01", "06"))
    assert list(both.slides) == ["TCGA-A2-A0SB", "TCGA-A2-A0SD", "TCGA-A2-A0SE"]


def test_a_folder_of_normal_tissue_alone_is_refused(folder):
    touch(folder, "TCGA_A2_A0SB_11A.h5")
    assert "No slide is left; name the types to keep in `sample_types`." in error(folder)


def test_npz_files_are_features_and_their_coordinates_are_not(folder):
    touch(folder, "tile_embeddings/P1_x.npz", "tiles/P1_x.coordinates.npz", "coordinates/P1_x.npz")
    assert found(find_slides(folder, pattern="^([^_]+)_"), folder) == {
        "P1": ["tile_embeddings/P1_x.npz"]
    }


def test_a_folder_that_is_called_as_one_of_coordinates(tmp_path):
    folder = touch(tmp_path / "tiles", "P1_x.npz")
    assert found(find_slides(folder, pattern="^([^_]+)_"), folder) == {"P1": ["P1_x.npz"]}


def test_what_cannot_be_read_is_a_problem(folder):
    touch(folder, "P1_x.h5")
    (folder / "P2_y.h5").symlink_to(folder / "nowhere.h5")
    touch(folder / "P3_z.h5", "readme.txt")
    message = error(folder, pattern="^([^_]+)_")
    assert f"{folder / 'P2_y.h5'}: is a link to a file that is not there" in message
    assert f"{folder / 'P3_z.h5'}" not in message  # a folder is searched, as any other
    os.mkfifo(folder / "P4_z.h5")
    assert f"{folder / 'P4_z.h5'}: is no ordinary file" in error(folder, pattern="^([^_]+)_")


def test_an_empty_folder_named_like_a_feature_file_is_a_problem(folder):
    touch(folder, "P1_x.h5")
    (folder / "P5_z.npy").mkdir()
    problem = error(folder, pattern="^([^_]+)_")
    assert f"{folder / 'P5_z.npy'}: is an empty folder named like" in problem


def test_a_linked_folder_is_searched_once(folder, tmp_path):
    touch(folder, "a/P1_x.h5")
    (folder / "a" / "back").symlink_to(folder)
    (folder / "b").symlink_to(folder / "a")
    assert found(find_slides(folder, pattern="^([^_]+)_"), folder) == {"P1": ["a/P1_x.h5"]}


@pytest.mark.parametrize(
    "name",
    ["x.svs", "/data/slides/x.svs", "C:\\slides\\x.svs", "/data/uni/x.h5", "D:\\uni\\x", "x.h5"],
)
def test_the_table_may_name_the_slide_or_a_path_of_another_machine(tmp_path, folder, name):
    touch(folder, "uni/x.h5", "uni/y.h5")
    index = find_slides(folder, table=table(tmp_path, f"P1,{name}"))
    assert found(index, folder) == {"P1": ["uni/x.h5"]}


def test_the_longest_part_of_a_path_decides(tmp_path, folder):
    touch(folder, "uni/x.h5", "conch/x.h5")
    index = find_slides(folder, table=table(tmp_path, "P1,/data/features/uni/x.h5"))
    assert found(index, folder) == {"P1": ["uni/x.h5"]}


def test_a_table_of_clam_is_read_as_it_is(tmp_path, folder):
    touch(folder, "slide_1.pt", "slide_2.pt")
    path = tmp_path / "tumor_vs_normal.csv"
    path.write_text("case_id,slide_id,label\np1,slide_1,tumor\np2,slide_2,normal\n")
    index = find_slides(folder, table=path)
    assert found(index, folder) == {"p1": ["slide_1.pt"], "p2": ["slide_2.pt"]}
    assert any("column 'case_id' was read as 'PATIENT'" in note for note in index.notes)


def test_a_resolution_that_is_not_used_is_told(tmp_path, folder):
    touch(folder, "x.h5")
    path = tmp_path / "slides.csv"
    path.write_text("PATIENT,FILENAME,MPP,SCANNER\nP1,x.h5,0.25,A\n")
    (note,) = find_slides(folder, table=path).notes
    assert "column 'MPP' is not used" in note
