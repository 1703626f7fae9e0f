"""Opening the sealed answers of a run: once, and written down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from histodistill import finished, sealing
from histodistill.errors import InputError
from histodistill.evaluation import read_predictions, write_predictions
from histodistill.experiment.recorded import CONFIGURATION, recorded_experiment
from histodistill.training.folders import COST, PREDICTIONS, VALIDATION
from histodistill.training.run.costs import COSTS
from histodistill.training.run.crossval import calibrated_predictions


@dataclass(frozen=True)
class Unsealed:
    """What was opened: the predictions, and the record of when."""

    predictions: Path
    opening: sealing.Opening


def unseal(run: Path) -> Unsealed:
    """Open the answers to test patients of a run that is trained; an interrupted opening goes on.

    Args:
        run: The run's output folder.

    Raises:
        InputError: It has no seal, is not trained to its end, was opened before, or the record of
            that was changed or removed.
    """
    if not (run / sealing.KEY).is_file():
        raise InputError(f"{run}: has no sealed answers (`splits: seal` of its experiment)")
    sealing.require_cryptography()
    opening = sealing.opening_of(run)
    if opening is not None and (run / PREDICTIONS).is_file():
        raise InputError(
            f"{run}: was opened at {opening.time}, with the configuration "
            f"{opening.configuration[:12]}; a seal is opened once"
        )
    if not (run / sealing.CONTENTS).is_file():
        raise InputError(f"{run}: is not trained to its end; run crossval again, then unseal")
    if opening is None:
        opening = sealing.record_opening(run, run / CONFIGURATION)
    places = [run / name for names in sealing.contents(run).values() for name in names]
    for place in places:
        _open(run, place)
    finished.begin(run)
    settings = recorded_experiment(run).calibration
    validation = [read_predictions(place / VALIDATION) for place in places]
    write_predictions(run / PREDICTIONS, calibrated_predictions(places, validation, settings))
    finished.finish(run, (PREDICTIONS, VALIDATION, COSTS))
    return Unsealed(run / PREDICTIONS, opening)


def _open(run: Path, place: Path) -> None:
    sealed = place / sealing.SEALED
    if sealed.is_file():
        finished.begin(place)
        sealing.open_file(run, sealed, place / PREDICTIONS)
        finished.finish(place, (PREDICTIONS, VALIDATION, COST))
        sealed.unlink()
