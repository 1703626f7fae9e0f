"""Epochs travel from workers to whoever watches, and hold nobody up."""

from __future__ import annotations

import math
import tempfile

from histodistill.cohort import Fold
from histodistill.training import Epoch, Fit
from histodistill.training.run.worker_epochs import epochs_of_workers, tell_epoch

FITS = [Fit("ER", "mkd", seed, Fold(0, 0, ("a",), ("b",), ("c",))) for seed in (0, 1)]


def epoch(number: int, auc: float = 0.5) -> Epoch:
    return Epoch(number, 1e-3, {"total": 0.5}, {"student_auc": auc}, best=False)


def test_what_is_told_is_heard_to_the_end():
    heard: list[tuple[Fit, Epoch]] = []
    with epochs_of_workers(FITS, lambda fit, told: heard.append((fit, told))) as address:
        for number in range(3):
            tell_epoch(address, FITS[1], epoch(number))
        tell_epoch(address, FITS[0], epoch(0, math.nan))
    assert heard[:3] == [(FITS[1], epoch(number)) for number in range(3)]
    assert heard[3][0] == FITS[0]
    assert math.isnan(heard[3][1].validation["student_auc"])


def test_nobody_listens_and_nothing_happens(tmp_path):
    tell_epoch(str(tmp_path / "none"), FITS[0], epoch(0))
    tell_epoch("", FITS[0], epoch(0))


def test_a_deep_temporary_folder_does_without(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with epochs_of_workers(FITS, lambda fit, told: None) as address:
        assert address == ""
    assert not list(deep.iterdir())
