"""The inner search over learning rates and weight decays, by validation patients alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import FiniteFloat, NonNegativeFloat, PositiveFloat

from histodistill.claims import held
from histodistill.errors import InputError
from histodistill.experiment.methods import MethodSettings, TuningSettings
from histodistill.experiment.settings import Experiment
from histodistill.files import write_json
from histodistill.gate.records import read_record
from histodistill.training.fit.fitted_model import fit_model
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.loop.trainer import CHECKPOINT

TUNING = "tuning.json"
_TRIAL = "trial.json"

# Trains a method in a folder; its best monitored figure, more being better.
Train = Callable[[MethodSettings, Path], float]


@dataclass(frozen=True)
class Choice:
    """A learning rate and a weight decay.

    Attributes:
        learning_rate: Of AdamW, at the start.
        weight_decay: Of AdamW.
        figure: The method's monitored figure at the best epoch, a loss with its sign changed;
            None where the training failed.
    """

    learning_rate: PositiveFloat
    weight_decay: NonNegativeFloat
    figure: FiniteFloat | None


@dataclass(frozen=True)
class _Search:
    """All that a search tried, and the best of it."""

    chosen: Choice
    trials: tuple[Choice, ...]


def require_optuna() -> None:
    """Refuse early where Optuna is absent.

    Raises:
        InputError: It is not installed.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError(
            "`tuning` needs Optuna; run: pip install 'histodistill[tuning]'"
        ) from error


def tuned_method(
    experiment: Experiment, name: str, inputs: FoldData, folder: Path, teachers: Path
) -> MethodSettings:
    """A method with what the experiment's inner search chooses on a fold, if it searches.

    The search trains with the first of the method's seeds, and serves all of them.

    Args:
        experiment: The experiment.
        name: The method's name.
        inputs: The fold's data.
        folder: Gets the trials and what was chosen.
        teachers: Folder of teachers that are trained first.
    """
    method, tuning = experiment.methods[name], experiment.tuning
    if tuning is None:
        return method
    target, seed = experiment.targets[inputs.target], experiment.seeds_of(name)[0]

    def train(candidate: MethodSettings, place: Path) -> float:
        return fit_model(candidate, target, inputs, seed, place, teachers=teachers).best_figure

    chosen = search(method, tuning, train, folder)
    return method.tuned(chosen.learning_rate, chosen.weight_decay)


def search(method: MethodSettings, tuning: TuningSettings, train: Train, folder: Path) -> Choice:
    """Search, or go on with a search that was interrupted; one process does, others wait.

    Args:
        method: The method as the experiment has it.
        tuning: What to try.
        train: Trains a method on the fold, in a folder.
        folder: Gets a folder a trial and ``tuning.json``: the chosen pair and all trials.

    Raises:
        InputError: No trial could be trained.
    """
    with held(folder):
        path = folder / TUNING
        if not path.exists():
            trials = _Trials(method, tuning, train, folder)
            trials.run()
            done = [asdict(trial) for trial in trials.done]
            write_json(path, {"chosen": asdict(trials.best()), "trials": done})
        return read_record(path, _Search, f"remove {folder} to search again").chosen


class _Trials:
    """The trials of one search; a pair is trained once, however often it is drawn."""

    def __init__(
        self, method: MethodSettings, tuning: TuningSettings, train: Train, folder: Path
    ) -> None:
        self.done: list[Choice] = []
        self._method = method
        self._tuning = tuning
        self._train = train
        self._folder = folder
        self._problems: tuple[str, ...] = ()

    def run(self) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        space = {
            "learning_rate": list(self._tuning.learning_rates),
            "weight_decay": list(self._tuning.weight_decays),
        }
        seed = self._tuning.seed
        sampler: optuna.samplers.BaseSampler = (
            optuna.samplers.GridSampler(space, seed=seed)
            if self._tuning.sampler == "grid"
            else optuna.samplers.TPESampler(seed=seed)
        )

        def judged(trial: optuna.Trial) -> float:
            rate, decay = (trial.suggest_categorical(name, c) for name, c in space.items())
            choice = self._tried(rate, decay)
            self.done.append(choice)
            if choice.figure is None:
                raise optuna.TrialPruned
            return choice.figure

        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(judged, n_trials=self._tuning.trials)

    def best(self) -> Choice:
        """The first of the best.

        Raises:
            InputError: All have failed.
        """
        able = [trial for trial in self.done if trial.figure is not None]
        if not able:
            raise InputError(*(f"tuning: every trial failed: {p}" for p in self._problems))
        return max(able, key=lambda trial: trial.figure or 0.0)

    def _tried(self, learning_rate: float, weight_decay: float) -> Choice:
        """The outcome of a pair; trained where no earlier trial or run has done so."""
        folder = self._folder / f"rate-{learning_rate:g}-decay-{weight_decay:g}"
        path = folder / _TRIAL
        if path.exists():
            return read_record(path, Choice, f"remove {folder} to try this pair again")
        try:
            figure = self._train(self._method.tuned(learning_rate, weight_decay), folder)
        except InputError as error:  # such as a learning rate that diverges
            self._problems = error.problems
            return Choice(learning_rate, weight_decay, None)
        choice = Choice(learning_rate, weight_decay, figure)
        write_json(path, asdict(choice))
        (folder / CHECKPOINT).unlink(missing_ok=True)
        return choice
