"""What SLURM allows: the size of an array, and the time of a task."""

from __future__ import annotations

import os
import re
import subprocess

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
