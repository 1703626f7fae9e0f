"""The time that is left is estimated from what was done; lines are said at a sensible pace."""

from __future__ import annotations

import pytest

from histodistill.cli.time_left import Pace, TimeLeft, said


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_known_before_anything_is_done():
    left = TimeLeft({"mkd": 4}, {"mkd": 10}, clock=Clock())
    assert left.seconds() is None
    assert said(None) == "time left not known yet"


def test_epochs_of_a_running_training_tell_of_all():
    clock = Clock()
    left = TimeLeft({"mkd": 4}, {"mkd": 10}, clock=clock)
    for epoch in range(5):
        clock.now += 3
        left.on_epoch("mkd", "fold 0", epoch)
    assert left.running == 1
    assert left.seconds() == pytest.approx(3.5 * 30)


def test_a_training_that_stops_early_makes_the_others_shorter():
    clock = Clock()
    left = TimeLeft({"mkd": 3}, {"mkd": 10}, clock=clock)
    for epoch in range(4):
        clock.now += 3
        left.on_epoch("mkd", "fold 0", epoch)
    left.on_end("mkd", "fold 0")
    assert left.running == 0
    assert left.seconds() == pytest.approx(2 * 12)
    clock.now += 3
    left.on_epoch("mkd", "fold 1", 0)
    assert left.seconds() == pytest.approx(1.75 * 12)


def test_each_method_has_its_price_and_side_by_side_halves_it():
    clock = Clock()
    left = TimeLeft({"baselines": 2, "abmil": 4, "mkd": 4}, {"abmil": 5, "mkd": 5}, clock=clock)
    clock.now += 1
    left.on_end("baselines", "b0")
    assert left.seconds() is None  # a baseline says nothing of trainings
    clock.now += 1
    left.on_end("baselines", "b1")
    for epoch in range(5):  # two at the same time
        for name in ("a0", "a1"):
            clock.now += 1
            left.on_epoch("abmil", name, epoch)
    left.on_end("abmil", "a0")
    left.on_end("abmil", "a1")
    assert left.seconds() == pytest.approx(2 * 5 + 4 * 5)  # mkd as abmil, until it begins
    for epoch in range(5):
        clock.now += 10
        left.on_epoch("mkd", "m0", epoch)
    left.on_end("mkd", "m0")
    assert left.seconds() == pytest.approx(2 * 5 + 3 * 50)


def test_a_resumed_training_has_less_left():
    clock = Clock()
    left = TimeLeft({"mkd": 1}, {"mkd": 16}, clock=clock)
    for epoch in (7, 8, 9, 10):
        clock.now += 3
        left.on_epoch("mkd", "fold 0", epoch)
    assert left.seconds() == pytest.approx(5 * 3)
    left.on_end("mkd", "fold 0")
    assert left.seconds() == 0


def test_preparing_the_data_is_no_epoch():
    clock = Clock()
    left = TimeLeft({"programmes": 6}, {"programmes": 100}, {"programmes": 5}, clock)
    for name in ("fold 0", "fold 1"):
        clock.now += 30
        left.on_epoch("programmes", name, 0)
    for epoch in (1, 2, 3):
        assert left.seconds() is None
        clock.now += 0.1
        left.on_epoch("programmes", "fold 0", epoch)
    whole = 5 * 30 + 5 * 99 * 0.1
    assert left.seconds() == pytest.approx(6 * whole - 2 * 30 - 3 * 0.1)


def test_every_model_of_a_training_prepares_its_data():
    clock = Clock()
    left = TimeLeft({"programmes": 2}, {"programmes": 100}, {"programmes": 2}, clock)
    for _ in range(2):
        for epoch in range(4):
            clock.now += 0.1 if epoch else 30
            left.on_epoch("programmes", "fold 0", epoch)
    clock.now += 5
    left.on_end("programmes", "fold 0")
    assert left.seconds() == pytest.approx(2 * (30 + 3 * 0.1) + 5)


def test_lines_are_said_each_minute_and_seldom_in_a_run_of_days():
    clock = Clock()
    pace = Pace(clock)
    said_at = []
    for second in range(0, 10 * 24 * 3600, 30):
        clock.now = 1000.0 + second
        if pace.due():
            said_at.append(second)
    assert said_at[:3] == [60, 120, 180]
    assert len(said_at) < 1000


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (20, "less than a minute left"),
        (100, "about 2 min left"),
        (3 * 3600, "about 3 h left"),
        (5 * 86400, "about 5 days left"),
    ],
)
def test_time_is_said_as_people_do(seconds, words):
    assert said(seconds) == words


def test_epochs_of_which_only_some_are_told_cost_no_more():
    """As of trainings on other machines, looked at every few seconds."""
    clock = Clock()
    left = TimeLeft({"mkd": 2}, {"mkd": 60}, clock=clock)
    for epoch in (9, 19, 29):  # ten epochs in five seconds
        clock.now += 5
        left.on_epoch("mkd", "fold 0", epoch)
    # The first look, which may have included a start, and 50 epochs; 30 more of the other one.
    assert left.seconds() == pytest.approx(5 + 59 * 0.5 + 30 * 0.5)


def test_models_of_which_only_some_epochs_are_told_are_counted():
    clock = Clock()
    left = TimeLeft({"programmes": 1}, {"programmes": 10}, {"programmes": 3}, clock=clock)
    for epoch in (4, 9, 3, 9):
        clock.now += 5
        left.on_epoch("programmes", "fold 0", epoch)
    # Ten epochs are left, of a model that begins anew.
    assert left.seconds() == pytest.approx(5 + 9 * (5 + 5) / (5 + 6))
