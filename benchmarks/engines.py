"""What it costs to run short pieces of work elsewhere, and what survives.

    python benchmarks/engines.py efficiency            # 100 sleeping fits on two nodes of a core
    python benchmarks/engines.py efficiency --engine local
    python benchmarks/engines.py kills --kills 100     # kill -9 of workers and drivers, at random
    python benchmarks/engines.py kills --kills 100 --engine local
    python benchmarks/engines.py saturation            # 1,000 nodes, 100,000 fits: the driver alone

Fits sleep, so that the figures are of the engines and not of what else the machine does; they are
claimed, and end in a file each, as trainings do.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from histodistill.claims import Claims
from histodistill.engines.choice import Place, opened
from histodistill.engines.engine import Engine
from histodistill.engines.sharing import all_claimed, run_shared
from histodistill.errors import InputError
from histodistill.files import write_text

DONE = "done"
LOG = "log.txt"


@dataclass(frozen=True)
class Sleeping:
    """A fit that sleeps, then writes its result and a line of the log."""

    folder: Path
    seconds: float

    def __call__(self, names: Sequence[str]) -> list[bool | None]:
        """Do those that nobody else does."""
        with Claims(self.folder / ".claims") as claims:
            return [self._sleep(name, claims) for name in names]

    def _sleep(self, name: str, claims: Claims) -> bool | None:
        with all_claimed([name], claims) as mine:
            if not mine:
                return None
            result = self.folder / DONE / name
            if not result.exists():
                started = time.time()
                time.sleep(self.seconds)
                write_text(result, name)
                log = os.open(self.folder / LOG, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                os.write(log, f"{name} {started}\n".encode())
                os.close(log)
            return True


def drive(folder: Path, place: Place, n_fits: int, seconds: float, jobs: int | None = None) -> None:
    """Run all sleeping fits of a folder that are not done."""
    names = [f"fit-{number:06d}" for number in range(n_fits)]
    (folder / DONE).mkdir(parents=True, exist_ok=True)
    done = {path.name for path in (folder / DONE).iterdir()}
    with opened(place, folder / "tasks", jobs=jobs, threads=1) as engine:
        _run(engine, folder, [name for name in names if name not in done], seconds)


def _run(engine: Engine, folder: Path, names: Sequence[str], seconds: float) -> int:
    with Claims(folder / ".claims") as claims:
        work = Sleeping(folder, seconds)
        ended = run_shared(engine, work, names, lambda _: seconds, claims, lambda name: [name])
        return sum(1 for _ in ended)


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a Ray cluster of two nodes with a core each, on this machine."""
    from ray.cluster_utils import Cluster

    settings: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**settings, "include_dashboard": False})
    try:
        cluster.add_node(**settings)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def efficiency(n_fits: int, seconds: float, engine: str) -> None:
    """How much of two one-core nodes sleeping fits fill, and what one costs beside its time.

    Told with and without the start: from the first fit on, workers are there.
    """
    print(f"{n_fits} fits of {seconds:g} s on two workers; share of the time, overhead a fit")
    print("                 whole run            without the start")
    with (
        tempfile.TemporaryDirectory() as name,
        two_nodes() if engine == "ray" else contextlib.nullcontext() as address,
    ):
        folder, began = Path(name), time.time()
        if address is None:
            drive(folder, Place(), n_fits, seconds, jobs=2)
        else:
            drive(folder, Place("ray", address), n_fits, seconds)
        ended = time.time()
        ideal = n_fits * seconds / 2
        walls = (ended - began, ended - min(_starts(folder)))
        told = [f"{ideal / w:6.1%} {(w - ideal) * 2 / n_fits:6.3f} s" for w in walls]
        print(f"{engine:16} {'      '.join(told)}   start {walls[0] - walls[1]:.1f} s")


def _starts(folder: Path) -> list[float]:
    """When fits began."""
    return [float(line.split()[1]) for line in (folder / LOG).read_text().splitlines()]


@dataclass
class Tally:
    """What was killed, and what became of the fits."""

    killed: Counter[str]
    fits: int = 0
    lost: int = 0
    twice: int = 0
    claims: int = 0

    @property
    def total(self) -> int:
        """How many were killed."""
        return self.killed.total()

    def __str__(self) -> str:
        return (
            f"{self.killed['workers']} workers and {self.killed['drivers']} drivers killed; of "
            f"{self.fits} fits {self.lost} lost, {self.twice} done twice, {self.claims} claims left"
        )


def kills(n_kills: int, n_fits: int, seconds: float, engine: str) -> None:
    """Kill workers and drivers at random while two drivers share a folder, round by round."""
    rng = random.Random(0)
    with two_nodes() if engine == "ray" else contextlib.nullcontext() as address:
        place = "local" if address is None else f"ray://{address}"
        tally, started, rounds = Tally(Counter()), time.monotonic(), 0
        while tally.total < n_kills:
            with tempfile.TemporaryDirectory() as folder:
                _round(Path(folder), place, n_fits, seconds, n_kills, tally, rng)
            rounds += 1
        print(f"{engine}: {tally} in {rounds} rounds, {time.monotonic() - started:.0f} s")


