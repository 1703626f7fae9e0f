"""C++ source compiled on the machine that runs it, where that is possible."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from histodistill.files import user_cache, whole_file

_OPTIONS = (
    *("-std=c++17", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC"),
    # Neither changes a value; both stand in the way of vector instructions.
    *("-fno-math-errno", "-fno-trapping-math"),
    *(("-mprefer-vector-width=512",) if platform.machine() == "x86_64" else ()),
)
_SECONDS = 120


def compiled(source: Path) -> ctypes.CDLL | None:
    """The library made of one C++ file; None where there is no compiler, or it fails.

    It is kept in the user's cache and made again for another processor or another source. Setting
    ``HISTODISTILL_COMPILE=0`` does without.
    """
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None or os.environ.get("HISTODISTILL_COMPILE") == "0":
        return None
    try:
        text = source.read_bytes()
        key = hashlib.sha256(repr((text, compiler, _OPTIONS, _processor())).encode()).hexdigest()
        library = user_cache() / "compiled" / f"{source.stem}-{key[:16]}.so"
        if not library.exists():
            with whole_file(library) as made:
                command = [compiler, *_OPTIONS, str(source), "-o", str(made)]
                subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        if library.stat().st_uid != os.getuid():  # somebody else's code
            return None
        return ctypes.CDLL(str(library))
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    """What distinguishes processors that need different instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
