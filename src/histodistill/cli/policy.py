"""Options that state a triage policy, shared by the commands that triage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.calibration import TriagePolicy

_PANEL = "Triage"
_OF_POLICY = ("max_missed", "max_false_alarms", "min_ppv", "costs")

MaxMissed = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Most of the positive who may be called negative.",
        rich_help_panel=_PANEL,
    ),
]
MaxFalseAlarms = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Most of the negative who may be called positive.",
        rich_help_panel=_PANEL,
    ),
]
MinPPV = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Least of those called positive who must be.",
        rich_help_panel=_PANEL,
    ),
]
CostsOption = Annotated[
    str | None,
    typer.Option(
        "--costs",
        metavar="A,B,C",
        help="Instead of these: what a missed patient, a false alarm and an IHC cost, for example "
        "missed=10,false_alarm=2,ihc=1; the answer with the least expected cost.",
        rich_help_panel=_PANEL,
    ),
]


def stated_policy(
    max_missed: float | None,
    max_false_alarms: float | None,
    min_ppv: float | None,
    costs: str | None = None,
) -> TriagePolicy | None:
    """The policy of the options; None where none of them is given.

    Raises:
        InputError: They contradict each other, or a value is out of its range.
    """
    from pydantic import ValidationError

    from histodistill.calibration import TriagePolicy

    given = {"max_missed": max_missed, "max_false_alarms": max_false_alarms, "min_ppv": min_ppv}
    if costs is None and all(value is None for value in given.values()):
        return None
    try:
        return TriagePolicy.model_validate(given | {"costs": _costs(costs)})
    except ValidationError as error:
        raise InputError(*map(_sentence, error.errors())) from error


def _costs(given: str | None) -> dict[str, float] | None:
    """``missed=10,false_alarm=2,ihc=1`` as a mapping.

    Raises:
        InputError: It is written otherwise.
    """
    if given is None:
        return None
    parts = [item.partition("=") for item in given.split(",")]
    try:
        costs = {name.strip(): float(value) for name, _, value in parts}
    except ValueError:
        costs = {}
    if set(costs) != {"missed", "false_alarm", "ihc"} or len(costs) != len(parts):
        raise InputError(f"--costs {given}: write it as missed=10,false_alarm=2,ihc=1")
    return costs


def _sentence(error: Mapping[str, Any]) -> str:
    """A sentence in the words of the command line."""
    plain = str(error["msg"]).removeprefix("Value error, ")
    for name in _OF_POLICY:
        plain = plain.replace(f"`{name}`", f"`{_option(name)}`")
    options = [f"`{_option(str(part))}`: " for part in error["loc"] if part in _OF_POLICY]
    return "".join((*options, plain.replace("Input should", "should")))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
