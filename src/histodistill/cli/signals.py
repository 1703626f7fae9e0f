"""Signals that end a run are handled like Ctrl-C: a plain word, and no half-written file."""

from __future__ import annotations

import signal
from types import FrameType


class _Ended(KeyboardInterrupt):
    """The system, or a scheduler, asked the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def interrupt_on_signals() -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C; those that are ignored (`nohup`) stay so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _interrupt)


def exit_status(interrupt: KeyboardInterrupt) -> int:
    """The exit status that a shell expects: 128 and the signal's number."""
    return 128 + (interrupt.number if isinstance(interrupt, _Ended) else signal.SIGINT)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise _Ended(number)
