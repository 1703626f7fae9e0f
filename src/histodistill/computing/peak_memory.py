"""The most memory that this process has held."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most memory that this process has held, bytes.

    On Linux what the kernel knows of the program itself: ``getrusage`` also counts what the
    process held before it became this program, which is the caller's where it was forked.
    """
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    held = re.search(r"^VmHWM:\s+(\d+) kB", _text(_STATUS), re.MULTILINE)
    if held:
        return 1024 * int(held[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
