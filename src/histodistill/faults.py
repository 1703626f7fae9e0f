"""Faults of the machine, told in a sentence: the disk, the rights to files, the memory."""

from __future__ import annotations

import errno
import re

_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "your quota of the disk is used up; free some space and run the same command "
    "again",
    errno.EFBIG: "the file system allows no larger file; choose another folder",
    errno.EROFS: "the file system is read-only; choose a folder that you may write to",
    errno.EACCES: "permission is denied; choose another place, or ask for the right to it",
    errno.EPERM: "the operation is not permitted; choose another place, or ask for the right to it",
    errno.ENOENT: "there is no such file or folder",
    errno.ENOTDIR: "a part of this path is a file, not a folder",
    errno.EISDIR: "is a folder, not a file",
    errno.ELOOP: "its symbolic links lead round in a circle",
    errno.ENAMETOOLONG: "the name is too long for this file system; choose a shorter one",
    errno.EMFILE: "too many files are open; raise `ulimit -n`, or use fewer --jobs",
    errno.ENFILE: "the machine has too many open files; close other programs",
    errno.EIO: "the disk cannot read or write it; check the disk, or copy the file again",
    errno.ESTALE: "the network folder is gone; mount it again and run the same command",
    errno.ENOMEM: "memory ran out; close other programs, or ask for less at a time",
    errno.ENOLCK: "this file system cannot lock files; choose a folder on another one",
}
_MEMORY = (
    "memory ran out; run it again with fewer --jobs, a smaller batch_size, or on a machine with "
    "more memory ({reason})"
)
# What the loader of libraries says where no memory is left for one.
_NO_ROOM = "failed to map segment from shared object"
# What pathlib says of links that lead round in a circle, before Python 3.13.
_CIRCLE = re.compile(r"Symlink loop from '(.*)'")
# How HDF5, safetensors and the C libraries behind them write the number of an error.
_NUMBER = re.compile(r"(?:errno = |os error |\[Errno |Error code )(\d+)")


def machine_fault(error: BaseException) -> str | None:
    """The sentence for a fault of the machine; None for anything else, a bug above all."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return _MEMORY.format(reason=_first_line(error) or "none is left")
    if isinstance(error, ImportError) and _NO_ROOM in str(error):
        return _MEMORY.format(reason=_first_line(error))
    circle = _CIRCLE.match(str(error)) if isinstance(error, RuntimeError) else None
    if circle is not None:
        return f"{circle[1]}: {_ADVICE[errno.ELOOP]}"
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return _name_fault(error)
    number = error_number(error)
    if number == errno.ENOMEM and not isinstance(error, OSError):
        return _MEMORY.format(reason=_first_line(error))
    if number is None:
        return None
    known = _ADVICE.get(number)
    reason = known or getattr(error, "strerror", None) or _first_line(error)
    place = getattr(error, "filename2", None) or getattr(error, "filename", None)
    return f"{place}: {reason}" if place else f"{reason} ({_first_line(error)})"


def _name_fault(error: UnicodeEncodeError) -> str:
    """A name from the disk or the command line whose bytes are no UTF-8 cannot be written."""
    around = error.object[max(0, error.start - 40) : error.end + 40]
    return f"{around!r}: this name is no UTF-8 text, and cannot be written down; rename it"


def error_number(error: BaseException) -> int | None:
    """The number of the system's error behind an exception, whichever library raised it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, OSError | RuntimeError) or type(error).__name__ == "SafetensorError":
        found = _NUMBER.search(str(error))
        return int(found[1]) if found else None
    return None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
