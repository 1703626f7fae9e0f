"""Learning curves: every method trained again with the labels of parts of its patients.

The parts are nested, and the test folds are those of the run. A patient outside a part loses the
label alone: slides and genomics stay at hand for methods that learn from patients without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill import finished
from histodistill.calibration.network_calibrator import CalibrationSettings
from histodistill.claims import held
from histodistill.cohort import Fold
from histodistill.evaluation import read_predictions, write_predictions
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.files import write_text
from histodistill.spreadsheets import read_own_csv, write_csv
from histodistill.training.folders import PREDICTIONS
from histodistill.training.run.crossval import joined
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.parallel import Failure, Running, Watcher, run_fits
from histodistill.training.run.planned_fits import Fit, fits_of
from histodistill.training.run.precision import with_precision
from histodistill.training.run.run_folder import begin_run

LEARNING = "learning-curves"
LABELLED = "labelled.csv"
NOTES = "notes.txt"
SHARES = (0.125, 0.25, 0.5)
"""Parts of the labelled patients; the whole is the run itself."""

# Of each class, in training and in validation, below which nothing can be learnt or judged.
_LEAST = {"train": 2, "validation": 1}


@dataclass(frozen=True)
class LearningPart:
    """All fits with a part of the labels.

    Attributes:
        share: Which part of the labelled patients of training and validation.
        experiment: The run's, whose results lie apart.
        fits: Those of the run that the part suffices for.
        notes: What it does not suffice for, in sentences.
    """

    share: float
    experiment: Experiment
    fits: tuple[Fit, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LearntPart:
    """What came out of a part.

    Attributes:
        share: Which part of the labelled patients.
        predictions: A checked predictions table of the test patients.
        labelled: Labelled patients of training and validation, the mean over folds, by target.
        notes: What was not trained, in sentences.
    """

    share: float
    predictions: pd.DataFrame
    labelled: dict[str, float]
    notes: tuple[str, ...]


def learning_parts(experiment: Experiment, data: ExperimentData) -> tuple[LearningPart, ...]:
    """The parts of a cross-validation that is to be repeated with fewer labels.

    Raises:
        InputError: The patients cannot be divided as the experiment asks.
    """
    fits = fits_of(experiment, data)
    return tuple(_part(experiment, data, fits, share) for share in SHARES)


def train_part(
    part: LearningPart,
    data: ExperimentData,
    watcher: Watcher,
    *,
    jobs: int | None = None,
    threads: int | None = None,
) -> list[Failure]:
    """Train all fits of a part that no earlier call has finished, and write what they answer.

    Args:
        part: The part.
        data: The experiment's inputs.
        watcher: Told of progress.
        jobs: Trainings at the same time; 1 by default.
        threads: Threads of each.

    Returns:
        Trainings that failed; their methods have no figure there.
    """
    experiment = with_precision(part.experiment)
    output = experiment.output
    begin_run(experiment, data)
    runner = FitRunner(experiment, data, keep_models=False)
    running = Running(jobs=jobs, threads=threads)
    failures = run_fits(runner, part.fits, watcher, running)
    lacking = {(failure.fit.target, failure.fit.method) for failure in failures}
    whole = [fit for fit in part.fits if (fit.target, fit.method) not in lacking]
    with held(output):
        finished.begin(output)
        if whole:
            places = (fit.folder(output) / PREDICTIONS for fit in whole)
            write_predictions(output / PREDICTIONS, joined(places))
            write_csv(output / LABELLED, _labelled(part.fits))
            told = [*part.notes, *failed(part, failures)]
            write_text(output / NOTES, "".join(f"{sentence}\n" for sentence in told))
            finished.finish(output, (PREDICTIONS, LABELLED, NOTES))
    return failures


def failed(part: LearningPart, failures: Sequence[Failure]) -> list[str]:
    """What could not be trained with a part of the labels, a sentence a target and method."""
    first = {(failure.fit.target, failure.fit.method): failure for failure in reversed(failures)}
    return [
        f"{target}, {method}: not trained with {part.share:g} of the labels, for "
        f"{'; '.join(failure.problems).rstrip('.')}."
        for (target, method), failure in first.items()
    ]


def learnt_parts(run: Path, whole: pd.DataFrame) -> list[LearntPart]:
    """What a run's learning curves are of: the finished parts, the smallest first, and the whole.

    Args:
        run: The run's folder.
        whole: The run's own predictions.

    Returns:
        Nothing where no part is finished.

    Raises:
        InputError: A table has changed since it was written.
    """
    folders = [(share, _folder(run, share)) for share in SHARES]
    finished_ones = [(share, place) for share, place in folders if _is_finished(place)]
    if not finished_ones:
        return []
    counts = pd.concat([_counts(place) for _, place in finished_ones])["of"]
    everybody = {str(target): float(n) for target, n in counts.items()}
    parts = [_learnt(share, place) for share, place in finished_ones]
    return [*parts, LearntPart(1.0, whole, everybody, ())]


def _folder(run: Path, share: float) -> Path:
    return run / LEARNING / f"part-{share:g}"


def _is_finished(place: Path) -> bool:
    return (place / finished.FINISHED).is_file()


def _part(
    experiment: Experiment, data: ExperimentData, fits: Sequence[Fit], share: float
) -> LearningPart:
    """The fits with fewer labels, but those of targets with too few patients for them."""
    together = [name for name, method in experiment.methods.items() if len(method.joint) > 1]
    alone = (fit for fit in fits if fit.method not in together)
    cut = [_with_fewer(fit, data, experiment.splits.seed, share) for fit in alone]
    lacking = {fit.target: lack for fit in cut if (lack := _lack(experiment, data, fit))}
    apart = experiment.model_copy(
        update={
            "output": _folder(experiment.output, share),
            "calibration": CalibrationSettings(method="none"),
            "splits": experiment.splits.model_copy(update={"seal": False}),
            "triage": None,
        }
    )
    notes = [f"{target}: {share:g} of the labels are {lack}." for target, lack in lacking.items()]
    notes += [
        f"{name}: has no learning curve, since it learns from the labels of several targets."
        for name in together
    ]
    kept = tuple(fit for fit in cut if fit.target not in lacking)
    return LearningPart(share, apart, kept, tuple(notes))


def _with_fewer(fit: Fit, data: ExperimentData, seed: int, share: float) -> Fit:
    """The fit, on a part of the patients of training and validation of each class."""
    fold, labels = fit.fold, data.labels(fit.target)

    def drawn(patients: tuple[str, ...], place: int) -> tuple[str, ...]:
        rng = np.random.default_rng([seed, fold.repeat, fold.index, place])
        return tuple(sorted(_drawn(labels.loc[list(patients)], share, rng)))

    train, validation = drawn(fold.train, 0), drawn(fold.validation, 1)
    rest = {*fold.train, *fold.validation}.difference(train, validation)
    withheld = tuple(sorted(rest))
    return replace(fit, fold=replace(fold, train=train, validation=validation, withheld=withheld))


def _drawn(labels: pd.Series[int], share: float, rng: np.random.Generator) -> Iterator[str]:
    """The first patients of each class in an order that does not depend on the share."""
    for _, own in labels.sort_index().groupby(labels):
        yield from rng.permutation(own.index.to_numpy())[: max(1, round(share * len(own)))].tolist()


def _lack(experiment: Experiment, data: ExperimentData, fit: Fit) -> str:
    """Why a fold has too few labels to train or to be validated; empty where it has enough."""
    classes, labels = experiment.targets[fit.target].classes, data.labels(fit.target)
    for part, least in _LEAST.items():
        own = labels.loc[list(getattr(fit.fold, part))]
        for index, name in enumerate(classes):
            n = int((own == index).sum())
            if n < least:
                return f"too few: the {part} part of fold {fit.fold.index} has {n} of class {name}"
    return ""


def _labelled(fits: Sequence[Fit]) -> pd.DataFrame:
    """How many labels each fold has, and of how many."""
    folds: dict[tuple[str, Fold], None] = dict.fromkeys((fit.target, fit.fold) for fit in fits)
    rows = [
        (target, fold.repeat, fold.index, len(fold.train), len(fold.validation), len(fold.withheld))
        for target, fold in folds
    ]
    names = ["target", "repeat", "fold", "training", "validation", "withheld"]
    table = pd.DataFrame(rows, columns=names)
    labelled = table["training"] + table["validation"]
    return table.assign(labelled=labelled, of=labelled + table["withheld"])


def _learnt(share: float, place: Path) -> LearntPart:
    notes = (place / NOTES).read_text(encoding="utf-8").splitlines()
    labelled = {str(target): float(mean) for target, mean in _counts(place)["labelled"].items()}
    return LearntPart(share, read_predictions(place / PREDICTIONS), labelled, tuple(notes))


def _counts(place: Path) -> pd.DataFrame:
    """Columns ``labelled`` and ``of`` of each target, the mean over folds."""
    return read_own_csv(place / LABELLED).groupby("target", sort=False)[["labelled", "of"]].mean()
