"""Packed files whose content has a plausible size: gzip, zip and Parquet."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from histodistill.errors import InputError
from histodistill.gate.plain import MB, opened

GZIP = b"\x1f\x8b"
# Tables of numbers and of zeros pack to a tenth, or a fiftieth; a bomb to a thousandth.
_RATIO = 100
_FLOOR = 128 * MB
_MEMBERS = 100_000


class _Bounded(io.RawIOBase):
    """A stream that ends with an error beyond a number of bytes."""

    def __init__(self, stream: gzip.GzipFile, path: Path, most: int) -> None:
        self._stream, self._path, self._left = stream, path, most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise _bomb(self._path)
        buffer[: len(content)] = content
        return len(content)


@contextmanager
def unzipped(path: Path, *, most: int) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed where its content is gzip.

    Args:
        path: The file.
        most: Bytes, unpacked, beyond which it cannot be what it is taken for.

    Yields:
        The stream.

    Raises:
        InputError: It is no regular file, larger than ``most``, or unpacks to more than such files
            hold.
        OSError: It is absent or cannot be opened; while reading, damaged.
    """
    with opened(path, most=most) as stream:
        zipped = stream.read(2) == GZIP
        packed = stream.seek(0, io.SEEK_END)
        stream.seek(0)
        if not zipped:
            yield stream
            return
        with gzip.open(stream) as unpacked:
            bounded = _Bounded(unpacked, path, min(most, max(_FLOOR, _RATIO * packed)))
            yield io.BufferedReader(bounded, MB)


def unzipped_content(path: Path, *, most: int) -> bytes:
    """The content of a file, decompressed where it is gzip; errors as in :func:`unzipped`."""
    with unzipped(path, most=most) as stream:
        return stream.read()


def require_plausible_zip(path: Path, archive: IO[bytes] | None = None) -> None:
    """Refuse a zip (``.xlsx``, ``.npz``, ``.pt``) that unpacks to more than such files hold.

    Args:
        path: The file that messages name.
        archive: Its content, where it is open already.

    Raises:
        InputError: It is no regular file, or unpacks to too much.
        zipfile.BadZipFile: It is no zip.
        OSError: It is absent or cannot be read.
    """
    if archive is None:
        with opened(path) as stream:
            require_plausible_zip(path, stream)
        return
    with zipfile.ZipFile(archive) as members:
        entries = members.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if len(entries) > _MEMBERS or unpacked > max(_FLOOR, _RATIO * packed):
        raise _bomb(path)


def require_intact_zip(path: Path) -> None:
    """Refuse a zip whose members are not those that were written, by their checksums.

    zipfile compares them by itself in what is read to its end; PyTorch does not. A checksum of 0
    is none: PyTorch writes it on demand (``torch.serialization.set_crc32_options``).

    Raises:
        InputError: A member is damaged.
        zipfile.BadZipFile: It is no zip.
        OSError: It is absent or cannot be read.
    """
    with opened(path) as stream, zipfile.ZipFile(stream) as archive:
        for entry in archive.infolist():
            if entry.CRC == 0:
                continue
            try:
                with archive.open(entry) as member:
                    while member.read(MB):
                        pass
            except (zipfile.BadZipFile, zlib.error) as error:
                raise InputError(
                    f"{path}: {entry.filename} is damaged ({error}); copy it again"
                ) from error


def require_plausible_parquet(path: Path, content: IO[bytes] | None = None, *, cells: int) -> None:
    """Refuse a Parquet file of more cells than such tables have.

    Args:
        path: The file that messages name.
        content: Its content, where it is read already.
        cells: The most that such a table has.

    Raises:
        InputError: It is no regular file, or has too many cells.
        ValueError: It is no Parquet (pyarrow's errors are ValueErrors).
        OSError: It is absent or cannot be read.
    """
    import pyarrow.parquet  # type: ignore[import-untyped]

    if content is None:
        with opened(path) as stream:
            require_plausible_parquet(path, stream, cells=cells)
        return
    metadata = pyarrow.parquet.ParquetFile(content).metadata
    if metadata.num_rows * max(1, metadata.num_columns) > cells:
        raise InputError(
            f"{path}: says that it has {metadata.num_rows:,} rows of {metadata.num_columns:,} "
            f"columns, more than the {cells:,} cells of such a table; is it the right file?"
        )


def _bomb(path: Path) -> InputError:
    return InputError(
        f"{path}: unpacks to more than such a file can hold; it is damaged, or made to fill the "
        "memory"
    )
