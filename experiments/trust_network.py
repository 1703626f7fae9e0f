"""Answers of the network `programmes` to the real cohort, division by division; for trust.py.

Twenty divisions in which no hospital is in two parts, all in one run folder: finished fits stay,
so that an interrupted call goes on, and more divisions can be asked for later.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from histodistill import read_experiment
from histodistill.engines.choice import Place
from histodistill.errors import InputError
from histodistill.experiment import Experiment, load
from histodistill.training.run.crossval import calibrated_predictions
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.parallel import Running, Silent, run_fits
from histodistill.training.run.planned_fits import fits_of
from histodistill.training.run.run_folder import begin_run

HERE = Path(__file__).resolve().parent
SITES = HERE / "tcga-brca-sites.yaml"
RUNS = HERE.parent / "runs"
METHOD, REPEATS = "programmes", 20
# Of the divisions, how many are trained: a fit takes half a minute of processor time or more, and
# all of them hours.
DIVISIONS = 1


def network_experiment() -> Experiment:
    """The experiment with one method and twenty divisions."""
    experiment = read_experiment(SITES)
    return experiment.model_copy(
        update={
            "name": f"{METHOD}, twenty divisions",
            "splits": experiment.splits.model_copy(update={"repeats": REPEATS}),
            "methods": {METHOD: experiment.methods[METHOD]},
            "baselines": (),
            "output": RUNS / f"trust-{METHOD}",
        }
    )


def network_answers() -> pd.DataFrame:
    """Out-of-fold answers of the first divisions, one division after the other.

    Raises:
        InputError: Trainings failed.
    """
    experiment = network_experiment()
    data = load(experiment)
    asked = [fit for fit in fits_of(experiment, data) if fit.fold.repeat < DIVISIONS]
    asked.sort(key=lambda fit: fit.fold.repeat)
    begin_run(experiment, data)
    here = Running(Place.named("local"), jobs=1, threads=1)
    failures = run_fits(FitRunner(experiment, data, tensorboard=False), asked, Silent(), here)
    if failures:
        raise InputError(*(sentence for failure in failures for sentence in failure.sentences()))
    places = [fit.folder(experiment.output) for fit in asked]
    return calibrated_predictions(places, experiment.calibration)
