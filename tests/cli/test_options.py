"""Options that mean nothing without another are refused before anything is read."""

from __future__ import annotations

import pytest

from tests.cli.command_line import fail

PREDICT = ("predict", "nowhere", "--out", "out.csv")
EVALUATE = ("evaluate", "nowhere.csv", "--out", "report")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ((*PREDICT, "--weights", "w.pt", "--features", "f"), "--weights has no effect without"),
        ((*PREDICT, "--slide-mpp", "0.5", "--features", "f"), "--slide-mpp has no effect without"),
        ((*PREDICT, "--features-out", "d", "--features", "f"), "without --slides"),
        ((*PREDICT, "--allow-torchscript-code", "--features", "f"), "without --slides"),
        ((*PREDICT, "--slides-table", "t.csv", "--slides", "s"), "without --features"),
        ((*PREDICT, "--layout", "clam", "--slides", "s"), "--layout has no effect"),
        ((*PREDICT, "--layout", "clan", "--features", "s"), "--layout: unknown feature layout"),
        ((*PREDICT, "--patient-pattern", "x", "--genomics", "a=b"), "--features or --slides"),
        ((*PREDICT, "--max-missing-genes", "0.2", "--features", "f"), "without --genomics"),
        ((*PREDICT, "--no-check-scale", "--features", "f"), "--check-scale has no effect"),
        ((*EVALUATE, "--target", "ER"), "--target has no effect without --clinical"),
        ((*EVALUATE, "--map", "a=b"), "--map has no effect without --clinical"),
        ((*EVALUATE, "--patient-column", "PATIENT"), "--patient-column has no effect"),
        (("simulate", "nowhere", "--slide-px", "600"), "--slide-px has no effect without --slides"),
    ],
    ids=lambda value: " ".join(value[3:]) if isinstance(value, tuple) else "",
)
def test_an_option_without_effect_is_a_problem(words: tuple[str, ...], problem: str) -> None:
    assert problem in fail(*words)[0]


def test_all_of_them_are_told_at_once() -> None:
    problems = fail(*PREDICT, "--features", "f", "--weights", "w", "--slide-mpp", "1")
    assert [problem.split()[0] for problem in problems] == ["--weights", "--slide-mpp"]
