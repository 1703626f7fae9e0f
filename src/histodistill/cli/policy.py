"""A triage policy from the words of a command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.calibration import TriagePolicy


_OF_POLICY = ("max_missed", "max_false_alarms", "min_ppv")


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
        raise InputError(*map(_sentence, error.errors())) from error


def _sentence(error: Mapping[str, Any]) -> str:
    """A sentence in the words of the command line."""
    plain = str(error["msg"]).removeprefix("Value error, ")
    for name in _OF_POLICY:
        plain = plain.replace(f"`{name}`", f"`{_option(name)}`")
    options = [f"`{_option(str(part))}`: " for part in error["loc"] if part in _OF_POLICY]
    return "".join((*options, plain.replace("Input should", "should")))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
