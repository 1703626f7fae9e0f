"""Slides on a local Ray cluster of two workers."""

import os
import signal

import pytest

from histodistill.errors import InputError
from histodistill.extraction import cluster, extract_slides
from histodistill.extraction.cluster import ClusterTask, extract_on_cluster

pytest.importorskip("ray")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}


@pytest.fixture
def two_workers(monkeypatch):
    """Ray with two cores, quiet."""
    import ray

    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes_and_survives_a_killed_worker(
    two_workers, entries, encoder, settings, weights, tmp_path, monkeypatch
):
    slides = entries(4)
    extract_slides(slides, encoder, tmp_path / "alone", settings, batch_size=8)
    extract_one, marker = cluster.extract_one, tmp_path / "killed"

    def killed_once(slide, task):
        if slide.slide_id == "slide1" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return extract_one(slide, task)

    monkeypatch.setattr(cluster, "extract_one", killed_once)
    task = ClusterTask(settings, tmp_path / "out", weights, batch_size=8, allow_code=True)
    summary = extract_on_cluster(slides, task, "local")
    assert marker.exists()
    assert [record.status for record in summary.records] == ["done"] * 4
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_settings_are_checked_before_the_cluster_is_asked(
    entries, encoder, settings, weights, tmp_path
):
    out = tmp_path / "out"
    extract_slides(entries(1), encoder, out, settings)
    other = ClusterTask(
        settings.model_copy(update={"stain": "macenko"}), out, weights, allow_code=True
    )
    with pytest.raises(InputError, match=r"stain: macenko, not none"):
        extract_on_cluster([], other, "local")


def test_a_cluster_that_does_not_answer_is_told(settings, weights, tmp_path):
    task = ClusterTask(settings, tmp_path / "out", weights, allow_code=True)
    with pytest.raises(InputError, match=r"No Ray cluster answers at 'nowhere:1'"):
        extract_on_cluster([], task, "nowhere:1")


def test_without_ray_the_extra_is_named(settings, weights, tmp_path, monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(cluster, "import_module", absent)
    with pytest.raises(InputError, match=r"needs the extra 'cluster'"):
        extract_on_cluster(
            [], ClusterTask(settings, tmp_path / "out", weights, allow_code=True), "local"
        )
