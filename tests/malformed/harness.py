"""Runs a case in a forked process with bounded time and memory, and judges what came of it."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from histodistill.cli.main import app
from tests.malformed import world
from tests.malformed.cases import Case, Command

Verdict = Literal[
    "no sound run",
    "refused",
    "told",
    "as before",
    "unseen",
    "silent",
    "traceback",
    "hang",
    "memory",
]
#: What must never happen.
FAULTS: tuple[Verdict, ...] = ("silent", "traceback", "hang", "memory")
SECONDS = 60.0
# What a command may hold beyond the libraries that are there before it begins (half a GB).
BYTES = 3 * 2**29


@dataclass(frozen=True)
class Outcome:
    """What came of a command."""

    status: int
    output: str
    answers: str
    seconds: float
    peak: int

    @property
    def said(self) -> set[str]:
        """Notes and problems."""
        return {
            line
            for line in self.output.splitlines()
            if line.strip().startswith(("Note", "Problem", "Warning", "skipped", "failed"))
        }


def run(command: Command, folder: Path, seconds: float = SECONDS) -> Outcome:
    """Run a command in a folder, in a process of its own."""
    output = folder / ".output"
    started = time.monotonic()
    before = _resident_bytes()
    child = os.fork()
    if child == 0:
        _become(command, folder, output)
    status, usage = _waited(child, started + seconds)
    return Outcome(
        status=status,
        output=output.read_text(errors="replace") if output.exists() else "",
        answers=_digest(folder, command),
        seconds=time.monotonic() - started,
        peak=usage.ru_maxrss * 1024 - before,
    )


def _resident_bytes() -> int:
    """What this process holds now: a child begins with it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _in_a_child(work: Callable[[], None]) -> None:
    """Do something whose memory this process shall not keep."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError("the file could not be damaged")


def _become(command: Command, folder: Path, output: Path) -> None:
    """The child: never returns."""
    status = 70
    try:
        os.setsid()
        handle = os.open(output, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        # pytest's own objects would keep what is printed to themselves.
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        os.chdir(folder)
        os.environ.update(COLUMNS="200", NO_COLOR="1", XDG_CACHE_HOME=str(folder / ".cache"))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 2 * BYTES,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            app(list(command.words))
            status = 0
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _waited(child: int, deadline: float) -> tuple[int, resource.struct_rusage]:
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), usage
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            _, _, usage = os.wait4(child, 0)
            return 124, usage
        time.sleep(0.01)


def _digest(folder: Path, command: Command) -> str:
    """The content of the files that are the answer."""
    digest = hashlib.sha256()
    for pattern in command.answers:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


class Judge:
    """Compares a damaged run with the sound one of the same command."""

    def __init__(self, scratch: Path) -> None:
        # Results and packed bags know where they lie: every copy lies where the world was made.
        self._world = scratch / "sound"
        self._here = scratch / "here"
        self._sound: dict[Command, Outcome] = {}
        world.build(self._here)
        self._here.rename(self._world)

    def judge(self, case: Case, seconds: float = SECONDS) -> tuple[Verdict, Outcome]:
        """Damage a copy of the world, run the command, and say what that was."""
        sound = self._of_sound(case.subject.command)
        if sound.status != 0:
            return "no sound run", sound
        shutil.copytree(self._world, self._here)
        try:
            _in_a_child(lambda: case.damage(self._here))
            outcome = run(case.subject.command, self._here, seconds)
            return _verdict(case, sound, outcome), outcome
        finally:
            shutil.rmtree(self._here)

    def _of_sound(self, command: Command) -> Outcome:
        if command not in self._sound:
            shutil.copytree(self._world, self._here)
            outcome = run(command, self._here, 10 * SECONDS)
            shutil.rmtree(self._here)
            self._sound[command] = outcome
        return self._sound[command]


def _verdict(case: Case, sound: Outcome, outcome: Outcome) -> Verdict:
    if outcome.status == 124:
        return "hang"
    if outcome.peak > BYTES or "memory ran out" in outcome.output:
        return "memory"
    if outcome.status not in (0, 1) or "Traceback" in outcome.output:
        return "traceback"
    if outcome.status == 1:
        return "refused" if "Problem" in outcome.output or outcome.said else "silent"
    if outcome.said - sound.said:
        return "told"
    same = outcome.answers == sound.answers
    if case.subject.command.described:
        same = same and outcome.output == sound.output
    if same:
        return "as before"
    return "silent" if case.mutation.told else "unseen"
