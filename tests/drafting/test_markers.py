"""Columns and cells of receptor status, as the sources write them."""

import pandas as pd
import pytest

from histodistill.drafting.markers import find_markers


def found(**columns):
    table = pd.DataFrame(columns, dtype=object)
    return {each.target.name: each for each in find_markers(table)}


@pytest.mark.parametrize(
    ("column", "marker"),
    [
        ("ER", "ER"),
        ("ERstatus", "ER"),
        ("ER_STATUS_BY_IHC", "ER"),
        ("er_status_by_ihc", "ER"),
        ("ER_IHC", "ER"),
        ("Estrogen Receptor Status", "ER"),
        ("breast_carcinoma_estrogen_receptor_status", "ER"),
        ("oestrogen_receptor", "ER"),
        ("PgR", "PR"),
        ("PR_Status_nature2012", "PR"),
        ("breast_carcinoma_progesterone_receptor_status", "PR"),
        ("IHC_HER2", "HER2"),
        ("HER2/neu", "HER2"),
        ("HER2_Final_Status_nature2012", "HER2"),
        ("lab_proc_her2_neu_immunohistochemistry_receptor_status", "HER2"),
    ],
)
def test_names_of_columns(column, marker):
    assert set(found(**{column: ["Positive", "Negative"]})) == {marker}


@pytest.mark.parametrize("column", ["OTHER", "gender", "HERITAGE", "PRIOR_DX", "tumor_er_x"])
def test_other_names_and_other_cells(column):
    assert not found(**{column: ["a", "b"]})


def test_the_primary_tumours_status_goes_before_what_stands_beside():
    markers = found(
        metastatic_er_status=["Positive", "Negative"],
        er_status_ihc_Percent_Positive=["Positive", "Negative"],
        er_status_by_ihc=["Positive", "Negative"],
    )
    assert markers["ER"].target.column == "er_status_by_ihc"
    assert set(markers["ER"].others) == {"metastatic_er_status", "er_status_ihc_Percent_Positive"}


@pytest.mark.parametrize(
    ("cells", "meanings"),
    [
        (["positive", "NEGATIVE", "[Unknown]"], {}),
        (["1", "0", "NA"], {"1": "positive", "0": "negative"}),
        (["1.0", "0.0"], {"1.0": "positive", "0.0": "negative"}),
        (["+", "-"], {"+": "positive", "-": "negative"}),
        (["POS", "neg", "Equivocal"], {"POS": "positive", "neg": "negative", "Equivocal": None}),
        (["TRUE", "FALSE"], {"TRUE": "positive", "FALSE": "negative"}),
    ],
)
def test_cells_in_other_words(cells, meanings):
    assert found(ER=cells)["ER"].target.map == meanings
    assert found(ER=cells)["ER"].doubts == ()


def test_grades_of_her2_are_read_as_the_guideline_has_them_and_told():
    her2 = found(HER2=["0", "1+", "2+", "3+"])["HER2"]
    assert her2.target.map == {"0": "negative", "1+": "negative", "2+": None, "3+": "positive"}
    assert "ASCO/CAP" in her2.doubts[0]
    assert found(ER=["0", "1"])["ER"].target.map == {"0": "negative", "1": "positive"}


def test_doubtful_cells_are_told():
    er = found(ER=["Positive", "Negative", "low positive", "see report"])["ER"]
    assert er.target.map == {"low positive": "positive", "see report": None}
    guessed, unclear = er.doubts
    assert "'low positive' (1) were read by the word" in guessed
    assert "'see report' (1) count as unknown" in unclear
