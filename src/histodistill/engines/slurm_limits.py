"""What SLURM allows: the size of an array, tasks at the same time, and the time of a task."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

from histodistill.errors import InputError

# Tasks take minutes.
DEFAULT_MINUTES = 60
# SLURM's own default of MaxArraySize is 1001, whose greatest index is 1000.
_LARGEST = 1000
# SLURM looks at limits twice a minute: in less time a task may be warned before it has begun.
_SHORTEST_SECONDS = 240
_UNLIMITED = ("INFINITE", "UNLIMITED", "-1", "0")


def largest_array() -> int:
    """The most tasks of an array that the cluster takes, and that are submitted at once."""
    try:
        told = subprocess.run(
            ["scontrol", "show", "config"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return _LARGEST
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", told, re.MULTILINE)
    return min(_LARGEST, max(1, int(found[1]) - 1)) if found else _LARGEST


def free_places(threads: int, *, gpu: bool = False) -> int | None:
    """Tasks that find a place now in the partitions of ``SBATCH_PARTITION``, or the default one.

    Cores and GPUs are counted, memory and what an account may use are not.

    Args:
        threads: CPU cores of a task.
        gpu: Whether it reserves a GPU; those in use are counted as well.

    Returns:
        None where SLURM does not tell.
    """
    try:
        told = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%P|%N|%C|%G"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    wanted = os.environ.get("SBATCH_PARTITION", "").split(",")
    nodes = {
        node: min(int(cores.split("/")[1]) // threads, _gpus(resources) if gpu else sys.maxsize)
        for partition, node, cores, resources in _rows(told.stdout)
        if (partition.rstrip("*") in wanted if wanted != [""] else partition.endswith("*"))
    }
    return sum(nodes.values()) if nodes else None


def _rows(listing: str) -> Iterator[list[str]]:
    """The columns of each line of a listing; cores are allocated/idle/other/all."""
    for line in listing.splitlines():
        columns = [each.strip() for each in line.split("|")]
        if len(columns) == 4 and re.fullmatch(r"\d+(/\d+){3}", columns[2]):
            yield columns


def _gpus(resources: str) -> int:
    """GPUs of a node, whose resources are such as ``gpu:a100:4(S:0-1),shard:8``."""
    return sum(int(n) for n in re.findall(r"\bgpu(?::[^:,(]+)?:(\d+)", resources))


def limit_said() -> str:
    """The time limit of a task, and what it is changed by."""
    return os.environ.get("SBATCH_TIMELIMIT") or f"{DEFAULT_MINUTES} min (SBATCH_TIMELIMIT)"


def limit_seconds() -> float:
    """The time limit of a task, as ``SBATCH_TIMELIMIT`` says it to ``sbatch``.

    Raises:
        InputError: It is none, or too short to go on by.
    """
    said = os.environ.get("SBATCH_TIMELIMIT", "").strip() or str(DEFAULT_MINUTES)
    if said.upper() in _UNLIMITED:
        return float("inf")
    seconds = seconds_of(said)
    if seconds is None:
        raise InputError(
            f"SBATCH_TIMELIMIT={said}: give minutes, or as SLURM writes times: 01:30:00, 1-12:00:00"
        )
    if seconds < _SHORTEST_SECONDS:
        raise InputError(
            f"SBATCH_TIMELIMIT={said}: give at least {_SHORTEST_SECONDS // 60} minutes; SLURM may "
            "warn of the end of a task a minute early, and a shorter one would hardly begin"
        )
    return seconds


def seconds_of(time_limit: str) -> float | None:
    """Seconds of a time as SLURM writes it; None where it is none.

    It is minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes or
    days-hours:minutes:seconds (manual of ``sbatch``, ``--time``).
    """
    found = re.fullmatch(r"(?:(\d+)-)?(\d+(?::\d+){0,2})", time_limit)
    if found is None:
        return None
    parts = [int(part) for part in found[2].split(":")]
    if found[1] is not None:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return float(((int(found[1] or 0) * 24 + hours) * 60 + minutes) * 60 + seconds)
