"""A run's folder: its configuration, versions, and that its results are of one experiment."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from histodistill.calibration.network_calibrator import CalibrationSettings
from histodistill.claims import held
from histodistill.errors import InputError, listed
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.recorded import CONFIGURATION
from histodistill.experiment.settings import Experiment
from histodistill.experiment.splits import SplitSettings
from histodistill.files import write_json
from histodistill.gate.records import damaged_record, read_record
from histodistill.model import NetworkSettings, ObjectiveSettings
from histodistill.settings import Settings
from histodistill.spreadsheets import write_csv

VERSIONS = "versions.json"
EXCLUDED = "excluded.csv"

# Parts of a configuration whose results lie apart, each under its name.
_APART = ("methods", "targets")
# Seeds lie apart too, metrics and triage change no training, and a folder may be moved.
_FREE = ("seeds", "metrics", "triage", "output")
_PACKAGES = ("histodistill", "torch", "numpy", "pandas", "scikit-learn", "scipy", "h5py")


def begin_run(experiment: Experiment, data: ExperimentData) -> None:
    """Make the experiment's folder ready for its results.

    Writes the resolved configuration, the versions and who was excluded. Methods, targets and
    seeds may be added to what an earlier run has made, or another one is making.

    Raises:
        InputError: The folder holds results of another configuration.
    """
    folder = experiment.output
    with held(folder):
        write_json(folder / CONFIGURATION, _agreed(experiment))
        write_json(folder / VERSIONS, versions())
        write_csv(folder / EXCLUDED, data.excluded)


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The experiment with every default written out, as plain JSON values."""
    return experiment.model_dump(mode="json")


def versions() -> dict[str, Any]:
    """Versions and hardware that a result may depend on."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _agreed(experiment: Experiment) -> dict[str, Any]:
    """The configuration of all that the folder holds, after this run.

    Methods, targets and seeds may come and go from run to run: each has its own results. Those
    of earlier runs stay on record, so that a name never comes back with another meaning.
    """
    now = resolved(experiment)
    path = experiment.output / CONFIGURATION
    if not path.exists():
        return now
    before = read_record(path, dict[str, Any], "choose another `output`, or remove that folder")
    for part in _APART:
        if not isinstance(before.get(part), dict):
            remedy = "choose another `output`, or remove that folder"
            raise damaged_record(path, f"it has no {part}", remedy)
    before = _in_todays_words(before)
    changed = sorted(_differences(_shared(before, now), _shared(now, before)))
    if changed:
        raise InputError(
            f"{experiment.output}: holds results of another configuration, which differs in "
            f"{listed(changed)}; choose another `output`, or remove that folder"
        )
    return now | {part: before[part] | now[part] for part in _APART}


def _in_todays_words(record: dict[str, Any]) -> dict[str, Any]:
    """What an earlier version recorded, with the defaults of keys that are new."""
    told = {"calibration": CalibrationSettings().model_dump(mode="json")} | record
    with suppress(ValidationError):  # as for methods
        told["splits"] = _splits_today(SplitSettings.model_validate(told["splits"]))
    told["methods"] = {name: _as_today(own) for name, own in told["methods"].items()}
    told["targets"] = {
        name: {"ordered": False} | own if isinstance(own, dict) else own
        for name, own in told["targets"].items()
    }
    return told


def _splits_today(splits: SplitSettings) -> dict[str, Any]:
    """The folder of folds was recorded as it was written."""
    directory = splits.directory and str(Path(splits.directory).resolve())
    return splits.model_copy(update={"directory": directory}).model_dump(mode="json")


def _as_today(method: Any) -> Any:
    """A method that an earlier version recorded, in today's words: new keys have their defaults.

    Only names are checked: nothing that a record names is imported.
    """
    parts: dict[str, type[Settings]] = {"network": NetworkSettings, "objective": ObjectiveSettings}
    if not isinstance(method, dict):
        return method
    told: dict[str, Any] = {"joint": {}} | method
    for part, settings in parts.items():
        with suppress(ValidationError):  # what cannot be read differs from what is asked for
            told[part] = settings.model_validate(method.get(part)).model_dump(mode="json")
    return told


def _shared(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """``one`` without what is free to change, and without what ``other`` lacks."""
    common = {
        part: {name: _fixed(own) for name, own in one[part].items() if name in other[part]}
        for part in _APART
    }
    return _fixed(one) | common


def _fixed(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in _FREE}


def _differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """Dotted names of the settings that differ."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before.keys() | now.keys():
            yield from _differences(before.get(key), now.get(key), f"{where}.{key}".strip("."))
    elif before != now:
        yield where
