"""Time limits as SLURM writes them, and arrays that fit."""

import subprocess

import pytest

from histodistill.engines.choice import Place
from histodistill.engines.slurm_limits import (
    free_places,
    largest_array,
    limit_seconds,
    seconds_of,
)
from histodistill.errors import InputError


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("90", 5400),
        ("90:30", 5430),
        ("1:30:00", 5400),
        ("2-0", 172_800),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("1-12:30:15", 131_415),
        ("an hour", None),
        ("1:2:3:4", None),
        ("-5", None),
        ("", None),
    ],
)
def test_times(said, seconds):
    assert seconds_of(said) == seconds


@pytest.mark.parametrize("said", ["UNLIMITED", "infinite", "-1", "0"])
def test_no_limit(said, monkeypatch):
    monkeypatch.setenv("SBATCH_TIMELIMIT", said)
    assert limit_seconds() == float("inf")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("soon", r"SBATCH_TIMELIMIT=soon: give minutes, or as SLURM writes times: 01:30:00"),
        ("3", r"SBATCH_TIMELIMIT=3: give at least 4 minutes"),
        ("0:30", r"SBATCH_TIMELIMIT=0:30: give at least 4 minutes"),
    ],
)
def test_a_limit_that_cannot_be_worked_with_is_refused_before_anything_else(
    said, told, monkeypatch
):
    pytest.importorskip("submitit")
    monkeypatch.setenv("SBATCH_TIMELIMIT", said)
    with pytest.raises(InputError, match=told):
        Place("slurm").require()


def test_the_default_is_an_hour(monkeypatch):
    monkeypatch.delenv("SBATCH_TIMELIMIT", raising=False)
    assert limit_seconds() == 3600


@pytest.mark.parametrize(
    ("told", "most"),
    [
        ("MaxArraySize            = 6\n", 5),
        ("MaxArraySize            = 100001\n", 1000),
        ("MaxArraySize            = 1\n", 1),
        ("slurm_load_ctl_conf error\n", 1000),
    ],
)
def test_arrays_are_as_large_as_the_cluster_allows(told, most, monkeypatch):
    def asked(command, **_):
        assert command == ["scontrol", "show", "config"]
        return subprocess.CompletedProcess(command, 0, told, "")

    monkeypatch.setattr("histodistill.engines.slurm_limits.subprocess.run", asked)
    assert largest_array() == most


@pytest.mark.parametrize(
    ("partition", "threads", "gpu", "places"),
    [
        (None, 1, False, 3 + 8),  # the default partition; a node of which nobody knows counts none
        (None, 4, False, 0 + 2),
        (None, 1, True, 0 + 4),
        (None, 4, True, 0 + 2),
        ("fast", 1, False, 8 + 16),
        ("fast,all", 1, False, 3 + 8 + 16),
        ("unknown", 1, False, None),
    ],
)
def test_free_places(partition, threads, gpu, places, monkeypatch):
    listing = (
        "all*|a|5/3/0/8|(null)\nall*|b|0/8/0/8|gpu:a100:3(S:0-1),gpu:1\nall*|c|0/0/8/8|(null)\n"
        "fast|b|0/8/0/8|gpu:a100:3(S:0-1),gpu:1\nfast|d|0/16/0/16|(null)\nnonsense\n"
    )
    answer = subprocess.CompletedProcess([], 0, stdout=listing)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    monkeypatch.delenv("SBATCH_PARTITION", raising=False)
    if partition:
        monkeypatch.setenv("SBATCH_PARTITION", partition)
    assert free_places(threads, gpu=gpu) == places


def test_free_places_that_nobody_tells(monkeypatch):
    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    assert free_places(1) is None
