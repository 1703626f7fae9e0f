"""Making the next item while the last one is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterable[T]) -> Iterator[T]:
    """Make each item in a background thread while the caller uses the one before it.

    The items come in their order and are made one at a time, so that a random generator that
    making them draws from gives the same numbers as without the thread. At most three are in
    memory: the caller's last one, the one handed over, and the one in the making.

    Args:
        items: Makes items when asked for them, such as a generator of batches.

    Yields:
        The items.
    """
    end = object()
    iterator = iter(items)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]
