"""The table of patients, ranked patches and the feature map."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from histodistill.explanation.raster import PatchPlaces
from histodistill.viewer.cohort import Cohort
from histodistill.viewer.feature_map import feature_map
from histodistill.viewer.layers import Layer
from histodistill.viewer.patients_table import patients_table
from histodistill.viewer.ranking import box_of, patch_at, row_titles, strongest
from histodistill.viewer.reviews import Review


def cohort(classes: tuple[str, ...], positive: str | None, probabilities: np.ndarray) -> Cohort:
    table = pd.DataFrame(
        {
            "PATIENT": ["A", "B", "C"],
            "truth": [classes[1], classes[0], ""],
            "call": [classes[1], classes[1], ""],
            "answered_by": ["student", "student", ""],
            "site": "",
            "scope": ["", "ink", ""],
            "student": probabilities[:, 1],
        }
    )
    return Cohort("n", "m", "ER", classes, positive, table, probabilities, {"A": ("A-1", "A-2")})


def test_error_and_uncertainty_of_two_classes() -> None:
    answers = np.array([[0.1, 0.9], [0.4, 0.6], [np.nan, np.nan]])
    found = cohort(("negative", "positive"), "positive", answers)
    review = Review("B", "ER", "m", "positive", "disagree", "necrosis", "R")
    table = patients_table(found, {"B": review})
    assert table["probability"].tolist()[:2] == [0.9, 0.6]
    assert table["error"].tolist()[:2] == pytest.approx([0.1, 0.6])
    assert table["uncertainty"].tolist()[:2] == pytest.approx([0.2, 0.8])
    assert table[["probability", "error", "uncertainty"]].iloc[2].isna().all()
    assert table["slides"].tolist() == [2, 0, 0]
    assert table["out of scope"].tolist() == ["", "ink", ""]
    assert found.networks == ["student"]
    assert table["verdict"].tolist() == ["", "disagree", ""]
    assert table["remark"].tolist() == ["", "necrosis", ""]


def test_error_and_uncertainty_of_three_classes() -> None:
    answers = np.array([[0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [np.nan] * 3])
    table = patients_table(cohort(("a", "b", "c"), None, answers), {})
    assert table["probability"].tolist()[:2] == [0.5, 0.6]  # of the called class
    assert table["error"].tolist()[:2] == pytest.approx([0.5, 0.9])
    assert table["uncertainty"].tolist()[:2] == pytest.approx([0.8, 0.7])


def test_strongest_patches_leave_out_the_unknown() -> None:
    values = np.array([0.0, 5.0, np.nan, -4.0, 2.0, 1.0])
    assert strongest(values, 2) == ([1, 4], [3, 0])
    assert strongest(values, 8) == ([1, 4], [3, 0])


@pytest.mark.parametrize(
    ("values", "titles"),
    [
        ([3.0, -2.0], ("Most for positive", "Most for negative")),
        ([-1.0, -2.0], ("Least for negative", "Most for negative")),
        ([2.0, 1.0], ("Most for positive", "Least for positive")),
    ],
)
def test_no_patch_is_said_to_speak_for_a_side_that_it_speaks_against(
    values: list[float], titles: tuple[str, str]
) -> None:
    ends = ("negative", "positive")
    layer = Layer("e", np.array(values), "RdBu_r", (-3.0, 3.0), "log odds", ends)
    assert row_titles(layer, *strongest(layer.values, 1)) == titles
    attention = Layer("a", np.array(values), "cividis", (0.0, 4.0), "× mean")
    assert row_titles(attention, *strongest(layer.values, 1)) == ("Highest", "Lowest")


def test_the_patch_at_a_place() -> None:
    places = PatchPlaces(np.array([[0.0, 0.0], [50.0, 0.0], [400.0, 0.0]]), 100.0)
    assert patch_at(places, 60, 20) == 0
    assert patch_at(places, 90, 20) == 1
    assert patch_at(places, 300, 20) is None
    assert box_of(places, 2) == (400, 0, 500, 100)


def test_the_feature_map_has_the_two_widest_directions() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6)) * [9, 4, 0.1, 0.1, 0.1, 0.1]
    places, shares = feature_map(features)
    reference = PCA(2).fit(features)
    assert np.abs(places) == pytest.approx(np.abs(reference.transform(features)))
    assert shares == pytest.approx(tuple(reference.explained_variance_ratio_))
    alone, _ = feature_map(features[:1])
    assert (alone == 0).all()
