"""The errors that users see: plain sentences that name the file, patient or column."""

from __future__ import annotations


class HistodistillError(Exception):
    """Base of every error that histodistill raises on purpose.

    The command line prints its message without a traceback.
    """


class InputError(HistodistillError):
    """Something in the user's files or settings is wrong.

    A reader that finds several problems raises them all at once, so that the user mends
    everything in one go. ``problems`` holds one sentence each: what is wrong, where (file,
    patient, column), and what to do.

    Args:
        *problems: One or more plain sentences.
    """

    def __init__(self, *problems: str) -> None:
        if not problems:
            raise ValueError("InputError needs at least one problem")
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


def listed(names: list[str] | tuple[str, ...], limit: int = 10) -> str:
    """Join names for a message, cut to ``limit`` with the number left out."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
