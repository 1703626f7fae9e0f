"""Cores, threads, the processor's instructions, and memory."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import joblib

# Instructions that training is faster with, by the kernel's names for them.
_FEATURES = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "AMX bfloat16": {"amx_bf16"},
    "NEON": {"asimd"},
}
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Machine:
    """What computes, besides a GPU.

    Attributes:
        system: Operating system and architecture.
        processor: Its name; empty where the system does not tell.
        cores: Cores that this process may use: a container or a scheduler may allow fewer than
            there are.
        features: Instructions that training is faster with, and whether there are any; empty
            where the system does not tell.
        thread_limits: Limits of threads that are set in the environment.
        memory_bytes: Main memory that this process may use; None where the system does not tell.
        available_bytes: Of it, what is free or can be freed.
    """

    system: str
    processor: str
    cores: int
    features: dict[str, bool]
    thread_limits: dict[str, str]
    memory_bytes: int | None
    available_bytes: int | None

    def rows(self) -> list[tuple[str, str]]:
        """Name and sentence of each thing."""
        limits = ", ".join(f"{name}={value}" for name, value in self.thread_limits.items())
        features = [name for name, there in self.features.items() if there]
        return [
            ("system", self.system),
            ("processor", self.processor or "the system does not tell its name"),
            ("instructions", ", ".join(features) or "none known that training is faster with"),
            ("cores", f"{self.cores} for this process"),
            ("threads", limits or "no limit is set (OMP_NUM_THREADS); --threads N sets one"),
            ("memory", self._memory()),
        ]

    def _memory(self) -> str:
        if self.memory_bytes is None:
            return "the system does not tell"
        free = "" if self.available_bytes is None else f", {size(self.available_bytes)} free"
        return f"{size(self.memory_bytes)}{free}"


def machine() -> Machine:
    """Look at this machine."""
    lines = _lines(Path("/proc/cpuinfo"))
    known = {
        word for line in lines if line.startswith(("flags", "Features")) for word in _words(line)
    }
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = _memory_lines()
    total, free = memory.get("MemTotal"), memory.get("MemAvailable")
    limit = _limit()
    if limit is not None and total is not None and free is not None:
        total, free = min(total, limit), min(free, limit)
    return Machine(
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=names[0] if names else platform.processor(),
        cores=joblib.cpu_count(),
        features={name: flags <= known for name, flags in _FEATURES.items()} if known else {},
        thread_limits={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        memory_bytes=total,
        available_bytes=free,
    )


def size(count: int) -> str:
    """Bytes as people say them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


def _words(line: str) -> list[str]:
    return line.partition(":")[2].split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _memory_lines() -> dict[str, int]:
    """The kernel's figures, in bytes."""
    found = (re.match(r"(\w+):\s+(\d+) kB", line) for line in _lines(Path("/proc/meminfo")))
    return {each[1]: int(each[2]) * 1024 for each in found if each}


def _limit() -> int | None:
    """What a container or a job may use at most, where that is limited."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        lines = _lines(Path("/sys/fs/cgroup") / name)
        if lines and lines[0].isdigit():
            return int(lines[0])
    return None
