"""The experiment as the folder of its results records it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from histodistill.experiment.settings import Experiment
from histodistill.gate.records import damaged_record, first_problem, read_record

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
    path = folder / CONFIGURATION
    try:
        return Experiment.model_validate(read_record(path, dict[str, Any], _REMEDY))
    except ValidationError as error:
        raise damaged_record(path, first_problem(error), _REMEDY) from error
