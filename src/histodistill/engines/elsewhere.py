"""A task on another machine: in the folder of whoever submitted it, and problems told as words."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from histodistill.engines.engine import Work
from histodistill.errors import InputError

# A file system of several machines may show a new file so much later.
_LATE_SECONDS = 30.0
# What decides the results: other versions would give other ones, or none.
_PACKAGES = ("histodistill", "torch", "numpy")


def _versions() -> dict[str, str]:
    """Versions of this machine, whether for its processor or for a GPU (``2.6.0+cu124``)."""
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name).partition("+")[0]
    return found


@dataclass(frozen=True)
class Ended:
    """How a task ended.

    Attributes:
        answer: What the work returned.
        problems: What the user can mend, in sentences.
        bug: Where the work failed otherwise.
    """

    answer: Any = None
    problems: tuple[str, ...] = ()
    bug: str = ""

    def result(self) -> Any:
        """The answer.

        Raises:
            InputError: There are problems.
            RuntimeError: There is a bug.
        """
        if self.bug:
            raise RuntimeError(self.bug)
        if self.problems:
            raise InputError(*self.problems)
        return self.answer


@dataclass(frozen=True)
class Elsewhere:
    """Work that may be done on another machine.

    Attributes:
        work: What is done.
        folder: Paths that are not absolute are relative to it.
        versions: Of the machine that submits it.
        mark: A file where the results go, of whoever submits it; without, results are found there
            or the task is not.
    """

    work: Work
    folder: Path
    versions: Mapping[str, str] = field(default_factory=_versions)
    mark: Path | None = None

    def __call__(self, task: Any) -> Ended:
        """Do it; every error that is no end of the process is told."""
        try:
            self._require_versions()
            self._enter_folder()
            self._require_shared()
            return Ended(self.work(task))
        except InputError as error:
            return Ended(problems=error.problems)
        except Exception as error:
            told = "".join(traceback.format_exception(error))
            return Ended(bug=f"on {socket.gethostname()}: {told}")

    def _require_versions(self) -> None:
        here = _versions()
        others = [
            f"{name} {here.get(name, 'none')} where the command has {wanted}"
            for name, wanted in self.versions.items()
            if here.get(name) != wanted
        ]
        if others:
            raise InputError(
                f"{socket.gethostname()} has {', '.join(others)}; install the same on all machines"
            )

    def _enter_folder(self) -> None:
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise InputError(
                f"{self.folder}: {socket.gethostname()} does not see it ({error.strerror}); "
                "run from a folder that all machines share"
            ) from error

    def _require_shared(self) -> None:
        """Results on a disk of this machine alone would be lost, after hours."""
        latest = time.monotonic() + _LATE_SECONDS
        while self.mark is not None and not self.mark.exists():
            if time.monotonic() > latest:
                raise InputError(
                    f"{self.mark.parent.parent}: {socket.gethostname()} does not see what the "
                    "command writes there; choose a folder for results that all machines share"
                )
            time.sleep(min(1.0, _LATE_SECONDS))

    def checkpoint(self, task: Any) -> Any:
        """What submitit submits anew where the time of a job is nearly up: the same again.

        A task goes on from the files that it has written.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, task)
