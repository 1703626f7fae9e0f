"""Epochs of fits on other machines, read in the curves that they write.

Only fits that somebody has claimed are looked at: one listing of a folder, and a file for each.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from histodistill.claims import Claims
from histodistill.training.loop.epoch import Epoch
from histodistill.training.loop.trainer import CURVES
from histodistill.training.run.attempts import claim_names, claims_of_folder
from histodistill.training.run.planned_fits import Fit

_INTERVAL_SECONDS = 5.0


class Elsewhere:
    """What the fits of a folder have reached.

    Args:
        fits: Those that may run.
        output: The folder of results.
    """

    def __init__(self, fits: Sequence[Fit], output: Path) -> None:
        self._output = output
        self._claims: Claims = claims_of_folder(output)
        self._by_claim = {claim_names((str(fit),))[0]: fit for fit in fits}
        self._told: dict[Fit, str] = {}

    def news(self) -> Iterator[tuple[Fit, Epoch]]:
        """The last epoch of each fit that has done one since it was asked before."""
        for name in self._claims.names():
            fit = self._by_claim.get(name)
            if fit is None:
                continue
            # It is told for a person to watch: what cannot be read now is read later, or never.
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                line = _last_line(fit.folder(self._output))
                if line is not None and line != self._told.get(fit):
                    epoch = Epoch.of_record(json.loads(line))
                    self._told[fit] = line
                    yield fit, epoch


@contextmanager
def epochs_elsewhere(
    fits: Sequence[Fit],
    output: Path,
    on_epoch: Callable[[Fit, Epoch], None],
    interval: float = _INTERVAL_SECONDS,
) -> Iterator[None]:
    """Tell, in a thread, of epochs of fits that other machines run while the block runs.

    Args:
        fits: Those that may run.
        output: The folder of results.
        on_epoch: Told of the last epoch of each, when there is a new one.
        interval: Seconds between looks.
    """
    seen = Elsewhere(fits, output)
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(interval):
            with contextlib.suppress(FileNotFoundError):  # nobody has claimed anything yet
                for fit, epoch in seen.news():
                    on_epoch(fit, epoch)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _last_line(folder: Path) -> str | None:
    """The last epoch on record; of the member that wrote last where a fit has several."""
    curves = max(folder.rglob(CURVES), key=lambda path: path.stat().st_mtime, default=None)
    lines = [] if curves is None else curves.read_text(encoding="utf-8").splitlines()
    return lines[-1] if lines else None
