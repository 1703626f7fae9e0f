"""What is at hand is found, and what is not is told with how to get it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from histodistill.diagnosis import diagnose, machine, packages
from histodistill.diagnosis.acceleration import acceleration
from histodistill.diagnosis.slide_reading import slide_reading
from histodistill.diagnosis.storage import folders
from histodistill.encoders import ENCODERS
from histodistill.encoders.at_hand import weights_at_hand
from histodistill.files import user_cache

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "histodistill"


def test_every_extra_says_what_it_brings():
    declared = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(packages.BRINGS) == set(declared) - {"all", "dev"}


def test_an_extra_that_lacks_a_package_says_how_to_get_it(monkeypatch):
    lines = [
        "numpy>=1.26",
        'optuna>=3.6; extra == "tuning"',
        'timm>=1.0.9; extra == "encoders"',
        'torchvision; extra == "encoders"',
    ]
    monkeypatch.setattr(packages, "requires", lambda name: lines)
    monkeypatch.setattr(packages, "installed_version", {"timm": "1.0.9"}.get)
    found = {extra.name: extra for extra in packages.extras()}
    assert found["tuning"].told().startswith("not installed; for search for settings")
    assert found["tuning"].told().endswith("pip install 'histodistill[tuning]'")
    assert found["encoders"].installed == {"timm": "1.0.9"}
    assert found["encoders"].told().startswith("lacks torchvision; for pathology encoders")


def test_the_machine_is_read_from_the_kernel_and_the_environment(monkeypatch):
    files = {
        "cpuinfo": ["model name : Some CPU", "flags : sse avx2 avx512f", "flags : sse avx2"],
        "meminfo": ["MemTotal:  64000000 kB", "MemAvailable:  32000000 kB"],
        "memory.max": ["8000000000"],
    }
    monkeypatch.setattr(machine, "_lines", lambda path: files.get(path.name, []))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = machine.machine()
    assert found.features == {"AVX2": True, "AVX-512": True, "AMX bfloat16": False, "NEON": False}
    assert (found.memory_bytes, found.available_bytes) == (8_000_000_000, 8_000_000_000)
    rows = dict(found.rows())
    assert rows["instructions"] == "AVX2, AVX-512"
    assert rows["memory"] == "8.0 GB, 8.0 GB free"
    assert "OMP_NUM_THREADS=3" in rows["threads"]


def test_a_system_that_tells_nothing_is_no_failure(monkeypatch):
    monkeypatch.setattr(machine, "_lines", lambda path: [])
    found = machine.machine()
    assert (found.features, found.memory_bytes) == ({}, None)
    assert dict(found.rows())["memory"] == "the system does not tell"


def test_without_pytorch_everything_else_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = diagnose()
    assert "cannot be imported" in found.sections()["Acceleration"][0][1]
    assert found.versions["torch"]


def test_kernels_that_are_not_wanted_or_do_not_compile_are_told(monkeypatch):
    monkeypatch.setenv("HISTODISTILL_COMPILE", "0")
    assert "HISTODISTILL_COMPILE=0" in dict(acceleration().rows())["kernels"]
    monkeypatch.delenv("HISTODISTILL_COMPILE")
    monkeypatch.setenv("CXX", "no-such-compiler")
    rows = dict(acceleration().rows())
    assert rows["compiler"].startswith("none; install one")
    assert rows["kernels"].startswith("do not compile")


@pytest.mark.parametrize(
    ("ratio", "told"),
    [
        (7.6, "on this processor 7.6 times as fast as float32, as measured; `precision: auto` "),
        (0.0106, "on this processor 94 times slower than float32, as measured; `precision: auto` "),
    ],
)
def test_what_bfloat16_brings_is_measured_and_told(ratio, told, monkeypatch):
    monkeypatch.setenv("HISTODISTILL_COMPILE", "0")  # it takes seconds
    monkeypatch.setattr("histodistill.diagnosis.acceleration.times_as_fast", lambda narrow: ratio)
    trains = "trains in bfloat16" if ratio > 1 else "trains in float32"
    assert dict(acceleration().rows())["bfloat16"] == told + trains


def test_weights_in_the_cache_of_the_hub_are_at_hand(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.file_download, "HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert weights_at_hand(ENCODERS["phikon"]) is None
    place = tmp_path / "models--owkin--phikon"
    weights = place / "snapshots" / "0123" / "pytorch_model.bin"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0123")
    assert weights_at_hand(ENCODERS["phikon"]) == weights
    told = dict(slide_reading().rows())
    assert told["phikon"] == f"at hand: {weights}"
    assert told["uni"] == "not here (gated): https://huggingface.co/MahmoodLab/UNI"
    assert told["ctranspath"].startswith("not here (on no hub): ")


def test_a_damaged_pin_is_told_with_its_encoder():
    place = user_cache() / "weights" / "owkin--phikon--model.safetensors.json"
    place.parent.mkdir(parents=True)
    place.write_text("{")
    assert dict(slide_reading().rows())["phikon"].startswith(f"{place}: damaged")


def test_a_cache_is_measured_and_one_that_cannot_be_written_is_told(cache, tmp_path, monkeypatch):
    (cache / "packed").mkdir(parents=True)
    (cache / "packed" / "bags").write_bytes(bytes(2_000_000))
    own = folders()[-1]
    assert (own.path, own.used_bytes, own.writable) == (cache, {"packed": 2_000_000}, True)
    assert ", 2.0 MB packed" in own.told()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert folders()[-1].told().endswith("set XDG_CACHE_HOME to another")
