"""Recent tiles, as they are sent."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

_LIMIT_BYTES = 24 * 2**20


class TileCache:
    """Keeps what was asked for last, up to a number of bytes; threads may share it.

    Args:
        limit_bytes: Bytes of all tiles together.
    """

    def __init__(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._kept: OrderedDict[Hashable, bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """The tile of a key, made where it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        tile = make()
        with self._lock:
            if key not in self._kept:
                self._size += len(tile)
            self._kept[key] = tile
            while self._size > self._limit and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])
        return tile
