"""C++ source compiled on the machine that runs it, where that is possible."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from histodistill.files import user_cache, whole_file

OPTIONS = (
    *("-std=c++17", "-O3", "-fopenmp"),
    # Neither changes a value; both stand in the way of vector instructions.
    *("-fno-math-errno", "-fno-trapping-math"),
)
"""For every processor."""

_ARM = ("aarch64", "arm64")
_NATIVE = (
    *OPTIONS,
    *("-shared", "-fPIC"),
    # Arm's compilers take all that they know of a processor from -mcpu.
    "-mcpu=native" if platform.machine() in _ARM else "-march=native",
    *(("-mprefer-vector-width=512",) if platform.machine() == "x86_64" else ()),
)
_SECONDS = 120
# Lines of /proc/cpuinfo; Arm's name the processor besides, whose number tells instructions too.
_FEATURES = ("flags", "Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part")


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
        made_for = (text, compiler, _NATIVE, _processor(compiler))
        key = hashlib.sha256(repr(made_for).encode()).hexdigest()
        folder = _own_folder()
        if folder is None:
            return None
        library = folder / f"{source.stem}-{key[:16]}.so"
        if not library.exists():
            with whole_file(library) as made:
                command = [compiler, *_NATIVE, str(source), "-o", str(made)]
                subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
        return _loaded(library)
    except (OSError, subprocess.SubprocessError):
        return None


def compiled_function(
    source: Path, name: str, arguments: Sequence[type]
) -> Callable[..., None] | None:
    """A function of the library made of one C++ file, which returns nothing.

    Args:
        source: The file.
        name: The function's.
        arguments: Their types, of :mod:`ctypes`.

    Returns:
        None where there is no library (:func:`compiled`).
    """
    library = compiled(source)
    if library is None:
        return None
    function = library[name]
    function.argtypes = list(arguments)
    function.restype = None
    return function


def _own_folder() -> Path | None:
    """Where compiled code lies: the user's own, closed to everybody else; None where it is not."""
    folder = user_cache() / "compiled"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # of an earlier version, which left it open
        if folder.stat().st_uid == os.getuid() and not folder.is_symlink():
            folder.chmod(0o700)
    return folder if _is_own(folder.lstat(), stat.S_IFDIR) else None


def _is_own(found: os.stat_result, kind: int) -> bool:
    """Whether nobody but the user could have put something there."""
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_IFMT(found.st_mode) == kind and found.st_uid == os.getuid() and not writable


def _loaded(library: Path) -> ctypes.CDLL | None:
    """Load the very file that was checked; None where it is not the user's own."""
    handle = os.open(library, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not _is_own(os.fstat(handle), stat.S_IFREG):
        os.close(handle)
        return None
    # It stays open: the loader takes a name that it knows for the library that had it before.
    opened = Path(f"/proc/self/fd/{handle}")
    return ctypes.CDLL(str(opened if opened.exists() else library))


def _processor(compiler: str) -> tuple[str, ...]:
    """What distinguishes machines that need other instructions, or another C library.

    Processors of several kinds may share a home folder, and with it what was compiled there.
    """
    return (platform.machine(), *platform.libc_ver(), *(_features() or _macros(compiler)))


def _features() -> list[str]:
    """What the kernel says that the processor can do; nothing where it does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return sorted({line for line in lines if line.startswith(_FEATURES)})


def _macros(compiler: str) -> list[str]:
    """What the compiler takes the processor for."""
    command = [compiler, *_NATIVE, "-dM", "-E", "-x", "c++", os.devnull]
    told = subprocess.run(command, check=True, capture_output=True, timeout=_SECONDS)
    return sorted(told.stdout.decode(errors="replace").splitlines())
