"""Slides as tasks of a local Ray cluster of two nodes, and of submitit."""

import os
import signal

import pytest

from histodistill.engines.choice import Place
from histodistill.engines.engine import LostTaskError
from histodistill.errors import InputError
from histodistill.extraction import elsewhere, extract_slides
from histodistill.extraction.elsewhere import SlidesThere, extract_elsewhere


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes_and_survives_a_killed_worker(
    entries, encoder, settings, weights, tmp_path, ray_cluster
):
    slides = entries(4)
    extract_slides(slides, encoder, tmp_path / "alone", settings, batch_size=8)
    marker = tmp_path / "killed"

    class KilledOnce(SlidesThere):
        def __call__(self, slides):
            if slides[0].slide_id == "slide1" and not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(slides)

    work = KilledOnce(settings, tmp_path / "out", weights, batch_size=8, allow_code=True)
    with pytest.warns(UserWarning, match="a task was lost and is run"):
        summary = extract_elsewhere(slides, work, Place("ray", ray_cluster))
    assert marker.exists()
    assert [record.status for record in summary.records] == ["done"] * 4
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_a_slide_whose_worker_always_dies_is_a_failure(
    entries, settings, weights, tmp_path, monkeypatch
):
    """Here every task is lost; what becomes of one is told where all slides are told."""
    monkeypatch.setattr(elsewhere, "run_tasks", lambda engine, work, tasks: lost_of(tasks))

    def lost_of(tasks):
        return [(task, LostTaskError("killed")) for task in tasks]

    work = SlidesThere(settings, tmp_path / "out", weights, allow_code=True)
    summary = extract_elsewhere(entries(2), work, Place())
    assert [record.status for record in summary.records] == ["failed"] * 2
    reason = "its worker ended each time that it was tried, last: killed"
    assert reason in (tmp_path / "out" / "extraction.csv").read_text()


def test_settings_are_checked_before_the_cluster_is_asked(
    entries, encoder, settings, weights, tmp_path
):
    out = tmp_path / "out"
    extract_slides(entries(1), encoder, out, settings)
    other = SlidesThere(
        settings.model_copy(update={"stain": "macenko"}), out, weights, allow_code=True
    )
    with pytest.raises(InputError, match=r"stain: macenko, not none"):
        extract_elsewhere([], other, Place("ray", "nowhere.invalid:1"))
