"""What the process does with memory that was freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from histodistill.computing.freed_memory import keep_freed_memory

def step():
    arrays = [np.ones(10_000_000) for _ in range(3)]  # 80 MB each

if sys.argv[1] == "keep":
    keep_freed_memory()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone is told to keep memory")
def test_the_second_step_finds_the_memory_of_the_first() -> None:
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", PROGRAM, how], text=True))
        for how in ("keep", "default")
    }
    assert faults["keep"] < 0.1 * faults["default"]
