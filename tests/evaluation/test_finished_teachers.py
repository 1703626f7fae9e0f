"""Teachers that several methods share stand once in a leaderboard."""

from __future__ import annotations

import pandas as pd
import pytest

from histodistill.evaluation import build_leaderboard
from histodistill.evaluation.finished_teachers import repeated_teachers, without_repeats
from histodistill.report.paper_tables import paper_table
from tests.evaluation.simulated import two_class

WAYS = (("kd-offline", 1.0), ("sp-offline", 1.4), ("mkd", 2.0))


@pytest.fixture
def table() -> pd.DataFrame:
    """Three ways to distil, of which the first two share the teachers."""
    made = two_class(methods=WAYS, networks=("student", "multimodal", "genomic"))
    rows = {name: made.index[made["method"] == name] for name, _ in WAYS}
    for network in ("multimodal", "genomic"):
        made.loc[rows["sp-offline"], network] = made.loc[rows["kd-offline"], network].to_numpy()
    return made


def test_shared_teachers_stand_once_and_students_stay(table: pd.DataFrame) -> None:
    repeats = repeated_teachers(table.sample(frac=1, random_state=0).sort_values("method"))
    assert repeats == {(n, "sp-offline"): "kd-offline" for n in ("multimodal", "genomic")}
    left = without_repeats(table, repeats)
    pd.testing.assert_series_equal(left["student"], table["student"])
    emptied = left["multimodal"].isna()
    assert set(left.loc[emptied, "method"]) == {"sp-offline"}
    assert emptied.sum() == (table["method"] == "sp-offline").sum()


def test_one_other_answer_is_another_teacher(table: pd.DataFrame) -> None:
    last = table.index[table["method"] == "sp-offline"][-1]
    table.loc[last, "genomic"] += 1e-12
    assert repeated_teachers(table) == {("multimodal", "sp-offline"): "kd-offline"}


def test_a_method_without_a_student_is_no_repeat_but_stands_for_teachers(
    table: pd.DataFrame,
) -> None:
    alone = table[table["method"] == "kd-offline"].assign(method="genomic", student=float("nan"))
    alone["multimodal"] = float("nan")
    twin = alone.assign(method="twin")
    repeats = repeated_teachers(pd.concat([alone, twin, table]))
    assert repeats["genomic", "kd-offline"] == repeats["genomic", "sp-offline"] == "genomic"
    assert ("genomic", "twin") not in repeats


def test_the_leaderboard_ranks_and_compares_them_once(table: pd.DataFrame) -> None:
    board = build_leaderboard(table, reference="mkd")
    named = set(board.results[["network", "method"]].itertuples(index=False, name=None))
    assert ("student", "sp-offline") in named
    assert ("genomic", "sp-offline") not in named
    assert len(board.comparisons) == 4  # two students, one teacher of each kind
    assert [len(ranking.mean_ranks) for ranking in board.rankings] == [3, 2, 2]
    note = "kd-offline (genomics only) stands for the teachers of sp-offline too"
    assert any(said.startswith(note) for said in paper_table(board).notes)


def test_a_reference_stands_for_itself(table: pd.DataFrame) -> None:
    board = build_leaderboard(table, reference="sp-offline")
    assert board.references["genomic"] == "sp-offline"
    assert not board.repeats
