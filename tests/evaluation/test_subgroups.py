from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from histodistill.evaluation import Answers, Runs, auc_of, holm, subgroup_table
from histodistill.evaluation.grouping import levels_of
from histodistill.evaluation.runs import runs_of
from histodistill.evaluation.subgroups import TOO_FEW
from tests.evaluation.simulated import three_class


def simulated(n: int, gains: np.ndarray, seed: int) -> Runs:
    """Patients with scores that differ by their own gain between the classes."""
    generator = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(int)
    p = 1 / (1 + np.exp(-(gains * (y - 0.5) + generator.normal(size=n))))
    answers = Answers.two_class(y, p)
    return Runs.joined([answers], answers.classes, 1)


def test_every_level_has_the_auc_of_its_patients():
    asked = simulated(120, np.full(120, 1.5), 0)
    column = pd.Series(np.where(np.arange(120) % 3 > 0, "north", "south"), asked_names(asked))
    table = subgroup_table(asked, {"Region": column}).set_index("level")
    for level, row in table.iterrows():
        own = asked.of(list(column.index[column == level]))
        assert tuple(row[["estimate", "low", "high"]]) == pytest.approx(auc_of(own))
        assert (row["n_patients"], row["n_positive"]) == (len(own), int(own.counts[1]))


def asked_names(runs: Runs) -> list[str]:
    """Patients of ``two_class`` answers in the order of their numbers."""
    return sorted(runs.patients, key=int)


def test_a_level_with_few_patients_of_a_class_says_so_and_is_not_tested():
    asked = simulated(60, np.full(60, 1.0), 1)
    names = asked_names(asked)
    column = pd.Series(["small"] * 12 + ["large"] * 48, names)
    table = subgroup_table(asked, {"Group": column}).set_index("level")
    assert table.loc["small", "note"] == TOO_FEW
    assert np.isnan(table["estimate"]["small"])
    assert table.loc["large", "note"] == ""
    assert table["p_interaction"].isna().all()


def test_the_interaction_is_cochrans_test_and_holm_adjusts_over_columns():
    gains = np.where(np.arange(400) < 200, 0.2, 3.0)
    asked = simulated(400, gains, 2)
    names = asked_names(asked)
    columns = {
        "differs": pd.Series(["a"] * 200 + ["b"] * 200, names),
        "same": pd.Series(["x", "x", "y", "y"] * 100, names),
    }
    table = subgroup_table(asked, columns)
    by_column = table.drop_duplicates("subgroup").set_index("subgroup")
    assert by_column["p_interaction"]["differs"] < 1e-6
    assert by_column["p_interaction"]["same"] > 0.01
    assert by_column["p_holm"].to_numpy() == pytest.approx(holm(by_column["p_interaction"]))
    own = table[table["subgroup"] == "differs"]
    weights = ((own["high"] - own["low"]) / (2 * 1.959964)) ** -2.0
    mean = (weights * own["estimate"]).sum() / weights.sum()
    q = (weights * (own["estimate"] - mean) ** 2).sum()
    assert by_column["p_interaction"]["differs"] == pytest.approx(chi2.sf(q, 1), rel=1e-4)


def test_the_test_of_interaction_keeps_its_level_where_there_is_none():
    generator = np.random.default_rng(3)
    found = []
    for seed in range(200):
        asked = simulated(160, np.full(160, 1.2), 100 + seed)
        column = pd.Series(generator.choice(["a", "b", "c"], 160), asked_names(asked))
        found.append(subgroup_table(asked, {"G": column})["p_interaction"].iloc[0])
    assert np.mean(np.array(found) < 0.05) < 0.1


def test_three_classes_have_a_mean_auc_and_no_number_of_positives():
    asked = runs_of(three_class(), "student", ("Basal", "LumA", "LumB"))
    column = pd.Series(["a"] * 40 + ["b"] * 5, sorted(asked.patients))
    table = subgroup_table(asked, {"G": column}, n_resamples=30).set_index("level")
    assert table["n_positive"].isna().all()
    row = table.loc["a"]
    assert row["low"] <= row["estimate"] <= row["high"]
    assert table.loc["b", "note"] == TOO_FEW


def test_a_column_of_strangers_gives_no_row():
    asked = simulated(40, np.full(40, 1.0), 0)
    assert subgroup_table(asked, {"G": pd.Series({"nobody": "a"})}).empty
    assert subgroup_table(asked, {}).empty


def test_many_numbers_are_cut_at_quartiles_and_few_stay():
    ages = levels_of(pd.Series(np.arange(100.0)))
    assert list(ages.cat.categories) == [
        "0 to 24.75",
        "above 24.75 to 49.5",
        "above 49.5 to 74.25",
        "above 74.25 to 99",
    ]
    assert (ages.value_counts() == 25).all()
    grades = levels_of(pd.Series(["1", "3", "2", None, " "]))
    assert list(grades.cat.categories) == ["1", "2", "3"]
    assert len(grades) == 3
    heavy = levels_of(pd.Series([0.0] * 50 + list(range(1, 8))))
    assert len(heavy) == 57
    assert heavy.notna().all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_levels_of_numbers_have_names_of_their_own(scale: float):
    stamps = pd.Series(1_420_070_400 + scale * np.arange(100.0))
    assert levels_of(stamps).nunique() == (1 if scale < 1e-6 else 4)
    assert not levels_of(stamps).str.contains("e+", regex=False).any()
    assert levels_of(pd.Series([0.1234567, 0.1234568] * 2)).nunique() == 2


def test_rare_words_are_joined_and_counted():
    words = pd.Series([f"site {k:02d}" for k in range(20) for _ in range(20 - k)])
    levels = levels_of(words)
    assert list(levels.cat.categories)[-1] == "8 others"
    assert (levels == "8 others").sum() == sum(range(1, 9))
    assert levels_of(pd.Series([], dtype=object)).empty
