"""A triage policy from the words of a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.calibration import TriagePolicy


def asked_policy(
    max_missed: float | None, max_false_alarms: float | None, min_ppv: float | None
) -> TriagePolicy:
    """The policy that the options state.

    Raises:
        InputError: Nothing is stated, or what contradicts itself.
    """
    from pydantic import ValidationError

    from histodistill.calibration import TriagePolicy

    try:
        return TriagePolicy(
            max_missed=max_missed, max_false_alarms=max_false_alarms, min_ppv=min_ppv
        )
    except ValidationError as error:
        raise InputError(*(_sentence(each["msg"]) for each in error.errors())) from error


def _sentence(message: str) -> str:
    plain = message.removeprefix("Value error, ").replace("`max_", "`--max-")
    return plain.replace("`min_ppv", "`--min-ppv").replace("_", "-")
