"""A task on another machine: in the folder of whoever submitted it, and problems told as words."""

from __future__ import annotations

import os
import socket
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histodistill.engines.engine import Work
from histodistill.errors import InputError


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
    """

    work: Work
    folder: Path

    def __call__(self, task: Any) -> Ended:
        """Do it; every error that is no end of the process is told."""
        try:
            try:
                os.chdir(self.folder)
            except OSError as error:
                raise InputError(
                    f"{self.folder}: {socket.gethostname()} does not see it ({error.strerror}); "
                    "run from a folder that all machines share"
                ) from error
            return Ended(self.work(task))
        except InputError as error:
            return Ended(problems=error.problems)
        except Exception as error:
            told = "".join(traceback.format_exception(error))
            return Ended(bug=f"on {socket.gethostname()}: {told}")

    def checkpoint(self, task: Any) -> Any:
        """What submitit submits anew where the time of a job is nearly up: the same again.

        A task goes on from the files that it has written.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, task)
