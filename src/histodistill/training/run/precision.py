"""The precision that an experiment is trained in: one for all of a run, whatever the machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from histodistill.computing.device import resolve_device
from histodistill.computing.precision import Precision, times_as_fast
from histodistill.errors import InputError, listed
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.recorded import CONFIGURATION
from histodistill.experiment.settings import Experiment
from histodistill.gate.records import read_record
from histodistill.training.loop.precision import precision_of
from histodistill.training.run.planned_fits import Fit


def with_precision(experiment: Experiment) -> Experiment:
    """The experiment with a precision in the place of every ``auto``, which is told.

    A run that has begun keeps the precision that it began with, on whatever machine it goes on.

    Raises:
        InputError: The record of an earlier run is damaged, or a method's device is not there.
    """
    waiting = {n: m for n, m in experiment.methods.items() if m.training.precision == "auto"}
    if not waiting:
        return experiment
    recorded = _recorded(experiment)
    begun = {name: recorded[name] for name in waiting if name in recorded}
    chosen = {
        name: precision_of(method, resolve_device(method.training.device))
        for name, method in waiting.items()
        if name not in begun
    }
    _tell(begun, "as this run began")
    _tell(chosen, "which suits this machine and these networks")
    methods = {name: _trained_in(waiting[name], p) for name, p in (begun | chosen).items()}
    return experiment.model_copy(update={"methods": experiment.methods | methods})


def require_fast_precision(experiment: Experiment, fits: Iterable[Fit]) -> None:
    """Refuse to train in bfloat16 on a processor that is slower in it than in float32.

    Args:
        experiment: The experiment, ``auto`` resolved.
        fits: What is to be trained; what is finished is not.

    Raises:
        InputError: Says how many times slower it is, as measured.
    """
    narrow = {n for n, m in experiment.methods.items() if m.training.precision == "bfloat16"}
    slow: set[str] = set()
    for fit in fits:
        if fit.method in narrow - slow and not fit.finished(experiment.output):
            device = resolve_device(experiment.methods[fit.method].training.device)
            if device.type == "cpu" and times_as_fast("bfloat16") < 1:
                slow.add(fit.method)
    if slow:
        raise InputError(_too_slow(experiment, slow))


def _too_slow(experiment: Experiment, methods: set[str]) -> str:
    begun = methods & _recorded(experiment).keys()
    remedy = (
        f"{experiment.output} was begun in it: go on on a machine like the first, or train in "
        "float32 into another `output`"
        if begun
        else "write `precision: float32`, or `precision: auto`, under `training`"
    )
    return (
        f"{listed(sorted(methods))}: `precision: bfloat16`, and this processor multiplies in it "
        f"{1 / times_as_fast('bfloat16'):.3g} times slower than in float32, as measured just now; "
        f"{remedy}"
    )


def _trained_in(method: MethodSettings, precision: Precision) -> MethodSettings:
    """The method, and the teachers that it trains first, with what ``auto`` means."""
    update: dict[str, Any] = {
        part: settings.model_copy(update={"precision": precision})
        for part in ("training", "teacher_training")
        if (settings := getattr(method, part)) is not None and settings.precision == "auto"
    }
    return method.model_copy(update=update)


def _recorded(experiment: Experiment) -> dict[str, Precision]:
    """The precision of each method that the folder of results has on record."""
    path = experiment.output / CONFIGURATION
    if not path.exists():
        return {}
    record = read_record(path, dict[str, Any], "choose another `output`, or remove that folder")
    found = {}
    for name, method in _mapping(record.get("methods")).items():
        precision = _mapping(_mapping(method).get("training")).get("precision")
        if precision in ("float32", "bfloat16"):
            found[name] = precision
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _tell(methods: Mapping[str, Precision], why: str) -> None:
    by_precision: dict[Precision, list[str]] = {}
    for name, precision in methods.items():
        by_precision.setdefault(precision, []).append(name)
    for precision, names in by_precision.items():
        warnings.warn(f"`precision: auto` is {precision} for {listed(names)}, {why}", stacklevel=3)
