"""A task on another machine."""

from pathlib import Path

import pytest

from histodistill.engines import elsewhere
from histodistill.engines.elsewhere import Elsewhere
from histodistill.errors import InputError


def test_another_version_there_is_refused_before_the_work_begins():
    def work(task):
        raise AssertionError(task)

    there = Elsewhere(work, Path.cwd(), {"histodistill": "0.0.1", "numpy": "0.1"})
    with pytest.raises(InputError, match=r"has histodistill .* where the command has 0\.0\.1, num"):
        there((1,)).result()


def test_the_same_versions_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = Elsewhere(sum, tmp_path)
    monkeypatch.chdir("/")
    assert there((1, 2)).result() == 3
    assert Path.cwd() == tmp_path


def test_a_folder_that_is_not_seen_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"elsewhere: .* does not see it .*all machines share"):
        Elsewhere(sum, tmp_path / "elsewhere")((1,)).result()


def test_results_that_would_stay_on_that_machine_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "_LATE_SECONDS", 0.01)
    mark = tmp_path / "results" / ".tasks" / "command"
    there = Elsewhere(sum, tmp_path, mark=mark)
    with pytest.raises(InputError, match=r"results: .* does not see what the command writes"):
        there((1, 2)).result()
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert there((1, 2)).result() == 3
