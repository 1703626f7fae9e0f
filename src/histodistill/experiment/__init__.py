"""An experiment: its YAML file, its inputs, its folds, and the audit of them all."""

from histodistill.experiment.data import ExperimentData, load, load_bags
from histodistill.experiment.folds import folds_for
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.reading import read_experiment
from histodistill.experiment.settings import Experiment

__all__ = [
    "Experiment",
    "ExperimentData",
    "MethodSettings",
    "folds_for",
    "load",
    "load_bags",
    "read_experiment",
]
