"""Epochs of fits in worker processes, told to the process that started them.

Each is one message to a local socket in a folder that nobody else may enter. It is told for a
person to watch: one that cannot be delivered at once is dropped, and no training waits for it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from histodistill.training.loop.epoch import Epoch
from histodistill.training.run.planned_fits import Fit

_LARGEST, _INTERVAL_SECONDS = 65_536, 0.2


def tell_epoch(address: str, fit: Fit, epoch: Epoch) -> None:
    """Send an epoch from a worker to whoever listens; in vain where nobody does."""
    message = json.dumps([str(fit), epoch.record()]).encode()
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.setblocking(False)
        own.sendto(message, address)


@contextmanager
def epochs_of_workers(fits: Sequence[Fit], on_epoch: Callable[[Fit, Epoch], None]) -> Iterator[str]:
    """Listen, in a thread, to the epochs of workers while the block runs.

    Args:
        fits: Those that the workers run.
        on_epoch: Told of each epoch.

    Yields:
        The address for :func:`tell_epoch`; empty where this system has none to give.
    """
    by_name = {str(fit): fit for fit in fits}
    with (
        tempfile.TemporaryDirectory(prefix="histodistill-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard,
    ):
        address = str(Path(folder) / "epochs")
        try:
            heard.bind(address)
        except OSError:  # the name of a deep temporary folder is too long
            yield ""
            return
        heard.settimeout(_INTERVAL_SECONDS)
        ended = threading.Event()

        def listen() -> None:
            while True:
                last = ended.is_set()  # what was sent before is heard to the end
                try:
                    name, record = json.loads(heard.recv(_LARGEST))
                except TimeoutError:
                    if last:
                        return
                else:
                    on_epoch(by_name[name], Epoch.of_record(record))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            ended.set()
            thread.join()
