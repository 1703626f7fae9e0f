"""Reading the cohort of a cross-validation."""

from __future__ import annotations

from histodistill.cli.console import say_notes, say_problems
from histodistill.cli.progress import counting
from histodistill.experiment import Experiment, ExperimentData, load
from histodistill.experiment.folds import folds_for
from histodistill.experiment.member_parts import member_problems


def read_cohort(experiment: Experiment) -> ExperimentData:
    """Read the cohort; say what was noted, and which trainings will be refused.

    A method that is refused stops no other, so that it is told before hours of training and not
    after them.

    Raises:
        InputError: What was given cannot be read, or the patients cannot be divided as asked.
    """
    with counting("Reading bags") as progress:
        data = load(experiment, progress)
    say_notes(data.notes)
    folds = {target: folds_for(experiment, data, target).folds for target in experiment.targets}
    say_problems(member_problems(experiment, data, folds))
    return data
