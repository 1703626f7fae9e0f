"""The process that computes: the server never waits for it, and needs no PyTorch."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from histodistill.errors import InputError
from histodistill.viewer.cohort import Cohort, Request
from histodistill.viewer.layers import Floats, PatientMaps
from histodistill.workers import end_with_parent

if TYPE_CHECKING:
    from histodistill.viewer.source import Source

T = TypeVar("T")

_KEPT_PATIENTS = 16


class Worker:
    """Asks another process about patients; what was asked last is kept.

    Args:
        request: What is shown.
    """

    def __init__(self, request: Request) -> None:
        self._pool = ProcessPoolExecutor(
            1, get_context("spawn"), initializer=_begin, initargs=(request, os.getpid())
        )
        self._maps: OrderedDict[str, asyncio.Task[PatientMaps]] = OrderedDict()

    def open(self) -> Cohort:
        """Read the models and inputs, and wait for it.

        Raises:
            InputError: They cannot be read.
        """
        return self._pool.submit(_cohort).result()

    async def maps(self, patient: str) -> PatientMaps:
        """Where the model looked in a patient.

        Raises:
            InputError: The model or the features cannot be read.
        """
        self.expect(patient)
        try:
            # Whoever waits may leave; the work goes on for whoever comes back.
            return await asyncio.shield(self._maps[patient])
        except InputError:
            self._maps.pop(patient, None)  # it may be mended meanwhile
            raise

    def expect(self, patient: str) -> None:
        """Begin with a patient's maps, without waiting for them."""
        if patient not in self._maps:
            task = asyncio.create_task(self._ask(_maps, patient))
            task.add_done_callback(_looked_at)
            self._maps[patient] = task
            while len(self._maps) > _KEPT_PATIENTS:
                self._maps.popitem(last=False)
        self._maps.move_to_end(patient)

    async def genes(self, patient: str) -> pd.DataFrame:
        """A patient's genes, see :meth:`histodistill.viewer.source.Source.genes`."""
        return await self._ask(_genes, patient)

    async def features(self, patient: str) -> Floats:
        """A patient's features, see :meth:`histodistill.viewer.source.Source.features`."""
        return await self._ask(_features, patient)

    def maps_now(self, patient: str) -> PatientMaps:
        """As :meth:`maps`, for whoever can wait."""
        return self._pool.submit(_maps, patient).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _ask(self, function: Callable[[str], T], patient: str) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, patient)


def _looked_at(task: asyncio.Task[PatientMaps]) -> None:
    """Nobody may be waiting for it: what went wrong is told to whoever asks."""
    if not task.cancelled():
        task.exception()


# Of the process that computes: what it was started for, and the source once it is open.
_request: list[Request] = []


def _begin(request: Request, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and ends this process
    end_with_parent(parent)
    _request[:] = [request]


@cache
def _source() -> Source:
    from histodistill.viewer.opening import open_source

    return open_source(_request[0])


def _cohort() -> Cohort:
    return _source().cohort


def _maps(patient: str) -> PatientMaps:
    return _source().maps(patient)


def _genes(patient: str) -> pd.DataFrame:
    return _source().genes(patient)


def _features(patient: str) -> Floats:
    return _source().features(patient)
