"""Reading packed bags: the file mapped into memory, each bag a part of one tensor."""

from __future__ import annotations

import copy
import mmap
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from histodistill.errors import InputError
from histodistill.features.packing.manifest import Manifest
from histodistill.features.values import ITEM_BYTES, BagDtype

if TYPE_CHECKING:
    import torch

# Without it Linux refuses private maps larger than the memory. Python does not name it before 3.13.
_NORESERVE = 0x4000 if sys.platform == "linux" else 0


class PackedBags:
    """The bags in a data file that is mapped into memory.

    Nothing is copied, and nothing stays in memory that the system needs for something else.
    Changing a bag in place changes neither the file nor what other processes see. Pickling takes
    the path along and leaves the map behind; a worker process maps the same file.

    Args:
        path: The data file.
        manifest: Its manifest.

    Raises:
        OSError: The file cannot be mapped.
        InputError: The file is not the one that the manifest describes.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.dtype: BagDtype = manifest.dtype
        self.width: int = manifest.width
        self._data = manifest.data
        self._rows = {p.patient: (p.offset, p.size) for p in manifest.patients}
        self._content: mmap.mmap | None = self._mapped()
        self._patches: torch.Tensor | None = None

    @property
    def patches(self) -> torch.Tensor:
        """The rows of all bags, tensor [N, F].

        Raises:
            InputError: The file is not the one that was packed.
        """
        if self._patches is None:
            import torch

            content, dtype = self._bytes(), getattr(torch, self.dtype)
            self._patches = torch.frombuffer(content, dtype=dtype).view(-1, self.width)
        return self._patches

    def content(self, patient: str, first: int, size: int) -> bytes:
        """The bytes of some rows of a bag, as they are stored.

        Args:
            patient: Whose bag.
            first: The first row, within the bag.
            size: How many.

        Raises:
            InputError: The file is not the one that was packed.
        """
        content = self._bytes()
        self._require_whole()
        row_bytes = self.width * ITEM_BYTES[self.dtype]
        start = (self._rows[patient][0] + first) * row_bytes
        return content[start : start + size * row_bytes]

    def bag(self, patient: str) -> torch.Tensor:
        """A patient's bag, tensor [n, F]: a part of :attr:`patches`.

        Raises:
            InputError: The file is not the one that was packed.
        """
        patches = self.patches
        self._require_whole()
        return patches.narrow(0, *self._rows[patient])

    def to(self, device: torch.device) -> PackedBags:
        """The same bags on a device; pickling leaves them behind like the map."""
        moved = copy.copy(self)
        self._require_whole()
        moved._patches = self.patches.to(device)
        moved._content = None
        return moved

    def _require_whole(self) -> None:
        """Refuse a file that was cut while it was mapped: reading on would end the process."""
        if self._content is not None and self._content.size() < self._data.size:
            raise InputError(
                f"{self.path} has been cut to {self._content.size():,} of {self._data.size:,} "
                "bytes while it was read; remove it, and run the same command again to pack anew."
            )

    def _bytes(self) -> mmap.mmap:
        """The mapped file; mapped again in another process.

        Raises:
            InputError: It cannot be mapped, or is not the one that was packed.
        """
        if self._content is None:
            try:
                self._content = self._mapped()
            except OSError as error:
                raise InputError(
                    f"{self.path} cannot be mapped into memory ({error.strerror}); start again, "
                    "or set `features.cache: null` to read the feature files instead."
                ) from error
        return self._content

    def _mapped(self) -> mmap.mmap:
        with self.path.open("rb") as stream:
            found = os.fstat(stream.fileno())
            if (found.st_size, found.st_mtime_ns) != (self._data.size, self._data.mtime_ns):
                raise InputError(
                    f"{self.path} has changed since it was opened: these bags were packed again, "
                    "or the file is damaged; start again."
                )
            return mmap.mmap(
                stream.fileno(),
                found.st_size,
                flags=mmap.MAP_PRIVATE | _NORESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
            )

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_patches": None, "_content": None}
