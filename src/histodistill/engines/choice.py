"""The engine that ``--on`` names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from histodistill.engines.engine import Engine
from histodistill.errors import InputError

EngineName = Literal["local", "ray", "slurm"]
_ADDRESS = "ray://"


@dataclass(frozen=True)
class Place:
    """Where tasks run.

    Attributes:
        engine: Its kind.
        address: HOST:PORT of a Ray cluster; None for the one at hand.
    """

    engine: EngineName = "local"
    address: str | None = None

    @classmethod
    def named(cls, text: str) -> Place:
        """The place that a word names: ``local``, ``ray``, ``ray://HOST:PORT`` or ``slurm``.

        Raises:
            InputError: It names none.
        """
        if text in ("local", "ray", "slurm"):
            return cls(text)  # type: ignore[arg-type]
        address = text.removeprefix(_ADDRESS)
        if text.startswith(_ADDRESS) and address.rpartition(":")[2].isdigit():
            return cls("ray", address)
        raise InputError(f"--on {text}: give local, ray, ray://HOST:PORT or slurm")

    def require(self) -> None:
        """Refuse an engine that is not there, before any work.

        Raises:
            InputError: What it needs is not installed, nobody answers at its address, or it takes
                no tasks from here.
        """
        if self.engine == "ray":
            from histodistill.engines.ray import require_ray

            require_ray(self.address)
        elif self.engine == "slurm":
            from histodistill.engines.slurm import require_slurm

            require_slurm()


@contextmanager
def opened(
    place: Place,
    folder: Path,
    *,
    jobs: int | None = None,
    threads: int | None = None,
    gpu: bool = False,
) -> Iterator[Engine]:
    """The engine of a place, whose tasks end with the block; warns of what to know of it.

    Args:
        place: Where.
        folder: Gets what a scheduler writes; all machines see it.
        jobs: Most tasks at the same time; by default 1 on this machine, and as many as there is
            room for elsewhere.
        threads: Threads of a task; by default the cores are divided among the jobs on this
            machine, and 1 elsewhere.
        gpu: Whether a task reserves a GPU, elsewhere.

    Raises:
        InputError: As :meth:`Place.require`.
    """
    with _engine(place, folder, jobs, threads, gpu) as engine:
        for note in engine.notes:
            warnings.warn(note, stacklevel=3)
        try:
            yield engine
        finally:
            engine.cancel()


@contextmanager
def _engine(
    place: Place, folder: Path, jobs: int | None, threads: int | None, gpu: bool
) -> Iterator[Engine]:
    if place.engine == "ray":
        from histodistill.engines.ray import RayCluster, connected

        with connected(place.address) as ray:
            yield RayCluster(ray, folder, threads or 1, gpu=gpu, jobs=jobs)
    elif place.engine == "slurm":
        from histodistill.engines.slurm import SlurmArrays

        yield SlurmArrays(folder, threads or 1, gpu=gpu, jobs=jobs)
    else:
        from histodistill.engines.local import InThisProcess, LocalProcesses

        n = jobs or 1
        share = threads or max(1, (os.cpu_count() or 1) // n)
        yield InThisProcess() if n == 1 else LocalProcesses(n, share)
