"""Folders that the package writes to, and the space on their disks."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from histodistill.diagnosis.machine import size
from histodistill.files import user_cache


@dataclass(frozen=True)
class Folder:
    """A folder and its disk.

    Attributes:
        purpose: What it holds.
        path: The folder; it may not exist yet.
        used_bytes: Of the files in each of its folders, where it is the cache.
        free_bytes: On its disk; None where that cannot be asked.
        writable: Whether this user may write there.
        instead: How to use another.
    """

    purpose: str
    path: Path
    used_bytes: dict[str, int]
    free_bytes: int | None
    writable: bool
    instead: str

    def told(self) -> str:
        """In a sentence."""
        used = "".join(f", {size(count)} {name}" for name, count in self.used_bytes.items())
        free = "" if self.free_bytes is None else f", {size(self.free_bytes)} free"
        told = f"{self.path}{used}{free}"
        if self.writable:
            return told
        return f"{told}; cannot be written to: change its rights, or {self.instead}"


def folders() -> tuple[Folder, ...]:
    """The present folder, the one for temporary files, and the cache."""
    cache = user_cache()
    return (
        _folder("present folder", Path.cwd(), "go to another"),
        _folder("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to another"),
        _folder("cache", cache, "set XDG_CACHE_HOME to another", _used_by_folder(cache)),
    )


def _folder(
    purpose: str, path: Path, instead: str, used_bytes: dict[str, int] | None = None
) -> Folder:
    there = next(place for place in (path, *path.parents) if place.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        free = None
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return Folder(purpose, path, used_bytes or {}, free, writable, instead)


def _used_by_folder(path: Path) -> dict[str, int]:
    """Bytes of the files in each folder of a folder, by its name."""
    try:
        inside = sorted(place for place in path.iterdir() if place.is_dir())
    except OSError:  # not there yet, or closed to this user
        return {}
    return {place.name: _used(place) for place in inside}


def _used(path: Path) -> int:
    """Bytes of all files below a folder; of those that can be asked."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(Path(folder) / name).st_size
            except OSError:  # another process has just removed it
                continue
    return total
