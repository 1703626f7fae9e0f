"""Compiling on the spot, and doing without."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from histodistill.computing import compiled as module
from histodistill.computing.compiled import compiled

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("HISTODISTILL_COMPILE", raising=False)
    path = tmp_path / "small.cpp"
    path.write_text('extern "C" int twice(int value) { return 2 * value; }\n')
    return path


@needs_compiler
def test_a_library_is_made_once(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = compiled(source)
    assert library is not None
    assert library.twice(21) == 42

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("compiled again")

    monkeypatch.setattr(subprocess, "run", refuse)
    assert compiled(source) is not None


@needs_compiler
def test_another_source_is_another_library(source: Path) -> None:
    assert compiled(source) is not None
    source.write_text('extern "C" int twice(int value) { return value + value + 1; }\n')
    changed = compiled(source)
    assert changed is not None
    assert changed.twice(21) == 43


@needs_compiler
def test_another_processor_needs_another_library(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled(source) is not None
    monkeypatch.setattr(module, "_features", lambda: ["another"])
    assert compiled(source) is not None
    assert len(list((source.parent / "cache/histodistill/compiled").iterdir())) == 2


def test_without_a_compiler_there_is_none(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiled(source) is None


def test_a_compiler_that_fails_is_no_compiler(source: Path) -> None:
    source.write_text("this is not C++\n")
    assert compiled(source) is None


def test_one_may_ask_to_do_without(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTODISTILL_COMPILE", "0")
    assert compiled(source) is None


@needs_compiler
def test_a_library_of_somebody_else_is_not_loaded(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert compiled(source) is None


def test_a_cache_that_cannot_be_written_is_no_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled(source) is None


@needs_compiler
def test_the_folder_is_the_users_own_and_closed_to_others(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "histodistill" / "compiled"
    folder.mkdir(parents=True, mode=0o755)
    assert compiled(source) is not None
    assert folder.stat().st_mode & 0o777 == 0o700
    (library,) = folder.iterdir()
    library.chmod(0o666)
    assert compiled(source) is None
    library.chmod(0o644)
    assert compiled(source) is not None
    shutil.move(library, tmp_path / "elsewhere.so")
    library.symlink_to(tmp_path / "elsewhere.so")
    assert compiled(source) is None


@needs_compiler
def test_a_folder_that_is_a_link_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / "histodistill").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "cache" / "histodistill" / "compiled").symlink_to(tmp_path / "elsewhere")
    assert compiled(source) is None
    assert list((tmp_path / "elsewhere").iterdir()) == []
