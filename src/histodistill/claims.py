"""Claims: processes that share a folder, on any machines, never do the same work at once.

A claim is a file ``<name>.<n>`` that its holder creates, which the file system allows once, and
touches while it works. A holder that died leaves its file; the next one creates number ``n + 1``,
which again only one process can. The highest number holds the work of that name, such as a slide
or a fit.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

HEARTBEAT_S = 15.0
EXPIRY_S = 120.0
# A holder writes its name into a claim at once; one that is still empty then died before.
WRITING_S = 15.0
_WAIT_S = 0.2
_ALL = "all"


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold a folder unless somebody else does, without waiting; whether it is held."""
    with Claims(folder / ".claims") as claims:
        yield claims.take(_ALL)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder; whoever else wants it waits until it is let go, or its holder has died."""
    with Claims(folder / ".claims") as claims:
        while not claims.take(_ALL):
            time.sleep(_WAIT_S)
        yield


class Claims:
    """The claims of one process; a context manager that keeps them alive and ends them.

    Args:
        folder: Where claim files lie; shared by all processes.
        heartbeat_s: Seconds between touches.
        expiry_s: Seconds without a touch after which a holder counts as dead. A holder on the
            same machine whose process is gone counts as dead at once.
    """

    def __init__(
        self, folder: Path, *, heartbeat_s: float = HEARTBEAT_S, expiry_s: float = EXPIRY_S
    ) -> None:
        self._folder = folder
        self._heartbeat_s = heartbeat_s
        self._expiry_s = expiry_s
        self._held: dict[str, Path] = {}
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        for name in list(self._held):
            self.release(name)

    def take(self, name: str) -> bool:
        """Claim a piece of work; False where a living process holds it."""
        number = self._number_of_dead(name)
        if number is None:
            return False
        path = self._folder / f"{name}.{number + 1}"
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as stream:
            json.dump({"machine": _machine(), "process": os.getpid()}, stream)
        if self._latest(name)[0] > number + 1:  # another counted on from a released claim
            path.unlink(missing_ok=True)
            return False
        self._held[name] = path
        self._keep_alive()
        return True

    def is_held(self, name: str) -> bool:
        """Whether a living process, be it this one, holds a piece of work."""
        return self._number_of_dead(name) is None

    def names(self) -> set[str]:
        """What somebody has claimed, be it that the holder has died since."""
        return {path.stem for path in self._folder.iterdir() if path.suffix[1:].isdigit()}

    def release(self, name: str) -> None:
        """End a claim, with those of dead holders before it."""
        path = self._held.pop(name)
        for number in range(int(path.suffix[1:]), 0, -1):
            path.with_suffix(f".{number}").unlink(missing_ok=True)

    def forget(self, name: str) -> None:
        """Remove what dead holders left of work that is finished."""
        for path in self._of(name):
            path.unlink(missing_ok=True)

    def _number_of_dead(self, name: str) -> int | None:
        """The highest number, whose holder is dead, or 0 without any; None where one lives."""
        number, holder = self._latest(name)
        while holder is not None:
            try:
                return number if self._dead(holder) else None
            except FileNotFoundError:  # released this moment
                number, holder = self._latest(name)
        return number

    def _latest(self, name: str) -> tuple[int, Path | None]:
        numbers = {int(path.suffix[1:]): path for path in self._of(name)}
        return max(numbers.items(), default=(0, None))

    def _of(self, name: str) -> list[Path]:
        return [
            path
            for path in self._folder.iterdir()
            if path.stem == name and path.suffix[1:].isdigit()
        ]

    def _dead(self, claim: Path) -> bool:
        """Whether a claim's holder is gone.

        Raises:
            FileNotFoundError: The claim is gone.
        """
        age = self._now() - claim.stat().st_mtime
        # Nobody who lives touches a claim in the future: a clock was wrong, or a copy kept it.
        expired = abs(age) > self._expiry_s
        holder = _holder(claim)
        if holder is None:
            return expired or age > WRITING_S
        machine, process = holder
        return expired or (machine == _machine() and not _runs(process))

    def _now(self) -> float:
        """The file system's clock, which may not be this machine's."""
        with tempfile.TemporaryFile(dir=self._folder) as file:
            return os.fstat(file.fileno()).st_mtime

    def _keep_alive(self) -> None:
        """Begin to touch claims, with the first one."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(self._heartbeat_s):
            for path in list(self._held.values()):
                try:
                    os.utime(path)
                except FileNotFoundError:
                    continue


def _holder(claim: Path) -> tuple[str, int] | None:
    """Machine and process of a claim; None where it is not written yet, or never will be.

    Raises:
        FileNotFoundError: The claim is gone.
    """
    try:
        written = json.loads(claim.read_text())
        return str(written["machine"]), int(written["process"])
    except (ValueError, TypeError, KeyError):
        return None


def _machine() -> str:
    """The machine, and on it the space in which process numbers are unique (a container's)."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        space = 0
    return f"{socket.gethostname()}/{space}"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except (OverflowError, ValueError):  # no number that a process can have
        return False
    return True
