"""Files that are either whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from histodistill.errors import InputError
from histodistill.faults import error_number


@functools.cache
def _nameless_cache() -> Path:
    """A folder of this process alone, for a container's user without a home."""
    folder = tempfile.mkdtemp(prefix="histodistill-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def user_cache() -> Path:
    """The user's folder of what can be made again: below ``$XDG_CACHE_HOME``, or ``~/.cache``."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        base = chosen if chosen.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # a container's nameless user
        base = _nameless_cache()
    return base / "histodistill"


@contextmanager
def whole_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds.

    A crash, at any moment, leaves either the old file or the new one, never a part of one. What
    a killed process left in the same folder is removed by the next one that writes there.

    Args:
        path: Where the finished file goes. Its folder is made if it is missing.
        private: Nobody but its owner can read it, at any moment.

    Yields:
        The temporary path to write to. It keeps the suffix of ``path``.

    Raises:
        InputError: A device or a pipe has that name, which a file would replace.
        OSError: It cannot be written; ``filename`` is ``path``, whoever wrote.
    """
    with _told_of(path):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"{path}: is a device or a pipe, not a file; name a file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            # mkstemp makes files private; give the finished file the user's ordinary permissions.
            if not private:
                temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; rename it to ``path`` when the block succeeds.

    Args:
        path: Where the finished folder goes; it does not exist yet. Its parent is made if it is
            missing.

    Yields:
        The temporary folder to fill.

    Raises:
        OSError: It cannot be written; ``filename`` is ``path``, whoever wrote.
    """
    with _told_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        draft = Path(tempfile.mkdtemp(dir=path.parent, prefix=_prefix(path)))
        try:
            yield draft
            draft.chmod(0o777 & ~_umask())
            draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """Let every error of the system name the file that was to be written."""
    try:
        yield
    except Exception as error:
        number = error_number(error)
        if number is None or (isinstance(error, OSError) and not _concerns(error, path)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _concerns(error: OSError, path: Path) -> bool:
    """Whether an error is of the file that is being written, or does not say of which it is."""
    named = error.filename
    return named is None or (
        isinstance(named, str | os.PathLike) and Path(named).parent in (path.parent, path)
    )


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@functools.cache
def _machine() -> str:
    """The machine, and on it the space in which process numbers are unique (a container's)."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        space = 0
    return hashlib.sha256(f"{socket.gethostname()}/{space}".encode()).hexdigest()[:8]


def _prefix(path: Path) -> str:
    """How the name of a temporary begins: whose it is, and of which process."""
    return f".{path.stem[:100]}-{_machine()}-{os.getpid()}-"


_TEMPORARY = re.compile(r"\..*-(?P<machine>[0-9a-f]{8})-(?P<process>\d+)-[a-z0-9_]{8}(\..*)?")
# Older temporaries of another machine are of nobody who still writes.
_ABANDONED_SECONDS = 86_400.0


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove what processes that are gone left half-written in a folder; once a process."""
    with os.scandir(folder) as entries:
        left = [(e, named) for e in entries if (named := _TEMPORARY.fullmatch(e.name))]
    for entry, named in left:
        with contextlib.suppress(OSError):
            if not _abandoned(entry, named["machine"], int(named["process"])):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink()


def _abandoned(entry: os.DirEntry[str], machine: str, process: int) -> bool:
    if machine != _machine():
        age = time.time() - entry.stat(follow_symlinks=False).st_mtime
        return age > _ABANDONED_SECONDS
    return not runs(process)


def runs(process: int) -> bool:
    """Whether a process of this machine is alive."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def require_writable(folder: Path) -> None:
    """Refuse a folder, made if it is missing, where no file can be written.

    Raises:
        InputError: It cannot; says why.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"{folder}: nothing can be written there ({error.strerror}); name another folder"
        ) from error


def folder_name(name: str) -> str:
    """A name for a folder or a file, for any name of a patient, a slide or a gene."""
    plain = re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".") or "_"
    if plain == name:
        return plain
    return f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def name_fault(path: Path) -> str | None:
    """Why the name of a file cannot be written into tables and pages; None where it can.

    Systems and archives of other languages write names in encodings of their own, which Linux
    keeps byte by byte.
    """
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is no UTF-8 text (`convmv -f latin1 -t utf-8` mends many); rename it."
    return None


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON whole, refusing NaN (which is not JSON)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
