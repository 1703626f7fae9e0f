"""HDF5 files that are either whole or absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from histodistill.files import whole_file


@contextmanager
def whole_h5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """Yield an HDF5 file in memory; write it to ``path`` when the block succeeds.

    HDF5 cannot close a file on a full disk, and then brings the process down at its end; so it
    never writes to a disk itself.

    Args:
        path: Where the finished file goes.
        options: Of ``h5py.File``.

    Raises:
        OSError: It cannot be written; ``filename`` is ``path``.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False, **options) as h5:
        yield h5
        h5.flush()
        image = h5.id.get_file_image()
    with whole_file(path) as temporary:
        temporary.write_bytes(image)
