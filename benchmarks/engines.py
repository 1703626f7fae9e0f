"""What it costs to run short pieces of work elsewhere, and what survives.

    python benchmarks/engines.py efficiency            # 100 sleeping fits on two nodes of a core
    python benchmarks/engines.py kills --kills 200     # kill -9 of workers and drivers, at random
    python benchmarks/engines.py saturation            # 1,000 nodes, 100,000 fits: the driver alone

Fits sleep, so that the figures are of the engines and not of what else the machine does; they are
claimed, and end in a file each, as trainings do.
"""

from __future__ import annotations

import argparse
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
                time.sleep(self.seconds)
                write_text(result, name)
                log = os.open(self.folder / LOG, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
                os.write(log, f"{name}\n".encode())
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
        cluster.shutdown()


def efficiency(n_fits: int, seconds: float) -> None:
    """How much of two one-core nodes sleeping fits fill, and what one costs beside its time."""
    print(f"{n_fits} fits of {seconds:g} s on two workers; wall time, share of it, overhead a fit")
    with tempfile.TemporaryDirectory() as folder, two_nodes() as address:
        places = {
            "local --jobs 2": (Place(), 2),
            "ray, two nodes": (Place("ray", address), None),
        }
        for name, (place, jobs) in places.items():
            started = time.monotonic()
            drive(Path(folder) / name, place, n_fits, seconds, jobs)
            wall = time.monotonic() - started
            ideal = n_fits * seconds / 2
            cost = (wall - ideal) * 2 / n_fits
            print(f"{name:16} {wall:7.1f} s {ideal / wall:6.1%} {cost:6.3f} s")


def kills(n_kills: int, n_fits: int, seconds: float) -> None:
    """Kill workers and drivers at random while two drivers share a folder."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as place, two_nodes() as address:
        folder = Path(place)
        settings = [str(folder), address, str(n_fits), str(seconds)]
        command = [sys.executable, __file__, "drive", *settings]
        drivers: list[subprocess.Popen[bytes]] = []
        killed: Counter[str] = Counter()
        started = time.monotonic()
        while sum(killed.values()) < n_kills or drivers:
            drivers = [each for each in drivers if each.poll() is None]
            while len(drivers) < 2 and len(list((folder / DONE).glob("fit-*"))) < n_fits:
                drivers.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            time.sleep(rng.uniform(0.1, 1.0))
            if sum(killed.values()) < n_kills:
                killed.update(_kill_one(drivers, rng))
            if not drivers and sum(killed.values()) < n_kills:
                print("all fits were done before the last kill: give more --fits")
                break
        lines = (folder / LOG).read_text().split()
        results = sorted(path.name for path in (folder / DONE).glob("fit-*"))
        print(
            f"{killed['workers']} workers and {killed['drivers']} drivers killed in "
            f"{time.monotonic() - started:.0f} s; {n_fits} fits: {len(results)} done, "
            f"{n_fits - len(results)} lost, {len(lines) - len(set(lines))} done twice, "
            f"{len(list((folder / '.claims').iterdir()))} claims left"
        )


def _kill_one(drivers: Sequence[subprocess.Popen[bytes]], rng: random.Random) -> list[str]:
    """Kill a worker that this program's nodes started, or a driver."""
    workers = _workers()
    if workers and (rng.random() < 0.8 or not drivers):
        os.kill(rng.choice(workers), signal.SIGKILL)
        return ["workers"]
    if drivers:
        rng.choice(drivers).kill()
        return ["drivers"]
    return []


def _workers() -> list[int]:
    """Ray's workers among the descendants of this process."""
    listing = subprocess.check_output(["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], text=True)
    rows = [line.split(maxsplit=2) for line in listing.splitlines()]
    own = {os.getpid()}
    for _ in range(4):  # a node, its manager, its workers
        own |= {int(pid) for pid, parent, _ in rows if int(parent) in own}
    return [int(pid) for pid, _, words in rows if int(pid) in own and words.startswith("ray::")]


class SimulatedNodes:
    """A thousand nodes that sleep: nothing is run, and each task ends at its time."""

    notes: tuple[str, ...] = ()

    def __init__(self, nodes: int, seconds_a_fit: float, task_seconds: float) -> None:
        self.slots, self.room, self.task_seconds = nodes, 4 * nodes, task_seconds
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
    parser.add_argument("--nodes", type=int, default=1000)
    given = parser.parse_args()
    if given.what == "efficiency":
        efficiency(given.fits or 100, given.seconds)
    elif given.what == "kills":
        kills(given.kills, given.fits or 2000, min(given.seconds, 0.3))
    elif given.what == "saturation":
        saturation(given.nodes, given.fits or 100_000)
    else:
        folder, address, n_fits, seconds = given.rest
        drive(Path(folder), Place("ray", address), int(n_fits), float(seconds))


if __name__ == "__main__":
    main()
