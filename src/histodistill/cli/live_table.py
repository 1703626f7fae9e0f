"""A table of methods and targets that fills while trainings finish."""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from histodistill.cli.console import console
from histodistill.cli.training_progress import FitsProgress
from histodistill.evaluation import fold_aucs, read_predictions
from histodistill.experiment import Experiment, ExperimentData
from histodistill.training import Epoch, Failure, Fit, cross_validate, fits_of
from histodistill.training.folders import VALIDATION


class LiveTable:
    """The mean validation AUC of every method and target, so far.

    Test figures stay out of sight until all is trained. A method that has a student shows the
    student's AUC, any other that of its only network.

    Args:
        experiment: What is trained.
        fits: All its fits.
    """

    def __init__(self, experiment: Experiment, fits: Sequence[Fit]) -> None:
        self._experiment = experiment
        self._aucs: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        self._all = Counter(fit.method for fit in fits)
        self._done: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._progress = FitsProgress(experiment, fits)

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        """Show where a training stands."""
        self._progress.on_epoch(fit, epoch)

    def on_fit(self, fit: Fit) -> None:
        """Take in the validation AUC of a finished training."""
        aucs = self._validation_aucs(fit)
        for method, auc in aucs.items():
            self._aucs[method, fit.target].append(auc)
        self._done[fit.method] += 1
        told = ", ".join(f"{_unlike(fit.method, name)}{_auc(auc)}" for name, auc in aucs.items())
        self._progress.on_fit(fit, f": validation AUC {told}")

    def on_failure(self, failure: Failure) -> None:
        """Count a training that failed; why is told at the end."""
        self._failed[failure.fit.method] += 1
        self._progress.on_failure(failure)

    def __rich__(self) -> Group:
        """The bars, and below them the table, which a small terminal may cut."""
        return Group(self._progress.trainings.bars, self.table())

    def table(self) -> Table:
        """Methods in the experiment's order, the simple baselines first."""
        table = Table(title="Mean validation AUC", title_justify="left", box=SIMPLE_HEAD)
        table.add_column("method")
        for name in [*self._experiment.targets, "seeds", "trained"]:
            table.add_column(escape(name), justify="right")
        simple = [method for method, _ in self._aucs if method not in self._experiment.methods]
        for method in [*dict.fromkeys(simple), *self._experiment.methods]:
            table.add_row(escape(method), *self._figures(method), *self._counts(method))
        return table

    def _figures(self, method: str) -> list[str]:
        known = [self._aucs.get((method, target), []) for target in self._experiment.targets]
        return [_auc(statistics.mean(aucs)) if aucs else "–" for aucs in known]

    def _counts(self, method: str) -> tuple[str, str]:
        if method not in self._all:  # a simple baseline, which has no fit of its own
            return "", ""
        failed = f" ({self._failed[method]} failed)" if self._failed[method] else ""
        seeds = len(self._experiment.seeds_of(method))
        return str(seeds), f"{self._done[method]} of {self._all[method]}{failed}"

    def _validation_aucs(self, fit: Fit) -> dict[str, float]:
        """The AUC of each method that the fit trained: several only for the baselines."""
        rows = read_predictions(fit.folder(self._experiment.output) / VALIDATION)
        aucs = fold_aucs(rows).drop_duplicates("method")  # the student comes first
        return dict(zip(aucs["method"], aucs["auc"], strict=True))


@contextmanager
def live(table: LiveTable) -> Iterator[None]:
    """Show the table while the block runs; only a terminal can."""
    if console.is_terminal:
        with Live(table, console=console, refresh_per_second=2):
            yield
    else:
        yield


def train_and_watch(
    experiment: Experiment,
    data: ExperimentData,
    on: str,
    jobs: int | None,
    threads: int | None,
) -> pd.DataFrame:
    """Cross-validate every method under a live table; the predictions."""
    table = LiveTable(experiment, fits_of(experiment, data))
    with live(table):
        return cross_validate(experiment, data, watcher=table, jobs=jobs, threads=threads, on=on)


def _auc(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _unlike(fit: str, method: str) -> str:
    """The method's name, where the fit does not say it."""
    return "" if method == fit else f"{method} "
