"""Worker processes: none outlives the process that started it."""

from __future__ import annotations

import functools
import os
import threading
import time

_INTERVAL_SECONDS = 0.2


@functools.cache
def end_with_parent(parent: int) -> None:
    """End this process as soon as its parent has died, however it died.

    A killed parent lets go of its results folder; a worker that went on training would write
    into the results of whoever comes next.

    Args:
        parent: Process that started this one.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_INTERVAL_SECONDS)
    os._exit(1)
