"""HDF5 files that hold what they say, in themselves."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from histodistill.errors import InputError
from histodistill.gate.plain import MB, opened, require_regular

# Features are noise that hardly packs; coordinates pack to a tenth.
_RATIO = 100
_FLOOR = 64 * MB
_CHUNK = 1024 * MB

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Version of the superblock: where it has the size of an address, and where the base address.
_SUPERBLOCKS = {0: (13, 24), 1: (13, 28), 2: (9, 12), 3: (9, 12)}


@contextmanager
def opened_h5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Raises:
        InputError: It is no regular file, or longer than it says itself.
        OSError: It is absent, or no HDF5.
    """
    require_regular(path)
    with h5py.File(path, "r") as h5:
        _require_own_length(path, h5.userblock_size)
        yield h5


def dataset(path: Path, h5: h5py.File, name: str) -> h5py.Dataset | None:
    """The dataset of that name at the root of a file; None where there is none.

    Raises:
        InputError: It lies in another file, or is larger than its storage can hold.
    """
    if name not in h5:
        return None
    link = h5.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise _elsewhere(path, name, link.filename)
    if isinstance(link, h5py.SoftLink):
        raise _elsewhere(path, name, link.path)
    found = h5[name]
    if not isinstance(found, h5py.Dataset):
        return None
    _require_own(path, name, found)
    _require_plausible(path, name, found)
    return found


def require_own_contents(path: Path) -> None:
    """Refuse a file that a library reads whole, where any of it is elsewhere or is made up.

    Raises:
        InputError: A link leads to another file or to nothing, or a dataset is larger than its
            storage can hold.
        OSError: It is absent, or no HDF5.
    """
    with opened_h5(path) as h5:
        links: list[tuple[str, object]] = []
        h5.visititems_links(lambda name, link: links.append((name, link)))
        for name, link in links:
            if isinstance(link, h5py.ExternalLink):
                raise _elsewhere(path, name, link.filename)
            if isinstance(link, h5py.SoftLink) and name not in h5:
                raise _elsewhere(path, name, link.path)
            found = h5[name]
            if isinstance(found, h5py.Dataset):
                _require_own(path, name, found)
                _require_plausible(path, name, found)


def contents(h5: h5py.File) -> list[str]:
    """What lies at the root of a file, in words; links are not followed."""
    found = []
    for name in h5:
        own = isinstance(h5.get(name, getlink=True), h5py.HardLink)
        found.append(f"{name} {list(getattr(h5[name], 'shape', [])) if own else '(a link)'}")
    return found


def _require_own_length(path: Path, start: int) -> None:
    """Refuse a file that does not end where its superblock says.

    HDF5 refuses what is shorter itself, and reads shifted values where bytes were inserted. A user
    block lies before the superblock.

    Source:
        HDF5 File Format Specification, version 3.0, II.A, "Disk Format: Level 0A".
    """
    with opened(path) as stream:
        size = stream.seek(0, io.SEEK_END) - start
        stream.seek(start)
        block = stream.read(64)
    if not block.startswith(_SIGNATURE) or block[8] not in _SUPERBLOCKS:
        return
    width_at, base_at = _SUPERBLOCKS[block[8]]
    width = block[width_at]
    base, end = (
        int.from_bytes(block[at : at + width], "little") for at in (base_at, base_at + 2 * width)
    )
    if end - base != size:
        raise InputError(
            f"{path}: is {size:,} bytes of HDF5, and says itself that it has {end - base:,}; it "
            "was damaged, or not closed by what wrote it: copy it again"
        )


def _require_own(path: Path, name: str, found: h5py.Dataset) -> None:
    if found.external:
        raise _elsewhere(path, name, found.external[0][0])
    if found.is_virtual:
        raise _elsewhere(path, name, found.virtual_sources()[0].file_name)


def _require_plausible(path: Path, name: str, found: h5py.Dataset) -> None:
    size = math.prod(found.shape or ()) * found.dtype.itemsize
    stored = found.id.get_storage_size()
    chunk = math.prod(found.chunks or ()) * found.dtype.itemsize
    if size > max(_FLOOR, _RATIO * stored) or chunk > _CHUNK:
        raise InputError(
            f"{path}: {name} says that it has the shape {list(found.shape or ())}, and the file "
            f"stores {stored:,} bytes of it; it is damaged, or was written only in part"
        )


def _elsewhere(path: Path, name: str, target: object) -> InputError:
    return InputError(
        f"{path}: {name} is only a link to {target!s}; links are not followed: give the file that "
        "holds the data"
    )
