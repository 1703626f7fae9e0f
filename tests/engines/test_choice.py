"""What --on may say."""

import shutil

import pytest

from histodistill.engines import ray, slurm
from histodistill.engines.choice import Place
from histodistill.errors import InputError


def test_places_by_name():
    assert Place.named("local") == Place()
    assert Place.named("ray") == Place("ray")
    assert Place.named("ray://head-node:6379") == Place("ray", "head-node:6379")
    assert Place.named("slurm") == Place("slurm")


@pytest.mark.parametrize("word", ["", "Ray", "kubernetes", "ray://", "ray://head", "slurm://x"])
def test_another_word_is_refused(word):
    with pytest.raises(InputError, match=r"give local, ray, ray://HOST:PORT or slurm"):
        Place.named(word)


def absent(name):
    raise ImportError(name)


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(ray, "import_module", absent)
    with pytest.raises(InputError, match=r"--on ray needs the extra 'cluster'"):
        Place("ray").require()


def test_without_submitit_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(slurm, "import_module", absent)
    with pytest.raises(InputError, match=r"--on slurm needs the extra 'slurm'"):
        Place("slurm").require()


def test_without_sbatch_the_login_node_is_named(monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="such as the login node"):
        Place("slurm").require()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no.such.host.invalid:6379", "127.0.0.1:99999"])
def test_a_cluster_that_does_not_answer_is_told(address):
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=f"no Ray cluster answers at '{address}'"):
        Place.named(f"ray://{address}").require()
