"""Regular files of a plausible size, and nothing else that a path can lead to."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from histodistill.errors import InputError

MB = 2**20

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def opened(path: Path, *, most: int | None = None) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Args:
        path: The file.
        most: Bytes beyond which it cannot be what it is taken for.

    Yields:
        The stream.

    Raises:
        InputError: It is no regular file, or larger than ``most``.
        OSError: It is absent or cannot be opened.
    """
    # Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", closefd=True) as stream:
        _require_plausible(path, os.fstat(handle), most)
        yield stream


def require_regular(path: Path, *, most: int | None = None) -> None:
    """Refuse what a library that opens files by itself must not be given.

    Raises:
        InputError: It is no regular file, or larger than ``most``.
        OSError: It is absent or cannot be found.
    """
    _require_plausible(path, path.stat(), most)


def content(path: Path, *, most: int) -> bytes:
    """The content of a file of at most ``most`` bytes.

    Raises:
        InputError: It is no regular file, or larger.
        OSError: It is absent or cannot be read.
    """
    with opened(path, most=most) as stream:
        return stream.read(most)


def _require_plausible(path: Path, found: os.stat_result, most: int | None) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, "is a folder, not a file", str(path))
    if kind != stat.S_IFREG:
        raise InputError(f"{path}: is {_KINDS.get(kind, 'no file')}; give a regular file")
    if most is not None and found.st_size > most:
        raise too_large(path, found.st_size, most)


def too_large(path: Path, size: int, most: int) -> InputError:
    """The error for a file that is larger than such files are."""
    return InputError(
        f"{path}: holds {_megabytes(size)}, and such a file has at most {_megabytes(most)}; "
        "is it the right one?"
    )


def _megabytes(size: int) -> str:
    return f"{size / MB:,.0f} MB" if size < 10_000 * MB else f"{size / MB / 1024:,.0f} GB"
