from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from histodistill.computing import peak_memory
from histodistill.computing.peak_memory import peak_bytes


def test_a_caller_s_memory_is_not_a_program_s() -> None:
    """A program that a large process starts has not held what that process holds."""
    held = bytearray(b"1") * 400_000_000
    code = "from histodistill.computing.peak_memory import peak_bytes; print(peak_bytes())"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert 5e6 < int(run.stdout) < 200e6
    assert len(held) < peak_bytes()


def test_without_the_kernel_s_word_getrusage_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(peak_memory, "_STATUS", tmp_path / "absent")
    assert peak_bytes() > 5e6
