"""What --on may say."""

import http.server
import os
import shutil
import sys
import threading
from pathlib import Path

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


def test_a_web_server_is_no_cluster():
    """Such as Ray's own dashboard, whose address `ray start` tells too."""
    pytest.importorskip("ray")

    class Silent(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="something else than Ray listens there"):
            Place("ray", f"127.0.0.1:{server.server_port}").require()
        server.shutdown()


@pytest.mark.parametrize("said", ["127.0.0.1:1", "ray://127.0.0.1:1", "http://127.0.0.1:1"])
def test_the_address_of_the_environment_is_tried_at_once(said, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", said)
    with pytest.raises(InputError, match=r"no Ray cluster answers at .*without RAY_ADDRESS"):
        Place("ray").require()


@pytest.mark.parametrize("said", [None, "disabled"])
def test_a_token_is_sent_where_there_is_one_and_nothing_else_is_said(said, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(ray, "import_module", lambda name: sys)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("RAY_AUTH_MODE", said or "")
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", *([] if said else ["RAY_AUTH_MODE"])):
        monkeypatch.delenv(name, raising=False)
    ray.ray_or_problem()
    assert os.environ.get("RAY_AUTH_MODE") == said
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("a" * 64)
    ray.ray_or_problem()
    assert os.environ.get("RAY_AUTH_MODE") == (said or "token")


def test_what_sbatch_refuses_is_told_before_anything_is_read(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho $* >&2; echo no such partition >&2; exit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(InputError, match=r"takes no task .*--test-only .*no such partition"):
        Place("slurm").require()
