"""The experiment as the folder of its results records it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histodistill.gate.records import damaged_record, first_problem, read_record

if TYPE_CHECKING:
    from histodistill.experiment.settings import Experiment
    from histodistill.settings import Settings

CONFIGURATION = "experiment.json"
_REMEDY = "run `histodistill crossval` again"


def is_run(folder: Path) -> bool:
    """Whether a folder holds the results of an experiment."""
    return (folder / CONFIGURATION).is_file()


def recorded_experiment(folder: Path) -> Experiment:
    """The experiment whose results a folder holds.

    Raises:
        InputError: The record is damaged.
        OSError: It is absent or cannot be read.
    """
    from pydantic import ValidationError

    from histodistill.experiment.settings import Experiment

    path = folder / CONFIGURATION
    try:
        return Experiment.model_validate(_as_named(read_record(path, dict[str, Any], _REMEDY)))
    except ValidationError as error:
        raise damaged_record(path, first_problem(error), _REMEDY) from error


def _as_named(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what nobody named: what is named and serves nothing is refused."""
    from histodistill.experiment.inputs import CohortSettings
    from histodistill.experiment.settings import Experiment
    from histodistill.experiment.splits import SplitSettings

    named = _without_defaults(Experiment, raw)
    for part, kind in (("cohort", CohortSettings), ("splits", SplitSettings)):
        if isinstance(named.get(part), Mapping):
            named[part] = _without_defaults(kind, named[part])
    return named


def _without_defaults(kind: type[Settings], raw: Mapping[str, Any]) -> dict[str, Any]:
    from pydantic_core import to_jsonable_python

    defaults = {
        name: to_jsonable_python(field.get_default(call_default_factory=True, validated_data={}))
        for name, field in kind.model_fields.items()
        if not field.is_required()
    }
    return {key: value for key, value in raw.items() if defaults.get(key, raw) != value}
