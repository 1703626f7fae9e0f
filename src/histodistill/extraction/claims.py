"""Claims: processes that share an output folder never work on the same slide at once.

A claim is a file ``<slide>.<n>`` that its holder creates, which the file system allows once, and
touches while it works. A holder that died leaves its file; the next one creates number ``n + 1``,
which again only one process can. The highest number holds the slide.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

HEARTBEAT_S = 15.0
EXPIRY_S = 120.0
# A holder writes its name into a claim at once; one that is still empty then died before.
WRITING_S = 15.0


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
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        for slide_id in list(self._held):
            self.release(slide_id)

    def take(self, slide_id: str) -> bool:
        """Claim a slide; False where a living process holds it."""
        number, holder = self._latest(slide_id)
        while holder is not None:
            try:
                if not self._dead(holder):
                    return False
                break
            except FileNotFoundError:  # released this moment
                number, holder = self._latest(slide_id)
        path = self._folder / f"{slide_id}.{number + 1}"
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w") as stream:
            json.dump({"machine": _machine(), "process": os.getpid()}, stream)
        if self._latest(slide_id)[0] > number + 1:  # another counted on from a released claim
            path.unlink(missing_ok=True)
            return False
        self._held[slide_id] = path
        return True

    def release(self, slide_id: str) -> None:
        """End a claim, with those of dead holders before it."""
        path = self._held.pop(slide_id)
        for number in range(int(path.suffix[1:]), 0, -1):
            path.with_suffix(f".{number}").unlink(missing_ok=True)

    def forget(self, slide_id: str) -> None:
        """Remove what dead holders left of a slide that is finished."""
        for path in self._of(slide_id):
            path.unlink(missing_ok=True)

    def _latest(self, slide_id: str) -> tuple[int, Path | None]:
        numbers = {int(path.suffix[1:]): path for path in self._of(slide_id)}
        return max(numbers.items(), default=(0, None))

    def _of(self, slide_id: str) -> list[Path]:
        return [
            path
            for path in self._folder.iterdir()
            if path.stem == slide_id and path.suffix[1:].isdigit()
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