def _round(
    folder: Path,
    place: str,
    n_fits: int,
    seconds: float,
    wanted: int,
    tally: Tally,
    rng: random.Random,
) -> None:
    """Two drivers until all fits are done; whoever is killed is started again."""
    command = [sys.executable, __file__, "drive", str(folder), place, str(n_fits), str(seconds)]
    drivers: list[subprocess.Popen[bytes]] = []

    def n_done() -> int:
        return len(list((folder / DONE).glob("fit-*")))

    while drivers or n_done() < n_fits:
        drivers = [each for each in drivers if each.poll() is None]
        while len(drivers) < 2 and n_done() < n_fits:
            drivers.append(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
        time.sleep(rng.uniform(0.1, 1.0))
        if tally.total < wanted:
            tally.killed.update(_kill_one(drivers, rng))
    counts = Counter(line.split()[0] for line in (folder / LOG).read_text().splitlines())
    tally.fits += n_fits
    tally.lost += n_fits - n_done()
    tally.twice += sum(n > 1 for n in counts.values())
    tally.claims += len(list((folder / ".claims").iterdir()))


def _kill_one(drivers: Sequence[subprocess.Popen[bytes]], rng: random.Random) -> list[str]:
    """Kill a worker of these drivers or of this program's nodes, or a driver, once it works."""
    workers = _workers()
    if not workers:  # nobody works yet: a kill would be of a start
        return []
    if rng.random() < 0.85 or not drivers:
        with contextlib.suppress(ProcessLookupError):  # it has ended just now
            os.kill(rng.choice(workers), signal.SIGKILL)
            return ["workers"]
        return []
    rng.choice(drivers).kill()
    return ["drivers"]


def _workers() -> list[int]:
    """The workers of Ray and of local drivers among the descendants of this process."""
    listing = subprocess.check_output(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], text=True)
    rows = [line.split(maxsplit=2) for line in listing.splitlines()]
    own = {os.getpid()}
    for _ in range(4):  # a node, its manager, its workers
        own |= {int(row[0]) for row in rows if int(row[1]) in own}
    return [int(row[0]) for row in rows if int(row[0]) in own and _works(row[-1])]


def _works(words: str) -> bool:
    return words.startswith("ray::_call") or "popen_loky" in words


class SimulatedNodes:
    """A thousand nodes that sleep: nothing is run, and each task ends at its time."""

    notes: tuple[str, ...] = ()

    def __init__(self, nodes: int, seconds_a_fit: float, most_seconds: float) -> None:
        self.slots, self.room = nodes, 4 * nodes
        self.least_seconds, self.most_seconds = most_seconds, most_seconds
        self._seconds = seconds_a_fit
        self._numbers = count()
        self._free = [0.0] * nodes
        self._running: list[tuple[float, int, int]] = []
        self._tasks: dict[int, int] = {}

    def submit(self, work: Any, tasks: Sequence[Any]) -> list[int]:  # noqa: ARG002
        """Give each task to the node that is free first."""
        tickets = []
        for task in tasks:
            ticket = next(self._numbers)
            begins = max(heapq.heappop(self._free), time.monotonic())
            ends = begins + len(task) * self._seconds
            heapq.heappush(self._free, ends)
            heapq.heappush(self._running, (ends, ticket, len(task)))
            tickets.append(ticket)
        return tickets

    def poll(self) -> list[int]:
        """Those whose time is over."""
        wait = self._running[0][0] - time.monotonic() if self._running else 0.0
        time.sleep(min(max(wait, 0.0), 1.0))
        told = []
        while self._running and self._running[0][0] <= time.monotonic():
            _, ticket, n_fits = heapq.heappop(self._running)
            self._tasks[ticket] = n_fits
            told.append(ticket)
        return told

    def collect(self, ticket: int) -> list[bool]:
        """Its fits, all done."""
        return [True] * self._tasks.pop(ticket)

    def cancel(self) -> None:
        """Forget what runs."""
        self._running.clear()


def saturation(nodes: int, n_fits: int) -> None:
    """Shorter and shorter fits: where one driver no longer keeps all nodes busy."""
    print(f"{n_fits:,} fits on {nodes:,} simulated nodes; 12 fits a task")
    print("seconds a fit   fits a second wanted   reached   nodes busy   driver's processor")
    names = [f"fit-{number:06d}" for number in range(n_fits)]
    for seconds in (0.3, 0.1, 0.03, 0.01, 0.003, 0.0):
        with tempfile.TemporaryDirectory() as folder:
            engine = SimulatedNodes(nodes, seconds, 12 * seconds)
            started, used = time.monotonic(), time.process_time()
            _run(engine, Path(folder), names, seconds)
            wall, used = time.monotonic() - started, time.process_time() - used
        wanted = nodes / seconds if seconds else float("inf")
        busy = n_fits * seconds / (nodes * wall)
        print(
            f"{seconds:13g} {wanted:22,.0f} {n_fits / wall:9,.0f} {busy:12.0%} {used / wall:14.0%}"
        )


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("efficiency", "kills", "saturation", "drive"))
    parser.add_argument("rest", nargs="*", help="of drive, which kills starts")
    parser.add_argument("--fits", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--engine", choices=("ray", "local"), default="ray", help="of both")
    parser.add_argument("--nodes", type=int, default=1000)
    given = parser.parse_args()
    if given.what == "efficiency":
        efficiency(given.fits or 100, given.seconds, given.engine)
    elif given.what == "kills":
        kills(given.kills, given.fits or 60, min(given.seconds, 0.5), given.engine)
    elif given.what == "saturation":
        saturation(given.nodes, given.fits or 100_000)
    else:
        folder, place, n_fits, seconds = given.rest
        jobs = 2 if place == "local" else None
        with contextlib.suppress(InputError):  # a worker was killed: the next driver goes on
            drive(Path(folder), Place.named(place), int(n_fits), float(seconds), jobs)


if __name__ == "__main__":
    main()
